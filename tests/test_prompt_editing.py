"""[from:to:when], [a|b] and AND, read: the values of AUTOMATIC1111's own table, and what lies around it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sd_app.expressions import ExpressionError
from sd_app.expressions.editing import (
    check_texts,
    keep_old_reading,
    parse_joined,
    readings,
    refuse_changing,
)
from sd_app.text.prompts import parse

# From the doctest of get_learned_conditioning_prompt_schedules, 10 steps: [last step, text]. The braces of
# one row are escaped, since here they open arithmetic.
TABLE = {
    "test": [[10, "test"]],
    "a [b:3]": [[3, "a "], [10, "a b"]],
    "a [b: 3]": [[3, "a "], [10, "a b"]],
    "a [[[b]]:2]": [[2, "a "], [10, "a [[b]]"]],
    "[(a:2):3]": [[3, ""], [10, "(a:2)"]],
    "a [b : c : 1] d": [[1, "a b  d"], [10, "a  c  d"]],
    "a[b:[c:d:2]:1]e": [[1, "abe"], [2, "ace"], [10, "ade"]],
    "a [unbalanced": [[10, "a [unbalanced"]],
    "a [b:.5] c": [[5, "a  c"], [10, "a b c"]],
    r"a [\{b|d\{:.5] c": [[5, "a  c"], [10, r"a \{b|d\{ c"]],
    "((a][:b:c [d:3]": [[3, "((a][:b:c "], [10, "((a][:b:c d"]],
    "[a|(b:1.1)]": [[step, "(b:1.1)" if step % 2 == 0 else "a"] for step in range(1, 11)],
    "[fe|]male": [[step, "male" if step % 2 == 0 else "female"] for step in range(1, 11)],
    "[fe|||]male": [[1, "female"], [4, "male"], [5, "female"], [8, "male"], [9, "female"], [10, "male"]],
}
# What its current version makes of more, run beside it.
MORE = {
    "[a:1.1]": [[10, ""]],
    "[12:30]": [[10, ""]],
    "[cat]": [[10, "[cat]"]],
    "[a:b:c:3]": [[10, "[a:b:c:3]"]],
    "[[a|b]:c:3]": [[1, "a"], [2, "b"], [3, "a"], [10, "c"]],
    "[a:-1]": [[10, "a"]],
    "[a:b:1e1]": [[10, "a"]],
    "[a:b:+2]": [[2, "a"], [10, "b"]],
    "[:b:3]": [[3, ""], [10, "b"]],
    "[a::3]": [[3, "a"], [10, ""]],
    "[a:b:0]": [[10, "b"]],
    "[a:b:1]": [[1, "a"], [10, "b"]],
    "[a:b:1.0]": [[10, "a"]],
    "[a:b:99]": [[10, "a"]],
    "[a:b: .25 ]": [[2, "a"], [10, "b"]],
    "[(a:b:0.5]": [[10, "[(a:b:0.5]"]],
    r"[a\:b:c:3]": [[3, r"a\:b"], [10, "c"]],
    r"\[a:b:3\]": [[10, r"\[a:b:3\]"]],
    "([a:b:3]:1.2)": [[3, "(a:1.2)"], [10, "(b:1.2)"]],
    "[a (b:c:3) d:2]": [[10, "[a (b:c:3) d:2]"]],
    "x [a [b:3] c:2]": [[2, "x "], [3, "x a  c"], [10, "x a b c"]],
    "[a\nb:c\nd:3]": [[3, "a\nb"], [10, "c\nd"]],
    "(a:b:c) [d:2]": [[2, "(a:b:c) "], [10, "(a:b:c) d"]],
    "12:30 [x:2]": [[2, "12:30 "], [10, "12:30 x"]],
    "[a:b:3px]": [[10, "[a:b:3px]"]],
    "[]": [[10, "[]"]],
    "": [[10, ""]],
    # Ours: slots, tags and words in angle brackets are never looked into.
    "[{row: cat + dog}:bird:3]": [[3, "{row: cat + dog}"], [10, "bird"]],
    '[{"a [b:c:2]" - cat}:dog:3]': [[3, '{"a [b:c:2]" - cat}'], [10, "dog"]],
    "[<lora:x:1> a:<tabby>:3]": [[3, "<lora:x:1> a"], [10, "<tabby>"]],
}


def schedule(prompt: str, steps: int = 10) -> list[list[object]]:
    """Return [last step, text] of each stretch of equal texts."""
    found: list[list[object]] = []
    for step, reading in enumerate(readings(prompt, steps), 1):
        (text,) = reading.texts
        if found and found[-1][1] == text:
            found.pop()
        found.append([step, text])
    return found


@pytest.mark.parametrize("prompt", [*TABLE, *MORE])
def test_prompts_change_at_the_steps_at_which_they_do_in_automatic1111(prompt):
    assert schedule(prompt) == (TABLE | MORE)[prompt]


def test_its_long_example_changes_at_the_same_steps():
    prompt = (
        "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]"
        "[ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]"
    )
    assert schedule(prompt, 100) == [
        [25, "fantasy landscape with a mountain and an oak in foreground shoddy"],
        [50, "fantasy landscape with a lake and an oak in foreground in background shoddy"],
        [60, "fantasy landscape with a lake and an oak in foreground in background masterful"],
        [75, "fantasy landscape with a lake and an oak in background masterful"],
        [100, "fantasy landscape with a lake and a christmas tree in background masterful"],
    ]


@pytest.mark.parametrize(
    ("prompt", "texts", "weights"),
    [
        ("a cat AND a dog", ("a cat ", " a dog"), (1, 1)),
        ("a cat AND a dog:0.7", ("a cat ", " a dog"), (1, 0.7)),
        ("a:1.2 AND b : -.5 AND c:2.", ("a", " b ", " c"), (1.2, -0.5, 2)),
        ("a cat:0.5", ("a cat:0.5",), (1,)),
        ("a AND b:0", ("a ",), (1,)),
        ("a:0 AND b:0", ("a",), (0,)),
        ("ANDY AND aAND", ("ANDY ", " aAND"), (1, 1)),
        ("salt and sand", ("salt and sand",), (1,)),
        (r"a \:0.5 AND b", (r"a \:0.5 ", " b"), (1, 1)),
        ("a\nAND\nb:0.5\n", ("a\n", "\nb"), (1, 0.5)),
        ("(a:1.2) AND [b]:0.5", ("(a:1.2) ", " [b]"), (1, 0.5)),
        (
            '{"you AND me" + cat} AND <lora:A AND B:1> dog',
            ('{"you AND me" + cat} ', " <lora:A AND B:1> dog"),
            (1, 1),
        ),
    ],
)
def test_and_joins_prompts_with_their_weights(prompt, texts, weights):
    (reading,) = set(readings(prompt, 4))
    assert (reading.texts, reading.weights) == (texts, weights)


def test_in_a_negative_prompt_and_is_a_word():
    assert readings("a AND b:0.5", 3, joins=False)[0].texts == ("a AND b:0.5",)


def test_each_part_of_and_changes_by_itself():
    first, _, third = readings("[a:b:1] AND [c|d]:0.5", 3)
    assert (first.texts, third.texts) == (("a ", " c"), ("b ", " c"))
    assert third.weights == (1, 0.5)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("[" * 33 + "a" + ":b:1]" * 33, "must nest at most 32 "),
        (" AND ".join("abcdefghijklmnopq"), "must join at most 16"),
        ("a AND b:1000", "-100 to 100, got 1000"),
        ("[a|b][c|d|e][f|g|h|i|j][k|l|m|n|o|p|q]", "at most 64 different texts"),
        ("[{cat * dog}:b:3]", "must not multiply words by words"),
        ("a AND {cat +}", "must have words or a number here"),
    ],
)
def test_what_is_too_much_or_wrong_is_refused_in_words(prompt, message):
    with pytest.raises(ValueError, match=message) as error:
        check_texts(prompt, 1000)
    if isinstance(error.value, ExpressionError):
        assert prompt[error.value.position - 1 :].strip()


def test_thirty_two_switches_in_each_other_are_taken():
    assert readings("[" * 32 + "a" + ":b:1]" * 32, 2)[0].texts == ("a",)


def test_a_bad_slot_is_pointed_at_in_the_prompt_as_it_was_typed():
    prompt = "a house AND [{cat * dog}:b:3]"
    with pytest.raises(ExpressionError) as error:
        check_texts(prompt, 10)
    assert error.value.position == prompt.index("*")


def test_ten_thousand_brackets_are_read_in_no_time():
    for prompt in ("(" * 10_000 + ")" * 10_000, "[" * 20_000, "[a]" * 6_000, "[:" * 9_000 + "]" * 2_000):
        assert len(readings(prompt, 2)) == 2


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab ()[]:|1.5\\,AND"), max_size=30))
def test_texts_from_before_keep_their_reading(prompt):
    kept = keep_old_reading(prompt)
    (reading,) = set(readings(kept, 7))
    assert reading.texts == (kept,)
    before, now = ([(p.text, p.weight) for p in parse(text)] for text in (prompt, kept))
    assert [(t and t.lower(), w) for t, w in now] == [(t and t.lower(), w) for t, w in before]


def test_what_is_one_text_is_left_as_it_is_and_the_rest_is_refused_where_one_is_asked():
    for prompt in ("a [cat], (dog:1.2) 12:30", r"\[a|b\] and", "{cat + dog}"):
        assert keep_old_reading(prompt) == prompt
        refuse_changing("prompt", prompt)
    assert keep_old_reading("[a AND b|c]") == r"[a and b\|c]"  # a bracket that AND would cut
    assert keep_old_reading("[a AND b:c:0.5] AND d") == r"[a and b\:c\:0.5] and d"
    assert keep_old_reading("[a:b:0.5] AND [c|d]") == r"[a\:b\:0.5] and [c\|d]"
    with pytest.raises(ValueError, match=r"must be one text .* for instance a cat\)"):
        refuse_changing("prompt", "a [cat:dog:0.5]")
    assert len(parse_joined("a AND b")) == 2
