"""A request's field is written once: checked, told, written, read and asked for from that one line."""

import argparse
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sd_app import Settings, Studio
from sd_app.cli.flags import add_request_flags, given_fields
from sd_app.expressions import METHODS, SPACES
from sd_app.metadata import from_infotext, to_infotext
from sd_app.requests import (
    SIDES,
    BlendRequest,
    Img2ImgRequest,
    InfotextKey,
    InpaintRequest,
    InterrogateRequest,
    MatchRequest,
    PlaneRequest,
    Txt2ImgRequest,
    WalkRequest,
    check_limits,
    make_request,
    request_class,
    request_field,
    request_fields,
)
from sd_app.ui import build_ui
from sd_app.ui.shared.errors import sentence
from sd_app.ui.shared.field_controls import control
from sd_app.ui.shared.form import build_request, field_names, valid_fields
from tests.infotexts import PLAIN

REQUESTS = (
    *(Txt2ImgRequest, Img2ImgRequest, InpaintRequest, BlendRequest, WalkRequest, PlaneRequest),
    *(InterrogateRequest, MatchRequest),
)


@request_class
class WarmRequest(Txt2ImgRequest):
    """A request with a number, a choice and a switch more, each written once."""

    warmth: float = request_field(
        default=0.5,
        low=0.0,
        high=2.0,
        slider=True,
        label="Warmth",
        help="more is redder",
        infotext=InfotextKey("Warmth"),
    )
    layers: int = request_field(
        default=2, low=1, high=9, label="Layers", help="how many", infotext=InfotextKey("Layers")
    )
    light: str = request_field(
        default="day",
        choices={"day": "By day", "night": "By night"},
        label="Light",
        help="when it is",
        flags=("-l",),
        infotext=InfotextKey("Light"),
    )
    grain: bool = request_field(
        default=False, label="Grain", help="as in film", infotext=InfotextKey("Grain")
    )


