"""What is said of a prompt: unknown syntax, texts and steps, weights that do not add up."""

import pytest

from sd_app.expressions.remarks import NO_WORDS_GUIDE, remarks_on
from sd_app.ui.shared.controls import token_line

PLAIN = [
    *("a red cat", "(cat:1.2), [dog]", "a 16:9 picture, 12:30", "a BREAK b", "<lora:x:0.5> cat", "<tabby>"),
    *(r"\<foo\:bar\> \_\_x\_\_", "well-known, x-ray 3D", "50% off, a_b", "rock and roll", "a--b"),
    *("a {mean(cat, dog)} {cat + 0.05*dog}", "a {row: cat + dog}", "[cat:dog:0.5] AND red:0.3"),
]


@pytest.mark.parametrize("prompt", PLAIN)
def test_of_a_prompt_that_is_read_as_it_is_meant_nothing_is_said(prompt):
    assert remarks_on(prompt, steps=20) == ()


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", NO_WORDS_GUIDE),
        (" <lora:x:1> \n", NO_WORDS_GUIDE),
        ("cat <hypernet:x:0.5>", "“<hypernet:x:0.5>” is not read"),
        ("cat <foo:bar>", "“<foo:bar>” is read as plain words"),
        ("cat <segment:face>", "“<segment:face>” is read as plain words"),
        ("a __animal__ and __a/b__", "“__a/b__” is read as plain words"),
        ("a ${season}", "“${season}” is read as plain words"),
        ("a $season day", "“$season” is read as plain words"),
        ("a %name% b", "“%name%” is read as plain words"),
        ("embedding:easynegative", "ComfyUI"),
        ("a cat++ b", "InvokeAI"),
        ("(a cat)1.3", "InvokeAI"),
        ("(a).swap(b)", "InvokeAI"),
        ("cat --ar 16:9", "“--ar” is read as plain words"),
        ("cat::2 dog", "another program's weight"),
        ("cat AND_SALT dog", "“AND_SALT” is read as plain words"),
        ("a cat:0.5", "a prompt has a weight only beside AND"),
        ("[cat:dog:30]", "“dog” is never read: it begins after step 20 of 20."),
        ("[cat:1.5]", "“cat” is never read"),
        ("[cat:dog:0]", "“cat” is never read: it ends before the first step."),
        ("[a <lora:x:1>:b:3]", "A LoRA in square brackets counts at all steps."),
        ("{cat + 0.43*dog}", "add up to 1.43, so every row"),
        ("[{2*cat}:dog:3]", "add up to 2"),
        ("{cat - dog}", "add up to 0, so little"),
    ],
)
def test_what_is_not_meant_as_it_is_read_is_said_in_a_sentence(prompt, said):
    assert any(said in one for one in remarks_on(prompt, steps=20)), remarks_on(prompt, steps=20)


def test_in_a_negative_prompt_and_is_a_word_and_no_words_are_usual():
    assert remarks_on("", steps=20, negative=True) == ()
    assert "it is a word" in remarks_on("a AND b", steps=20, negative=True)[0]


def test_alternatives_in_braces_are_refused_with_the_way_it_is_written_here(studio):
    for prompt in ("a {cat|dog}", "a {2$$cat|dog}"):
        with pytest.raises(ValueError, match=r"\[a\|b\] takes turns"):
            studio.tokens(prompt)


@pytest.mark.parametrize(
    ("prompt", "steps", "line"),
    [
        (
            "a [cat:dog:8]",
            (20, 20),
            "steps 1–8: “<b>a cat</b>” (2 tokens)</span> <span>steps 9–20: “<b>a dog</b>”",
        ),
        ("[cat|dog]", (5, 5), "steps 1, 3, 5: “<b>cat</b>” (1 tokens)</span> <span>steps 2, 4: “<b>dog</b>”"),
        ("[cat:dog:0.5]", (6, 12), "steps 1–6: “<b>cat</b>”"),
        ("cat AND dog:0.7", (4, 4), "steps 1–4: “<b>dog</b>” (1 tokens, weight 0.7)"),
        ("a [<b>:cat:1]", (2, 2), "step 1: “<b>a &lt;b&gt;</b>”"),
        ("a cat", (4, 4), "2 / 75 tokens"),
        ("", (4, 4), f"0 / 75 tokens</span> <span class='remark'>{NO_WORDS_GUIDE}"),
    ],
)
def test_the_line_under_the_prompt_says_what_is_read_when(studio, prompt, steps, line):
    assert line in token_line(studio.tokens(prompt, steps=steps))


def test_a_text_that_is_never_reached_is_not_listed_but_said(studio):
    report = studio.tokens("[cat:dog:0.5]", steps=(6, 12))
    assert [text.text for text in report.texts] == ["cat"]
    assert report.remarks == ("“dog” is never read: it begins after step 6 of 6.",)
