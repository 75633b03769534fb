"""The form: components <-> a request, and the values it keeps between visits.

A form is a dict from a request's field name to the component that holds it. Events hand over all values
at once, keyed by component, and unprocessed: the request checks them, Gradio does not.
"""

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from ..catalog import ModelInfo
from ..metadata import from_infotext
from ..requests import Txt2ImgRequest, parse_seed

Form = Mapping[str, Any]  # field name -> gradio component

NUMBERS = ("num_inference_steps", "width", "height", "num_images", "clip_skip")
FIELDS = tuple(field.name for field in fields(Txt2ImgRequest))
LABELS = {
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    "model": "Model",
    "scheduler": "Sampler",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "seed": "Seed",
    "width": "Width",
    "height": "Height",
    "num_images": "Pictures",
    "clip_skip": "Clip skip",
}
EMPTY = {"prompt": "", "negative_prompt": "", "seed": -1, "num_images": 1, "clip_skip": 1}
RANDOM_SEED = -1
MODEL_FIELDS = (
    "width",
    "height",
    "num_inference_steps",
    "guidance_scale",
    "scheduler",
)  # a model has its own


def read_request(form: Form, values: Mapping[Any, object]) -> Txt2ImgRequest:
    """Build the request from the values of an event; raise ValueError for a bad one."""
    return build_request({name: values[component] for name, component in form.items()})


def build_request(values: Mapping[str, object]) -> Txt2ImgRequest:
    """Build the request from raw values by field name. -1 as a seed means random, None the default."""
    known = {name: value for name, value in values.items() if value is not None and value != ""}
    checked: dict[str, Any] = {"prompt": "", **{name: _whole(name, value) for name, value in known.items()}}
    if "seed" in checked:
        checked["seed"] = parse_seed(checked["seed"])
    return Txt2ImgRequest(**checked)


def _whole(name: str, value: object) -> object:
    """Return 25.0, as browsers send it, as 25; leave all else for the request to judge."""
    if name in NUMBERS and isinstance(value, float) and isfinite(value) and value.is_integer():
        return int(value)
    return value


def model_defaults(model: ModelInfo) -> dict[str, object]:
    """Return what choosing a model sets: its MODEL_FIELDS."""
    side = model.native_size
    values = (side, side, model.default_steps, model.default_guidance_scale, model.default_scheduler)
    return dict(zip(MODEL_FIELDS, values, strict=True))


def valid_fields(saved: object, models: list[str], schedulers: tuple[str, ...]) -> dict[str, object]:
    """Return the fields of a saved form that a request accepts, and drop the rest.

    The browser keeps the saved form, so it may hold anything.
    """
    if not isinstance(saved, dict):
        return {}
    valid = {name: value for name, value in saved.items() if name in FIELDS and _is_valid(name, value)}
    return _existing(valid, models, schedulers)[0]


def _is_valid(name: str, value: object) -> bool:
    if name == "prompt" and value == "":
        return True
    if value is None or isinstance(value, list | dict):
        return False
    try:
        build_request({"prompt": "a", name: value})
    except ValueError:
        return False
    return True


def fields_of(
    infotext: str, models: list[str], schedulers: tuple[str, ...]
) -> tuple[dict[str, object], list[str]]:
    """Read a picture's infotext, ours or AUTOMATIC1111's, into form fields and remarks on what is missing.

    Raise ValueError if it holds no prompt that a request accepts.
    """
    request = from_infotext(infotext)
    found = {name: getattr(request, name) for name in FIELDS}
    found = {name: value for name, value in found.items() if value is not None}
    return _existing(found, models, schedulers)


def _existing(
    values: dict[str, object], models: list[str], schedulers: tuple[str, ...]
) -> tuple[dict[str, object], list[str]]:
    """Drop a model or scheduler that is not here; say so."""
    kept, remarks = dict(values), []
    for name, choices in (("model", models), ("scheduler", list(schedulers))):
        if name in kept and kept[name] not in choices:
            remarks.append(f"The {name} {kept.pop(name)} is not here, so yours stays.")
    return kept, remarks