WARM = WarmRequest(**vars(PLAIN), warmth=1, layers=3, light="night", grain=True)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("warmth", 2.5, "warmth must be a number from 0 to 2, got 2.5"),
        ("layers", 0, "layers must be a whole number from 1 to 9, got 0"),
        ("light", "dusk", "light must be one of day, night, got 'dusk'"),
        ("grain", 1, "grain must be True or False, got 1"),
    ],
)
def test_a_new_field_is_checked(name: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        make_request(WarmRequest, vars(WARM) | {name: value})


def test_a_new_field_is_written_to_the_infotext_and_read_back() -> None:
    text = to_infotext(WARM, version="1")
    assert text.endswith("Model: tiny-sd, Warmth: 1.0, Layers: 3, Light: night, Grain: True, Version: 1")
    assert from_infotext(text, WarmRequest) == WARM
    usual = WarmRequest(**vars(PLAIN))
    assert to_infotext(usual) == to_infotext(PLAIN)
    assert from_infotext(to_infotext(PLAIN), WarmRequest) == usual
    assert from_infotext(text.replace("Warmth: 1.0", "Warmth: 99"), WarmRequest) == replace(WARM, warmth=0.5)


def test_a_new_field_has_a_flag_with_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_request_flags(parser, WarmRequest)
    options = parser.parse_args(["a cat", "--warmth", "1.5", "--layers", "4", "-l", "night", "--grain"])
    assert given_fields(options, WarmRequest) == {
        "prompt": "a cat",
        "warmth": 1.5,
        "layers": 4,
        "light": "night",
        "grain": True,
    }
    assert given_fields(parser.parse_args(["a cat"]), WarmRequest) == {"prompt": "a cat"}
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "more is redder (0 to 2, default: 0.5)" in shown
    assert "when it is: day or night (default: day)" in shown


def test_a_new_field_has_a_control() -> None:
    warmth = control(WarmRequest, "warmth", explained=True)
    layers, light, grain = (control(WarmRequest, name) for name in ("layers", "light", "grain"))
    assert [one.get_block_name() for one in (warmth, layers, light, grain)] == [
        "slider",
        "number",
        "radio",
        "checkbox",
    ]
    assert (warmth.label, warmth.info) == ("Warmth", "More is redder")
    assert (warmth.minimum, warmth.maximum, warmth.step, warmth.value) == (0, 2, 0.01, 0.5)
    assert (layers.label, layers.step, layers.value) == ("Layers", 1, 2)
    assert (light.choices, light.value) == ([("By day", "day"), ("By night", "night")], "day")
    assert (grain.label, grain.value) == ("Grain", False)


def test_a_form_reads_a_new_field_as_browsers_send_it() -> None:
    assert {"warmth", "layers", "light", "grain"} <= set(field_names(WarmRequest))
    sent = {"prompt": "a cat", "layers": 3.0, "warmth": 1, "light": "night", "seed": -1}
    assert build_request(sent, WarmRequest) == WarmRequest(
        prompt="a cat", layers=3, warmth=1.0, light="night"
    )
    kept = valid_fields({"layers": 3, "warmth": 9, "light": "dusk"}, [], (), WarmRequest)
    assert kept == {"layers": 3}


@pytest.mark.parametrize("request_type", REQUESTS)
def test_every_field_says_what_it_is(request_type: type) -> None:
    known = request_fields(request_type)
    assert list(known) == [field.name for field in fields(request_type)]
    for field in known.values():
        assert field.label
        assert field.long_label[0] == field.long_label[0].upper()
        assert field.help
        assert not field.help.endswith(".")
        assert "{low}" not in field.help + field.long_label


def test_a_subclass_may_change_a_default_and_inherits_the_rest() -> None:
    mine, other = (request_fields(one)["resize_mode"] for one in (InpaintRequest, Img2ImgRequest))
    assert (mine.default, other.default) == ("pad", "crop")
    assert replace(mine, default="crop") == other
    around = request_fields(BlendRequest)["prompt"]
    assert (around.default, around.long_label, around.label) == (
        "{}",
        "Prompt around the words",
        "Prompt",
    )


def test_no_two_fields_of_a_request_share_a_key_or_a_flag() -> None:
    for request_type in REQUESTS:
        known = request_fields(request_type).values()
        keys = [field.infotext.key for field in known if field.infotext]
        flags = [flag for field in known for flag in field.flags]
        assert len(set(keys)) == len(keys)
        assert len(set(flags)) == len(flags)


def test_choices_are_those_the_expressions_know() -> None:
    assert request_fields(BlendRequest)["space"].names == SPACES
    assert request_fields(WalkRequest)["method"].names == METHODS
    assert len(SIDES) == 4


def test_an_error_on_the_page_names_a_field_by_its_label() -> None:
    assert sentence("cache_interval must be a whole number") == "Deep blocks every must be a whole number."
    assert sentence("direction must be text") == "Add along the columns must be text."


NUMBERS = [
    (request_type, name)
    for request_type in (InpaintRequest, BlendRequest, WalkRequest, PlaneRequest, InterrogateRequest)
    for name, field in request_fields(request_type).items()
    if field.is_number and not field.check and not callable(field.high)
]


@pytest.mark.parametrize(("request_type", "name"), NUMBERS)
def test_a_bound_is_said_as_it_is_and_holds_itself(request_type: type, name: str) -> None:
    """Both ends are taken; one step beyond is refused, and the error names the ends that are taken."""
    field = request_fields(request_type)[name]
    low, high = field.bound("low"), field.bound("high")
    for value in (low, high):
        assert field.checked(int(value) if field.kind is int else value) == value
    step = 1 if field.kind is int else 1e-6
    for beyond in (low - step, high + step):
        with pytest.raises(ValueError, match=name) as refused:
            field.checked(int(beyond) if field.kind is int else beyond)
        said = re.search(r"from (\S+) to (\S+?),", str(refused.value))
        assert said, refused.value
        assert [(int if field.kind is int else float)(end) for end in said.groups()] == [low, high]


@pytest.mark.parametrize(("mode", "frames"), [("local", 400), ("shared", 60), ("space", 60)])
def test_the_pages_labels_say_the_limits_that_hold_here(mode: str, frames: int, tmp_path: Path) -> None:
    studio = Studio(Settings(mode=mode, max_images=60, models_dir=tmp_path, outputs_dir=tmp_path))
    components = [one["props"] for one in build_ui(studio).get_config_file()["components"]]
    labels = [one.get("label") for one in components]
    titles = [str(one.get("value")) for one in components]
    assert sum("number of pictures, at most 60<" in title for title in titles) == 3
    assert f"Frames, 2–{frames}" in labels
    request = Txt2ImgRequest(prompt="a", num_images=60)
    check_limits(request, studio.settings)
    with pytest.raises(ValueError, match="num_images must be at most 60 here, got 61"):
        check_limits(replace(request, num_images=61), studio.settings)
