"""The search field: words and fields, what they find, and what is refused in words."""

from datetime import date

import pytest

from sd_app.history import History
from sd_app.history.search_text import MAX_SEARCH, read_search
from tests.history.picture_files import names, put

TODAY = date(2026, 11, 27)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("search")
    outputs = folder / "outputs"
    put(outputs, "a/1-5.png", "an orange cat, (fluffy:1.2) in a meadow", made="2026-11-25T12:00")
    put(outputs, "a/2-6.png", "a grey dog on the beach", negative_prompt="cat", made="2026-11-26T12:00")
    put(outputs, "a/3-7.png", "Café at night, 1girl", scheduler="DPM++ 2M", made="2026-10-31T23:59")
    put(outputs, "a/4-07.png", "猫と海, masterpiece", model="dream_shaper-8", made="2025-01-01T00:00")
    put(outputs, "a/5-8.png", "a cathedral <lora:old_stone:0.8>", made="2026-11-27T00:00")
    put(outputs, "a/6.jpg.png", infotext="", size=(512, 768), made="2020-02-29T12:00")
    made = History(outputs, folder / "cache")
    made.scan()
    made.mark(["a/1-5.png"], "favourite")
    made.mark(["a/2-6.png"], "like")
    made.mark(["a/3-7.png"], "dislike")
    return made


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", "5123 4 6"),
        ("cat", "51"),  # words may go on: a cathedral; not the dog, whose negative prompt has it
        ("cat orange", "1"),
        ("ORANGE", "1"),
        ('"orange cat"', "1"),
        ('"cat orange"', ""),
        ('"orange cat', "1"),
        ("cat -orange", "5"),
        ("-cat", "2346"),
        ("negative:cat", "2"),
        ("(fluffy:1.2)", "1"),
        ("cafe", "3"),
        ("1girl", "3"),
        ("猫", "4"),
        ("海", "4"),
        ("lora:old_stone", "5"),
        ("<lora:old_stone:0.8>", "5"),
        ("<", "5"),
        ("%", ""),
        ("model:dream", "4"),
        ("model:tiny-sd dog", "2"),
        ("sampler:dpm", "3"),
        ('sampler:"DPM++ 2M"', "3"),
        ("name:jpg", "6"),
        ("seed:7", "34"),
        ("-seed:7", "5126"),
        ("date:2026-11-26", "2"),
        ("date:2026-11", "512"),
        ("date:2026", "5123"),
        ("date:2026-12", ""),
        ("date:2026-11-25..2026-11-26", "21"),
        ("date:..2026-10", "346"),
        ("date:2026-11-26..", "52"),
        ("date:2026-10..2026-11-25", "13"),
        ("date:today", "5"),
        ("date:yesterday", "2"),
        ("-date:2026", "46"),
        ("size:512x768", "6"),
        ("size:768", "6"),
        ("size:64", "51234"),
        ("width:>=512", "6"),
        ("height:..100", "51234"),
        ("width:512..600", "6"),
        ("kind:txt2img", "51234"),
        ("kind:inpaint", ""),
        ("is:favourite", "1"),
        ("is:favorite", "1"),
        ("is:liked", "2"),
        ("is:marked", "123"),
        ("-is:marked", "546"),
        ("is:marked -is:dislike", "21"),
        ("is:like is:favourite", ""),
        ("date:2026-11 cat is:favourite seed:5 model:tiny", "1"),
        ('" AND OR NOT NEAR(', ""),
        ("cat*", "51"),
        ("cat OR dog", ""),
        ("'; DROP TABLE pictures; --", ""),
        ("masterpiece,", "4"),
    ],
)
def test_a_search_finds(history: History, search: str, found: str) -> None:
    asked = read_search(search, TODAY)
    numbers = [name[2] for name in names(history, asked)]
    assert sorted(numbers) == sorted(found.replace(" ", ""))
    assert numbers == [number for number in "521346" if number in numbers]  # newest first
    assert history.count(asked) == len(numbers)


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        ("seed:abc", "seed must be a whole number, got abc"),
        ("seed:-1", "seed must be a whole number, got -1"),
        ("seed:٣", "seed must be a whole number"),
        ("seed:", "search must say what seed should be"),
        ("model:", "search must say what model should be"),
        ("is:", "search must say what is should be"),
        ("date:2026-13", "date must be a day, month or year such as 2026-11-27"),
        ("date:2026-02-30", "date must be a day, month or year"),
        ("date:9999999", "date must be a day"),
        ("date:2026-11-27..2026-11-01", "date must begin before it ends"),
        ("date:..", "date must begin before it ends"),
        ("size:big", "size must be a number of pixels, got big"),
        ("width:512x512", "width must be a number of pixels, got 512x512"),
        ("width:..", "width must be a number of pixels"),
        ("kind:video", "kind must be one of txt2img, img2img, inpaint, embeddings, got video"),
        ("is:great", "is must be one of like, dislike, favourite or marked, got great"),
        ("x" * (MAX_SEARCH + 1), "search must have at most 1,000 characters, got 1,001"),
        ("a " * 41, "search must have at most 40 words, got 41"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused_in_words(search: str, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + problem):
        read_search(search, TODAY)


@pytest.mark.parametrize(
    "text", ["date:0001", "date:9999", "date:..1969", "date:9999-12-31", "size:0", "\0", '"', "-", ":"]
)
def test_odd_searches_are_answered(history: History, text: str) -> None:
    history.page(text)
    history.count(text)


def test_an_unknown_field_is_searched_as_words_and_said(history: History) -> None:
    assert history.page("modle:tiny").remarks == (
        "There is no field modle: it was searched as words. Did you mean model: ?",
    )
    assert history.page("lora:old_stone").remarks == ()
