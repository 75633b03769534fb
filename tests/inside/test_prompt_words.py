"""The words of a prompt as people count them, found by taking each of them out."""

import pytest
from transformers import CLIPTokenizer

from sd_app.addons import NO_WORDS
from sd_app.inside.prompt_words import (
    FoundWords,
    PromptReader,
    find_words,
    with_other,
    without,
)
from sd_app.settings import EMBEDDED_DIR


@pytest.fixture(scope="module")
def reader() -> PromptReader:
    tokenizer = CLIPTokenizer.from_pretrained(EMBEDDED_DIR / "tiny-sd" / "tokenizer")
    return PromptReader(tokenizer=tokenizer, book=NO_WORDS, steps=25)


def labels(found: FoundWords) -> list[str]:
    return [word.label for word in found.words]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat on the beach", ["a", "cat", "on", "the", "beach"]),
        ("a cat and a cat", ["a", "cat", "and", "a (2)", "cat (2)"]),
        ("cat cat cat", ["cat", "cat (2)", "cat (3)"]),
        ("cat,dog, bird", ["cat", "dog", "bird"]),
        ("medium-sized, don't, 2026, long_hair", ["medium-sized", "don't", "2026", "long_hair"]),
        ("a (big:1.3) [small] ((red)) (blue:-0.5)", ["a", "big", "small", "red", "blue"]),
        ("a (big cat:1.3", ["a", "big", "cat", "1.3"]),  # the bracket is not closed: the number is read
        ("(a [b) c] d", ["a", "b", "c", "d"]),
        (r"miku \(vocaloid\)", ["miku", "vocaloid"]),
        ("a cat <lora:style:0.8> here", ["a", "cat", "here"]),
        ("[cat:dog:0.5] in [red|blue] snow", ["cat", "dog", "in", "red", "blue", "snow"]),
        ("[cat:8] [dog::0.3]", ["cat", "dog"]),
        ("a cat AND a dog:0.7", ["a", "cat", "a (2)", "dog"]),
        ("a cat BREAK a dog", ["a", "cat", "a (2)", "dog"]),
        ("a {row: cat + 0.43*tabby} here", ["a", "{row: cat + 0.43*tabby}", "here"]),
        ("{cat} {lerp(red, blue, 0.5)}", ["{cat}", "{lerp(red, blue, 0.5)}"]),
        ("🐱 猫が好き", ["🐱", "猫が好き"]),
        ("cat\ndog\t bird", ["cat", "dog", "bird"]),
        ("", []),
        (" , . (((", []),
        ("<|endoftext|>", ["endoftext"]),
    ],
)
def test_a_prompt_has_the_words_that_people_count(reader, prompt, expected):
    assert labels(find_words(reader, prompt)) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "a (big:1.3) cat, [red] cat",
        "x [cat:dog:0.5] and [a|b|c] y",
        "a cat AND a (dog:1.2) AND cat :0.5",
        "very " * 80 + "red cat, " + "big " * 60,
    ],
)
def test_each_word_is_exactly_its_tokens_in_every_text_that_holds_it(reader, prompt):
    for word in find_words(reader, prompt).words:
        assert word.taken
        for taken in word.taken:
            tokens = reader.tokens(taken.text)[taken.first : taken.first + taken.count]
            assert "".join(token.text for token in tokens) == word.text
            rest = [token for window in reader.windows_without(taken) for token in window]
            kept = reader.tokens(taken.text)
            del kept[taken.first : taken.first + taken.count]
            assert [(t.id, t.weight, t.chunk) for t in rest] == [(t.id, t.weight, t.chunk) for t in kept]


def test_words_that_stand_twice_are_told_apart_by_their_place(reader):
    first, second = [word for word in find_words(reader, "a cat and a cat").words if word.text == "cat"]
    assert [first.taken[0].first, second.taken[0].first] == [1, 4]
    prompt = "a cat and a cat"
    assert without(prompt, first.start, first.end) == "a and a cat"
    assert without(prompt, second.start, second.end) == "a cat and a "


def test_words_behind_a_taken_one_stay_in_their_window_and_close_up(reader):
    found = find_words(reader, "red " * 75 + "cat on dog", most=200)
    windows = reader.windows_without(found.words[3].taken[0])
    assert [len(window) for window in windows] == [74, 3]
    assert [token.position for token in windows[0]] == list(range(1, 75))
    cat = next(word for word in found.words if word.text == "cat")
    assert [token.text for token in reader.windows_without(cat.taken[0])[1]] == ["on", "dog"]


def test_the_only_word_of_a_window_leaves_it_empty_and_there(reader):
    found = find_words(reader, "red " * 75 + "cat", most=200)
    assert reader.windows_without(found.words[-1].taken[0])[1] == []


@pytest.mark.parametrize(
    ("prompt", "word", "other", "expected"),
    [
        ("a red cat", "red", "", "a cat"),
        ("red cat", "red", "", "cat"),
        ("a red", "red", "", "a "),
        ("cat,red,dog", "red", "", "cat, ,dog"),
        ("a (red:1.3) cat", "red", "", "a ( :1.3) cat"),
        ("a (red:1.3) cat", "red", "blue", "a (blue:1.3) cat"),
        ("[red:blue:0.5]", "blue", "dark green", "[red:dark green:0.5]"),
        ("a red cat", "red", "  ", "a cat"),
    ],
)
def test_a_word_is_taken_out_or_another_stands_in_its_place(prompt, word, other, expected):
    start = prompt.index(word)
    assert with_other(prompt, start, start + len(word), other) == expected


def test_a_prompt_with_too_many_words_says_up_to_which_one_is_looked_into(reader):
    found = find_words(reader, " ".join(f"w{number}" for number in range(30)), most=10)
    assert labels(found) == [f"w{number}" for number in range(10)]
    assert found.notes == ("Only the first 10 words are looked into, up to w9: each costs calls.",)
    assert find_words(reader, "a b c", most=3).notes == ()


def test_some_of_the_words_can_be_chosen_and_no_others(reader):
    found = find_words(reader, "a cat and a cat")
    assert labels(found.only("cat (2)")) == ["cat (2)"]
    with pytest.raises(ValueError, match="word must be one of the prompt, got dog"):
        found.only("dog")


def test_and_is_a_word_of_a_negative_prompt(reader):
    negative = PromptReader(tokenizer=reader.tokenizer, book=NO_WORDS, steps=25, negative=True)
    assert labels(find_words(negative, "a cat AND a dog")) == ["a", "cat", "AND", "a (2)", "dog"]
