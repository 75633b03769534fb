"""Choices in braces and wildcards: drawn by the seed, the same each time, and refused in words."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from sd_app import BlendRequest, Settings, Studio, Txt2ImgRequest
from sd_app.expressions import escape
from sd_app.metadata import from_infotext, parse_infotext, read_infotext, read_parameters
from sd_app.templates import Wildcards, draw, holds_choices, parse_template
from tests.limits import within_cpu_seconds

FILES = {
    "color.txt": "\ufeffred\n\n# no color\nblue\r\n3::green\n",
    "cloth/hats.txt": "a {straw|felt} hat\n__color__ cap\n",
    "cloth/shoes.txt": "boots\n",
    "loop.txt": "again __loop__\n",
    "many.txt": "__twice__ __twice__\n",
    "twice.txt": "__many__ __many__\n",
    "empty.txt": "# nothing\n\n",
}


@pytest.fixture
def wildcards(tmp_path: Path) -> Wildcards:
    for name, text in FILES.items():
        path = tmp_path / "wildcards" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return Wildcards(tmp_path / "wildcards")


def drawn(template: str, wildcards: Wildcards, count: int = 200) -> Counter[str]:
    return Counter(draw(template, seed, wildcards.lines) for seed in range(count))


@pytest.mark.parametrize(
    "prompt",
    [
        "a red cat",
        "a {cat + 0.43*dog}",
        '{"a|b" + cat} [a|b] a|b',
        r"\{red|blue\} \__color__ {cat\|dog}",
        "<lora:my__color__v:1> <a__color__b> a__color__b",
        "{a $$ b}",
        "{cat|dog",
        "___ __ ____ __init",
    ],
)
def test_what_was_no_template_before_is_none(prompt: str) -> None:
    assert parse_template(prompt) == (prompt,)
    assert draw(prompt, 3, lambda name: pytest.fail(name)) == prompt


def test_a_text_that_is_escaped_is_never_drawn_from() -> None:
    for text in ("{red|blue}", "a __color__ cat", "{2$$a|b}"):
        assert not holds_choices(escape(text))


@pytest.mark.parametrize(
    ("template", "possible"),
    [
        ("a {red|blue} cat", {"a red cat", "a blue cat"}),
        ("a{ big|} cat", {"a big cat", "a cat"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{a|{cat + dog}}", {"a", "{cat + dog}"}),
        ("{[a|b]|c}", {"[a|b]", "c"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{0-1$$a|b}", {"", "a", "b"}),
        ("{0::a|b}", {"b"}),
        ("{a \\| b|c}", {"a \\| b", "c"}),
        ("__color__", {"red", "blue", "green"}),
        ("__COLOR__ __shoes__", {"red boots", "blue boots", "green boots"}),
        ("__cloth/*__", {"a straw hat", "a felt hat", "red cap", "blue cap", "green cap", "boots"}),
        ("{2$$__color__}", {f"{a}, {b}" for a, b in permutations(("red", "blue", "green"), 2)}),
    ],
)
def test_all_that_a_template_can_become_is_drawn_and_nothing_else(
    template: str, possible: set[str], wildcards: Wildcards
) -> None:
    assert set(drawn(template, wildcards)) == possible


def test_weights_count(wildcards: Wildcards) -> None:
    assert 0.65 < drawn("{3::a|b}", wildcards, 2000)["a"] / 2000 < 0.85
    assert 0.5 < drawn("__color__", wildcards, 2000)["green"] / 2000 < 0.7


def test_a_seed_draws_the_same_for_good_and_one_prompt_leaves_the_other_alone(wildcards: Wildcards) -> None:
    template = "{a|b|c} __color__ {2$$x|y|z}"
    # Written down: another Python must draw them too.
    assert [draw(template, seed, wildcards.lines) for seed in range(3)] == GOLDEN
    assert drawn(template, wildcards) == drawn(template, wildcards)
    negative = [draw(template, seed, wildcards.lines, "negative_prompt") for seed in range(20)]
    assert negative != [draw(template, seed, wildcards.lines) for seed in range(20)]


GOLDEN = ["b green x, y", "c blue z, x", "c blue z, y"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("__colour__", "the wildcard colour is not here.*there is color"),
        ("__../color__", "is not here"),
        ("__loop__", "the wildcard loop leads on and on"),
        ("__many__", "leads on and on"),
        ("__empty__", "has no lines to draw from"),
        ("{0::a|0::b}", "weight above 0"),
        ("{3-1$$a|b}", "from fewer to more"),
        ("{5$$a|b}", "at most as many as there are, 2, got 5"),
        ("{2$$a|0::b}", "at most as many as there are, 1, got 2"),
        ("{9$$__color__}", "at most as many as there are, 3, got 9"),
        ("{-1::a|b}", "a number of 0 or more before ::"),
        ("{a|1,5::b}", "a number of 0 or more before ::"),
        ("{a|::b}", "a number of 0 or more before ::"),
        ("{@a|b}", "must not begin a choice with @"),
        ("{" * 30 + "a" + "|b}" * 30, "at most 16 choices"),
        ("{a|a}" * 1001, "1,000 in all"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(template: str, words: str, wildcards: Wildcards) -> None:
    with pytest.raises(ValueError, match=words):
        draw(template, 1, wildcards.lines)


def test_a_huge_file_is_refused_and_one_that_is_no_utf_8_is_read(tmp_path: Path) -> None:
    (tmp_path / "huge.txt").write_bytes(b"word\n" * 2_000_001)
    (tmp_path / "old.txt").write_bytes("café".encode("cp1252"))
    with pytest.raises(ValueError, match="huge must have at most 10,000,000 bytes"):
        Wildcards(tmp_path).lines("huge")
    assert [line.text for line in Wildcards(tmp_path).lines("old")] == ["café"]


@pytest.mark.parametrize("piece", ["{a|", "{", "__a", "[|", '{"|', "{}", "__a__ ", "|}"])
def test_hostile_templates_are_read_in_no_time(piece: str) -> None:
    def read() -> None:
        with suppress(ValueError):
            parse_template(piece * (20_000 // len(piece)))

    within_cpu_seconds(3, read)


def test_arithmetic_takes_no_choices() -> None:
    with pytest.raises(ValueError, match="must not hold choices"):
        BlendRequest(expression="cat", prompt="a {red|blue} {}")
    with pytest.raises(ValueError, match="styles must be none here"):
        BlendRequest(expression="cat", styles=("Oil",))


@pytest.fixture
def studio(random_settings: Settings, tmp_path: Path, wildcards: Wildcards) -> Studio:
    return Studio(replace(random_settings, outputs_dir=tmp_path / "outputs", prompts_dir=tmp_path))


def test_each_picture_has_its_own_prompt_and_file_and_both_make_the_same_bytes(studio: Studio) -> None:
    asked = Txt2ImgRequest(
        prompt="a __color__ {cat|dog}",
        negative_prompt="{blurry|}",
        seed=11,
        num_images=4,
        num_inference_steps=2,
    )
    made = studio.txt2img(asked)
    assert len(set(made.drawn)) > 1
    for number, path in enumerate(made.paths):
        text = read_infotext(path) or ""
        said = parse_infotext(text)
        assert (said.prompt, said.negative_prompt) == made.drawn[number]
        assert said.fields["Template"] == "a __color__ {cat|dog}"
        assert said.fields["Negative Template"] == "{blurry|}"
        assert made.request_of(number) == from_infotext(text)
        for request in (from_infotext(text), replace(asked, seed=11 + number, num_images=1)):
            (again,) = studio.txt2img(request).paths
            assert again.read_bytes() == path.read_bytes()


def test_a_missing_wildcard_is_refused_before_a_picture_and_the_line_shows_one_prompt(
    studio: Studio,
) -> None:
    with pytest.raises(ValueError, match="the wildcard nothing is not here"):
        studio.txt2img(Txt2ImgRequest(prompt="a __nothing__", num_images=3))
    report = studio.tokens("a {red|red} cat")
    assert report.count == 3
    assert "this is how one of them is read: “a red cat”" in report.remarks[0]


def test_wildcards_and_choices_of_other_programs_stay_plain_words() -> None:
    reading = read_parameters("a __color__ {cat|dog}\nSteps: 4, Sampler: Euler, CFG scale: 3, Seed: 5")
    assert not reading.request.is_template
    assert "The wildcard __color__ is read as plain text." in reading.remarks
    old = "a __color__ cat\nSteps: 4, Sampler: DDIM, CFG scale: 3, Seed: 5, Version: sd_app 0.2.0"
    assert not from_infotext(old).is_template
