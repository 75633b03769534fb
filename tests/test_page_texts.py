"""The page's texts: none changes unseen, and none is in words that no native speaker would use."""

import re

import pytest

from tests.page_texts import LIST, page_texts, python_texts, script_texts, written

# What stood on the page once, or nearly did -> what a native speaker says. Each is a pattern, in any case.
ODD = {
    r"made anew|make anew|\banew\b": "redrawn; again",
    r"\bshall\b": "should, will",
    r"what shall be": "what should be redrawn",
    r"\beasel\b|\bdrawing sheet\b": "canvas",
    r"painted area alone|only the painted": "only masked",
    r"at the price of": "Faster, changes the picture",
    r"(choice|label|text): (Most|Fewest|Least)\b|^(Most|Fewest) ": "maximum, minimum",
    r"(label|text): Length$|^Length$|\blength of (the|its) row": "norm",
    r"\blikelier\b": "more likely",
    r"put together": "combined",
    r"\bby (itself|themselves)\b": "on its own, on their own",
    r"\bmeanwhile\b": "in the meantime",
    r"\bgo(es)? on from there\b|\bgo on working\b": "continue, keep working",
    r"\bhas come\b|\bhave come\b|\bwhat comes\b": "arrived, was downloaded",
    r"\bfor one$|\bfor one[,.)]": "for example",
    r"\b(it|which|that|and|\}) is no\b|\bare no [a-z]+s of\b": "is not a",
    r"\bis none\b|\bthat are none\b|\bas no\b": "is not one",
    r"\bthose of no\b": "not those of a",
    r"\b(is|are) another('s)? than\b|\bare others than\b|\bis another one\b": "differs from",
    r"\b(a|one) (line|second|list|row)\b, (up|at most)|Frames a second|one a line|phrase a list": "per",
    r"\bcan be scrolled\b|\bvery game\b": "scrollable; exactly this task",
    r"\bTake all .* away\b|\bWipe\b|\bLies in\b|\bTo begin with\b": "Remove, Clear, Folder, To start with",
    r"\bon the whole window\b|\bEsc ends\b": "full window, Esc closes",
    r"\bcomputed with\b": "combined",
    r"\bother(s)? come out soft\b": "other models look blurry",
    r"\bonce more,": "trying again",
    r"\bso many\b": "this many",
    r"\bparted( \(|:| from| on)|never parted": "apart",
    r"\bbegins? with nothing\b": "starts empty",
    r"\d\.\.(\d|\{)|\}\.\.\{": "from 1 to 10",
    r"of them, there is none": "must number 1 to 12, got none",
    r"\bsuch (a|an) one\b|\bsuch ones\b": "is, are",
    r"\b(plain|full-width) signs?\b": "character",
    r"\bmust not show\b": "leave out",
}


def test_the_list_of_the_pages_texts_is_the_page() -> None:
    assert LIST.read_text("utf-8") == written(page_texts()), (
        "a text of the page has changed: run `python -m tests.page_texts`, and read the list's changes aloud"
    )


@pytest.mark.parametrize(("pattern", "better"), ODD.items(), ids=range(len(ODD)))
def test_no_text_of_the_page_is_in_odd_words(pattern: str, better: str) -> None:
    lines = LIST.read_text("utf-8").splitlines()
    found = [line for line in lines if re.search(pattern, line, re.IGNORECASE)]
    assert found == [], f"a native speaker says: {better}"


def test_a_scripts_texts_are_its_strings_and_templates_and_no_comment() -> None:
    source = """
        // A comment of words, "quoted words" too.
        const pattern = /not "a text" here/;
        const half = total / 2 + rest / 2;
        show(`Row ${row.name} of ${busy ? "the old table" : rows}`, 'It\\'s here now', "px", "tokens-row");
        say("Undo"); /* "nor this one" */
    """
    texts = script_texts(source)
    assert texts == [
        'Row {row.name} of {busy ? "the old table" : rows}',
        "the old table",
        "It\\'s here now",
        "Undo",
    ]


def test_a_modules_texts_are_its_sentences_and_labels_and_no_docstring() -> None:
    source = '''
"""A docstring of words."""
PATTERN = re.compile("two words")
LABELS = {"Denoising strength": "how much of it"}
def check(name: "a type", label="Mask") -> None:
    """Another docstring here."""
    field(label="Mask", elem_classes="two classes")
    raise ValueError(f"{name} must be {low:.2f} or more"
                     " (raise it)")
'''
    assert python_texts(source, one_word=False) == [
        "how much of it",
        "Mask",
        "{name} must be {low} or more (raise it)",
    ]
