"""Whatever a visitor sends to any endpoint or event: a sentence or a result, and the app lives on, quick."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sd_app import Settings, Studio
from sd_app.ui import build_ui, choose_access, launch_options, theme_options
from tests.hostile_values import HOSTILE, nested
from tests.visitor import Visitor, write_json

LABELS = list(HOSTILE)
# What makes a call good, and quick if it is: put where a field is not the one that is tried.
USUAL: dict[str, object] = {
    "a": "cat",
    "b": "dog",
    "direction": "red",
    "expression": "cat",
    "texts": ["a cat"],
    "caption": "a",
    "mode": "fast",
    "num_inference_steps": 1,
    "width": 64,
    "height": 64,
    "frames": 2,
    "rows": 2,
    "columns": 2,
    "film": "none",
    "max_phrases": 1,
}
WITH_SLOT = ("/blend", "/walk", "/plane")
FROM_PICTURE = ("/img2img", "/inpaint", "/interrogate")


@pytest.fixture(scope="module")
def visitor(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A visitor of an app that others can reach, as it is really served."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("outputs", "cache")}
    settings = Settings(
        models_dir=random_models,
        outputs_dir=folders["outputs"],
        cache_dir=folders["cache"],
        model="model-a",
        mode="shared",
    )
    demo = build_ui(Studio(settings))
    access = launch_options(choose_access(environ={}))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **access, **theme_options())
    yield Visitor(url)
    demo.close()


@pytest.fixture(scope="module")
def pictures(visitor: Visitor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """An uploaded picture and a mask of its size, as clients describe them."""
    folder = tmp_path_factory.mktemp("pictures")
    pixels = np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    mask = Image.new("L", (83, 61))
    mask.paste(255, (20, 10, 50, 40))
    mask.save(folder / "mask.png")
    return {name: visitor.upload(folder / f"{name}.png") for name in ("image", "mask")}


def usual(endpoint: str, parameter: dict[str, Any], pictures: dict[str, object]) -> object:
    """Return a good value for a parameter of an endpoint."""
    name = parameter["parameter_name"]
    if name in ("init_image", "image"):
        return pictures["image"] if endpoint in FROM_PICTURE else None
    if name == "mask_image":
        return pictures["mask"]
    if name == "images":
        return [pictures["image"]]
    if name == "prompt":
        return "a {}" if endpoint in WITH_SLOT else "a cat"
    return USUAL.get(name, parameter.get("parameter_default"))


def try_endpoint(
    visitor: Visitor, pictures: dict[str, object], endpoint: str, field: int, label: str
) -> list[str]:
    """Call an endpoint with one hostile value among good ones; return what is wrong with the answer."""
    parameters = visitor.parameters[endpoint]
    values = [usual(endpoint, one, pictures) for one in parameters]
    values[field] = HOSTILE[label]
    faults = visitor.call(endpoint, values).faults(HOSTILE[label])
    return [f"{endpoint} {parameters[field]['parameter_name']}, {label}: {fault}" for fault in faults]


def try_event(visitor: Visitor, event: dict[str, Any], label: str, *, as_input: bool) -> list[str]:
    """Trigger an event of the page with a hostile value everywhere; return what is wrong with the answer."""
    value = HOSTILE[label]
    inputs = [value if as_input else None for _ in event["inputs"]]
    names = ("text", "id", "path", "name", "row", "prompt", "token", "keep")
    data = None if as_input else {**dict.fromkeys(names, value), "files": [{"path": value}, value]}
    faults = visitor.trigger(event, inputs, data).faults(value)
    return [f"{event['api_name']} {'inputs' if as_input else 'event'}, {label}: {fault}" for fault in faults]


def check_it_lives(visitor: Visitor, capfd: pytest.CaptureFixture[str]) -> None:
    """The log has no traceback, and the app still answers at once."""
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    began = time.monotonic()
    answer = visitor.call("/models", [])
    assert [model["name"] for model in answer.result[0]][:1] == ["model-a"]
    assert time.monotonic() - began < 10


def test_every_field_of_every_endpoint_answers_a_hostile_value(
    visitor: Visitor, pictures: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    """A sample: to each field the next of the values, so that all of them are sent."""
    labels = itertools.cycle(LABELS)
    faults = []
    for endpoint, parameters in visitor.parameters.items():
        for field in range(len(parameters)):
            faults += try_endpoint(visitor, pictures, endpoint, field, next(labels))
    assert faults == []
    check_it_lives(visitor, capfd)


@pytest.mark.filterwarnings("ignore:The value passed into gr.Dropdown")
def test_every_event_of_the_page_answers_a_hostile_value(
    visitor: Visitor, capfd: pytest.CaptureFixture[str]
) -> None:
    """A sample, as above: to every event one, as its inputs or in what the browser tells of it, by turns."""
    labels = itertools.cycle(LABELS)
    faults = []
    for number, event in enumerate(visitor.events):
        if number % 2 or not event["inputs"]:
            faults += try_event(visitor, event, next(labels), as_input=False)
        else:
            faults += try_event(visitor, event, next(labels), as_input=True)
            if len(event["inputs"]) == 1:  # a list is no key of a table, where choices are looked up
                faults += try_event(visitor, event, "a list of lists", as_input=True)
    assert faults == []
    check_it_lives(visitor, capfd)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_field_answers_every_hostile_value(
    visitor: Visitor, pictures: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    faults = []
    for endpoint, parameters in visitor.parameters.items():
        for field, label in itertools.product(range(len(parameters)), LABELS):
            faults += try_endpoint(visitor, pictures, endpoint, field, label)
    assert faults == []
    check_it_lives(visitor, capfd)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_event_answers_every_hostile_value(visitor: Visitor, capfd: pytest.CaptureFixture[str]) -> None:
    faults = []
    for event, label, as_input in itertools.product(visitor.events, LABELS, (True, False)):
        if event["inputs"] or not as_input:
            faults += try_event(visitor, event, label, as_input=as_input)
    assert faults == []
    check_it_lives(visitor, capfd)


def test_a_call_that_is_none_is_refused_in_words(visitor: Visitor, capfd: pytest.CaptureFixture[str]) -> None:
    """Not the values but the call itself is odd: too few, no list, no JSON, an event that does not exist."""
    assert "must have 3 values" in visitor.call("/tokens", []).error
    assert "must have 3 values" in visitor.call("/tokens", [1] * 50).error
    header = {"content-type": "application/json"}
    for path in ("call/tokens", "call/nothing", "call/v2/tokens", "queue/join", "run/predict", "cancel"):
        for body in (
            "",
            "[]",
            "{",
            "null",
            '{"data": 1}',
            '{"data": "\\ud83d"}',
            '{"data": [], "fn_index": 1e99, "session_hash": "\\ud83d"}',
            '{"data": [], "fn_index": -5, "session_hash": null}',
            '{"data": [], "fn_index": 100000, "session_hash": "a", "trigger_id": 1e5}',
            '{"data": {"a": 1}, "fn_index": 1, "session_hash": [1]}',
            write_json({"data": [nested(3000)]}),
            '{"data": [' + "9" * 5000 + "]}",
        ):
            answer = visitor.http.post(f"{visitor.url}/{path}", content=body, headers=header)
            assert "Traceback" not in answer.text
            assert "site-packages" not in answer.text
            if answer.status_code >= 500:
                assert " " in answer.json()["error"], (path, body[:60], answer.text)
    check_it_lives(visitor, capfd)


def test_the_visitor_of_these_tests_notices_bad_answers() -> None:
    from tests.visitor import Answer

    for bad in (
        Answer(status=500),
        Answer(status=200, error="Traceback (most recent call last)"),
        Answer(status=200, error="'utf-8' codec can't encode character"),
        Answer(status=200, error="/home/me/models is no folder"),
        Answer(status=200, error="KeyError"),
        Answer(status=500, error='{"error": null}'),
        Answer(status=200, error="this failed for a reason that was not foreseen; it is number ABC"),
    ):
        assert bad.faults("cat")
    quoted = Answer(status=200, error="seed must be a whole number, got '/tmp/x' (leave it out)")
    assert not quoted.faults("/tmp/x")
    assert not Answer(status=200, result=[]).faults("cat")
