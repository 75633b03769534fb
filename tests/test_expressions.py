"""The grammar of slots: what they mean, and an error that points at the character."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sd_app import BlendRequest, PlaneRequest, Txt2ImgRequest, WalkRequest
from sd_app.expressions import (
    ExpressionError,
    Interpolation,
    Mean,
    Scaled,
    Sum,
    Words,
    has_slots,
    parse_expression,
    parse_prompt,
    place_text,
)
from tests.limits import within_cpu_seconds

CAT, DOG = Words(text="cat"), Words(text="dog")
NAN = float("nan")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("cat", CAT),
        ("orange  cat", Words(text="orange cat")),
        ('"a cat, (red:1.2)"', Words(text="a cat, (red:1.2)")),
        (r'"say \"hi\""', Words(text='say "hi"')),
        ("<my-cat> dog", Words(text="<my-cat> dog")),
        ("3d", Words(text="3d")),
        ("cat + dog", Sum(parts=(CAT, DOG))),
        ("cat - dog + cat", Sum(parts=(CAT, Scaled(factor=-1, part=DOG), CAT))),
        ("cat + 0.43*dog", Sum(parts=(CAT, Scaled(factor=0.43, part=DOG)))),
        ("2*3*cat/4", Scaled(factor=1.5, part=CAT)),
        ("-(1 - 3)/4*cat", Scaled(factor=0.5, part=CAT)),
        ("--cat", CAT),
        ("-cat", Scaled(factor=-1, part=CAT)),
        ("cat*(1+1)", Scaled(factor=2, part=CAT)),
        ("lerp(cat, dog, 3/8)", Interpolation(method="lerp", a=CAT, b=DOG, t=0.375)),
        ("slerp(cat,dog,.5)", Interpolation(method="slerp", a=CAT, b=DOG, t=0.5)),
        ("mean(cat, dog, cat)", Mean(parts=(CAT, DOG, CAT))),
        ("1e-3*cat", Scaled(factor=0.001, part=CAT)),
    ],
)
def test_an_expression_is_read_as_it_is_meant(text, node):
    assert parse_expression(text, "expression") == node


def test_a_prompt_is_taken_apart_at_its_slots():
    template = parse_prompt(r"a \{b\} {input: cat + dog} (on:1.2) {input: snow} }")
    assert template.texts == (r"a \{b\} ", " (on:1.2) ", " }")
    assert [slot.phrases for slot in template.slots] == [("cat", "dog"), ("snow",)]
    assert template.space == "input"
    assert template.fill(("dog", "grass")) == r"a \{b\} dog (on:1.2) grass }"
    assert template.fill(("dog",)) == r"a \{b\} dog"
    assert not has_slots(r"a \{b\} }")
    assert place_text("a {cat + dog} here") == "a cat here"


@pytest.mark.parametrize(
    ("prompt", "position", "words"),
    [
        ("{cat +}", 6, "must have words or a number here"),
        ("{cat / 0}", 7, "must not divide by 0"),
        ("{cat / (1 - 1)}", 7, "must not divide by 0"),
        ("{cat / dog}", 7, "must not divide by words"),
        ("{2 + cat}", 1, "must not add a number to words"),
        ("{cat + 2}", 7, "must not add a number to words"),
        ("{cat*dog}", 4, "must not multiply words by words"),
        ("{nan*cat}", 1, "must have finite numbers, got nan"),
        ("{cat*inf}", 5, "must have finite numbers"),
        ("{cat*1e999}", 5, "must have finite numbers"),
        ("{lerp(cat, dog, NaN)}", 16, "must have finite numbers"),
        ("{1e5*cat}", 1, "must not weigh more than 1000"),
        ("{" + "(" * 10_000 + "cat}", 33, "must nest at most 32 brackets"),
        ("{" + "lerp(" * 3_000 + "cat}", 1 + 5 * 32 + 4, "must nest at most 32 brackets"),
        ("{" + "cat+" * 4_000 + "cat}", 1 + 4 * 64, "must have at most 64 phrases"),
        ("a {cat", 6, "must have a closing brace or an operator here, got the end"),
        ("{}", 1, "must not have an empty expression"),
        ("{row: }", 6, "must not have an empty expression"),
        ("{rows: cat}", 1, "must have one of all, row, input before the colon"),
        ("{cat!}", 4, "must not have '!' in an expression"),
        ('{"cat}', 1, "must not have '\"' in an expression"),
        ("{2 cats}", 3, "must have an operator after a number"),
        ("{top 10}", 5, "must have an operator between words and a number"),
        ("{foo(cat)}", 1, "must have one of lerp, slerp, mean before a bracket"),
        ("{lerp(cat, dog)}", 1, "must give lerp 3 values, got 2"),
        ("{lerp(cat, dog, 1.5)}", 16, "must give lerp a number from 0 to 1"),
        ("{lerp(cat, 2, 0.5)}", 11, "must have words here, got a number"),
        ("{3}", 1, "must hold words, not a number alone"),
        ("{cat, dog}", 4, "must have a closing brace or an operator here, got ,"),
        ("{cat {dog}}", 5, "must have a closing brace or an operator here, got {"),
        ("{row: cat}s", 10, "must keep a slot of the row space apart from letters"),
        ('{input: ""}', 8, "must not have an empty phrase in the input space"),
        ("{cat} {row: dog}", 6, "must have all slots in one space"),
    ],
)
def test_an_error_points_at_the_character(prompt, position, words):
    with pytest.raises(ExpressionError) as caught:
        Txt2ImgRequest(prompt="x", negative_prompt=prompt)
    error = caught.value
    rule, excerpt, caret = str(error).split("\n")
    assert error.position == position
    assert rule.startswith(f"negative_prompt {words}")
    assert f"at character {position + 1} (" in rule
    assert len(str(error)) < 300
    if position < len(prompt):
        assert excerpt[caret.index("^")] == prompt[position]


@pytest.mark.timeout(20)
@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='ab 01.+-*/(){},:"\\<>el', max_size=60))
def test_any_tangle_is_read_or_refused_in_words(text):
    try:
        parse_prompt("{" + text)
    except ValueError as error:
        assert str(error).startswith("prompt must ")  # noqa: PT017


def test_phrases_of_several_slots_are_limited_together():
    nine, eight = (" + ".join(["w" + "x" * index for index in range(count)]) for count in (9, 8))
    assert len(parse_prompt(f"{{{eight}}} {{{eight}}}").slots) == 2
    with pytest.raises(ValueError, match="prompt must need at most 64 texts"):
        parse_prompt(f"{{{nine}}} {{{eight}}}")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BlendRequest(expression="cat +"), "expression must have words"),
        (lambda: BlendRequest(expression="cat", prompt="a dog"), "prompt must hold {} once"),
        (lambda: BlendRequest(expression="cat", space="rows"), "space must be one of all, row, input"),
        (lambda: BlendRequest(expression="cat", num_images=2), "num_images must be 1"),
        (lambda: BlendRequest(expression=None), "expression must be text"),  # type: ignore[arg-type]
        (lambda: WalkRequest(a="cat", b="dog *"), "b must have words"),
        (
            lambda: WalkRequest(a="cat", b="dog", frames=1_000_000),
            "frames must be a whole number from 2",
        ),
        (lambda: WalkRequest(a="cat", b="dog", frames=1), "frames must be a whole number"),
        (lambda: WalkRequest(a="cat", b="dog", method="cubic"), "method must be one of lerp, slerp"),
        (lambda: WalkRequest(a="cat", b="dog", ts=(0, NAN)), "ts must be a number from 0 to 1"),
        (lambda: WalkRequest(a="cat", b="dog", ts=(1, 0)), "ts must not fall"),
        (lambda: WalkRequest(a="cat", b="dog", ts=(1,)), "ts must be 2 to 400 numbers"),
        (lambda: WalkRequest(a="cat", b="dog", film="gif"), "film must be one of none, mp4, webp"),
        (lambda: WalkRequest(a="cat", b="dog", fps=0), "fps must be a whole number from 1 to 60"),
        (lambda: PlaneRequest(a="cat", b="dog", direction="x", rows=21, columns=20), "columns must be"),
        (lambda: PlaneRequest(a="cat", b="dog", direction="x", low=NAN), "low must be a number"),
        (lambda: PlaneRequest(a="cat", b="dog", direction="2"), "direction must hold words"),
    ],
)
def test_nonsense_is_refused_before_anything_is_loaded(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith(words)


def test_requests_write_prompts_that_say_it_all():
    blend = BlendRequest(expression="cat + 0.43*tabby", prompt="a drawing of {}", space="row")
    assert blend.blended_prompt == "a drawing of {row: cat + 0.43*tabby}"
    walk = WalkRequest(a="cat", b="dog", frames=4, method="slerp")
    slot = parse_prompt(walk.frame_prompt(walk.places[1])).slots[0]
    assert slot.expression == Interpolation(method="slerp", a=CAT, b=DOG, t=1 / 3)
    shape: dict[str, Any] = {"rows": 2, "columns": 3, "low": -1, "high": 1, "space": "all"}
    plane = PlaneRequest(a="cat", b="dog", direction="x + y", **shape)
    assert plane.prompts[0] == "{lerp(cat, dog, 0.0) + -1.0*(x + y)}"
    assert plane.prompts[-1] == "{lerp(cat, dog, 1.0) + 1.0*(x + y)}"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (("{row: " + " + ".join(f"w{k}" for k in range(40)) + "} ") * 2, "at most 64 texts, got 80"),
        ("{input: a + b}" * 40, "at most 16 slots"),
        ("{a + b} {c + d} {e + f} {g + h} {i + j} {k + l} {m + n}", "at most 64 texts, got 128"),
    ],
)
def test_a_prompt_that_would_take_hours_to_encode_is_refused(prompt: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_prompt(prompt)


def test_many_factors_make_one_and_many_characters_take_no_time() -> None:
    many = parse_expression("cat" + "*1" * 5000, "expression")
    assert many == Scaled(factor=1.0, part=Words(text="cat"))
    assert parse_expression("2*cat*3/4", "expression") == Scaled(factor=1.5, part=Words(text="cat"))
    # It took minutes when each character was copied with the rest.
    within_cpu_seconds(5, lambda: parse_prompt("a" * 1_000_000 + "{a}"))
