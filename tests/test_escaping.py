"""Text that becomes a prompt: what is drawn is what CLIP scored."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sd_app import Settings
from sd_app.expressions import escape, escape_braces, parse_prompt
from sd_app.expressions.tags import find_tags
from sd_app.interrogator.phrases import load_groups
from sd_app.text.prompts import chunk, parse

ADVERSARIAL = [
    "smile :) wide (open), [grin]",
    "ratio 16:9 (1:2)",
    "{cat + 0.43*dog}",
    "an {unclosed",
    "closed} only",
    "rock AND roll BREAK dance",
    "AND",
    "cat:0.5 AND dog:2",
    "[cat:dog:0.5] [a|b|] [:x:3]",
    "<lora:style:0.8> <lyco:x> <hypernet:y:1> <foo:bar> a < b <3",
    r"back\slash \(already\) \{here\} \\ end" + "\\",
    "\\<lora:x:1>",
    "<\\(",
    "(((:1.5)))",
    "((nested [deep:er] ) :1.1)",
    "|a|b| __wild__ ${var} %percent% {a|b}",
    "café, naïve “quotes” — 猫 🐈 Ünïcode:1)",
    'say "cheese" <|endoftext|>',
    "",
]


def ids(tokenizer, texts: list[str]) -> list[list[int]]:
    plain = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
    return plain["input_ids"]


def read(tokenizer, prompt: str) -> list[tuple[int, float]]:
    return [(token.id, token.weight) for tokens in chunk(tokenizer, prompt) for token in tokens]


@pytest.fixture(scope="module")
def tokenizer(studio):
    return studio._ready_manager().tokenizer("tiny-sd")


@pytest.mark.parametrize("text", ADVERSARIAL)
def test_an_escaped_text_is_read_as_its_own_words_each_with_weight_1(tokenizer, text):
    prompt = escape(text)
    assert not parse_prompt(prompt).slots
    assert find_tags(prompt) == ()
    assert read(tokenizer, prompt) == [(token, 1.0) for token in ids(tokenizer, [text])[0]]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab \\()[]{}|:<>.1ANDBREAK,\n_*+-\"'"), max_size=40))
@example("<\\<a:b>")
def test_any_text_comes_back_from_its_escaped_form(text):
    pieces = parse(escape(text))
    assert "".join(piece.text or "BREAK" for piece in pieces).lower() == text.lower()
    assert all(piece.weight == 1 for piece in pieces)
    assert not parse_prompt(escape(text)).slots


@pytest.mark.parametrize("part", range(3))
def test_the_phrases_that_ship_are_drawn_as_they_are_scored(tokenizer, part):
    every = [phrase for group in load_groups(Settings(), None, None) for phrase in group.phrases]
    odd = [phrase for phrase in every if any(mark in phrase for mark in "\\()[]{}|:<AB")]
    some = (every[::97] + odd)[part::3]
    assert len(some) > 1000
    for phrase, expected in zip(some, ids(tokenizer, some), strict=True):
        tokens = read(tokenizer, escape(phrase))
        assert tokens == [(token, 1.0) for token in expected], phrase


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {cat}", r"a \{cat}"),
        (r"a \{cat}", r"a \{cat}"),
        (r"a \\{cat}", r"a \\\{cat}"),
        ("(cat:1.2) [a|b] :}", "(cat:1.2) [a|b] :}"),
        ("{a|{b}", r"\{a|\{b}"),
    ],
)
def test_only_the_braces_of_another_program_are_escaped(text, expected):
    assert escape_braces(text) == expected
    assert escape_braces(expected) == expected
    assert not parse_prompt(expected).slots
