"""What is said of a prompt: unknown syntax, texts and steps, weights that do not add up."""

from functools import partial

import pytest

from sd_app.expressions.remarks import NO_WORDS_GUIDE, NO_WORDS_READ, remarks_on
from sd_app.ui.shared.controls import token_line
from tests.limits import within_cpu_seconds

PLAIN = [
    # Signs of ours in their right places, and signs that people write without meaning an order.
    *("[cat::0.5]", "[red::0.25] cat", "[:cat:3]", "[fe|]male", "a [(cat:1.2):(dog:0.8):0.5]", "([a|b]:1.3)"),
    *("a C++ programmer", "18+", "A+ grade", "LGBTQ+ flag", "$5 bill", "costs $20", "year: 2023", "age: 25"),
    *(
        "a cat | a dog",
        "12:30",
        r"C:\path",
        "http://x.y/z",
        "[sic]",
        "<3",
        "->",
        ":)",
        ":D",
        "(:",
        ">_<",
        "^_^",
    ),
    *(
        "nier:automata",
        "(nier:automata:1.2)",
        "f:1.8 lens",
        "5 < 6",
        "artist: x, style: y",
        "#1 dad",
        "AC/DC",
    ),
    *(
        "SAND and ANDROID",
        "(cat: 1.2 )",
        "(a (b:1.1) c:0.9)",
        r"cat \(animal\)",
        "scene: a cat",
        "std::vector",
    ),
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
        ("a %animal% and %b%", "“%b%” is read as plain words"),
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
        ("[cat:1.5]", NO_WORDS_READ),
        *(
            (prompt, NO_WORDS_READ)
            for prompt in ("()", "( )", "(:1.2)", "[]", "((( )))", "BREAK", "AND", "([])")
        ),
        *(
            (prompt, f"“{prompt}” does not change on the way")
            for prompt in ("[cat:dog]", "[cat:dog:]", "[cat:dog:x]", "[a:b:50%]", "[a:b:0,5]", "[a:b:c:0.5]")
        ),
        ("[cat|dog:0.5]", "The bar in “cat|dog” is a plain character"),
        *(
            (prompt, "is read as plain words: a weight stands last in brackets")
            for prompt in (
                "(cat:1.2, dog)",
                "(cat:1,2)",
                "(cat:1.2:1.3)",
                "cat:1.2, dog",
                "cat:1.2)",
                "cat :.5",
            )
        ),
        ("(cat, dog", "“(cat, dog” begins with a bracket that is never closed"),
        ("[cat:dog:0.5", r"weighs all that follows (\[ is a plain one)"),
        (":( a sad cat", r"weighs all that follows (\( is a plain one)"),
        *(
            (prompt, "AND stands in brackets, which it takes apart")
            for prompt in ("(cat AND dog)", "(cat AND dog:1.2)", "[cat AND dog:0.5]", "((a) AND b AND c)")
        ),
        *(
            (prompt, "AND joins is empty")
            for prompt in ("AND cat", "cat AND", "cat AND AND dog", "a AND () AND b")
        ),
        ("cat AND dog:0", "“dog” counts for nothing: its weight beside AND is 0."),
        ("cat <lora x:1>", "“<lora x:1>” is read as plain words"),
        ("cat <lora:x:1", "a tag without its end, >"),
        ("cat.swap(dog)", "InvokeAI"),
        ("（cat：1.2）", "“（cat：1.2）” is read as plain words: it is a weight in full-width characters"),
        ("a (cat：1.2)", "a weight in full-width characters"),
        ("STYLE(A1111) cat", "an extension's order"),
        ("# a note\na cat", "a comment in other programs"),
        ("a cat /* big */", "a comment in other programs"),
        ("[cat:%dog%:3]", "“%dog%” is read as plain words"),
        ("[cat:dog:0]", "“cat” is never read: it ends before the first step."),
        ("[a <lora:x:1>:b:3]", "A LoRA in square brackets counts at all steps."),
        ("{cat + 0.43*dog}", "add up to 1.43, so every row"),
        ("[{2*cat}:dog:3]", "add up to 2"),
        ('{"[cat:dog:3]" + 0*fish}', "“[cat:dog:3]” in braces is read as it stands"),
        ('{row: "cat AND dog"}', "“cat AND dog” in braces is read as it stands"),
        ("{cat - dog}", "add up to 0, so little"),
    ],
)
def test_what_is_not_meant_as_it_is_read_is_said_in_a_sentence(prompt, said):
    assert any(said in one for one in remarks_on(prompt, steps=20)), remarks_on(prompt, steps=20)


@pytest.mark.parametrize("prompt", ["(cat)1.3", "(cat AND dog)", "[a:b:c:0.5]", "<embedding:x>", "AND", "()"])
def test_one_mistake_is_said_once(prompt):
    assert len(remarks_on(prompt, steps=20)) == 1


def test_a_learned_word_that_is_not_there_is_named_where_it_is_known_which_are():
    assert remarks_on("<tabby> <Gone>", steps=20) == ()
    said = remarks_on("<tabby> <Gone> <3", steps=20, known_words={"tabby"})
    assert said == ("“<Gone>” is read as plain words: no learned word of this name is there.",)


def test_without_a_number_of_steps_nothing_is_said_of_what_is_never_reached():
    assert remarks_on("[cat:dog:30]", steps=None) == ()
    assert "add up to 2" in remarks_on("[{2*cat}:dog:30]", steps=None)[0]


def test_hostile_prompts_are_remarked_on_in_no_time():
    for piece in ("(", "[", "[a:", " ", "\n#", "/*", "<a:", ":1.2,", "a::", "__a", "([", "-"):
        prompt = piece * (10_000 // len(piece))
        # A quadratic search takes minutes.
        within_cpu_seconds(5, partial(remarks_on, prompt, steps=20))


def test_in_a_negative_prompt_and_is_a_word_and_no_words_are_usual():
    assert remarks_on("", steps=20, negative=True) == ()
    assert "it is a word" in remarks_on("a AND b", steps=20, negative=True)[0]


def test_braces_in_each_other_are_refused_with_the_way_it_is_written_here(studio):
    with pytest.raises(ValueError, match=r"\[a\|b\] takes turns"):
        studio.tokens("a {cat|dog")
    with pytest.raises(ValueError, match=r"is \(\(cat\)\) here"):
        studio.tokens("a {{{cat}}}")


@pytest.mark.parametrize(
    ("prompt", "steps", "line"),
    [
        (
            "a [cat:dog:8]",
            (20, 20),
            "steps 1–8: “<b>a cat</b>” (2 tokens)</span> <span>steps 9–20: “<b>a dog</b>”",
        ),
        ("[cat|dog]", (5, 5), "steps 1, 3, 5: “<b>cat</b>” (1 token)</span> <span>steps 2, 4: “<b>dog</b>”"),
        ("[cat:dog:0.5]", (6, 12), "steps 1–6: “<b>cat</b>”"),
        ("cat AND dog:0.7", (4, 4), "steps 1–4: “<b>dog</b>” (1 token, weight 0.7)"),
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
