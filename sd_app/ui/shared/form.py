"""The form: components <-> a request, and the values it keeps between visits.

A form is a dict from a request's field name to the component that holds it. Events hand over all values
at once, keyed by component, and unprocessed: the request checks them, Gradio does not. Pictures are no
fields of the form: the canvas holds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from math import isfinite
from typing import Any, TypeVar

from PIL import Image

from ...checkpoints.model_info import ModelInfo
from ...metadata import from_infotext
from ...requests import (
    MAX_PROMPT,
    ArithmeticRequest,
    Img2ImgRequest,
    InpaintRequest,
    InterrogateRequest,
    MatchRequest,
    Txt2ImgRequest,
    parse_seed,
    take_apart,
)
from .components import Form, Values

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest | InterrogateRequest | MatchRequest)

NUMBERS = (
    *("num_inference_steps", "width", "height", "num_images", "clip_skip", "feather", "padding"),
    "cache_interval",
    *("min_phrases", "max_phrases", "flavor_intermediate_count", "beam_width"),
    *("frames", "fps", "rows", "columns"),
)
# What is kept between visits as it was typed, half an expression too. The last two are no request's.
TEXTS = ("prompt", "negative_prompt", "expression", "a", "b", "direction", "text", "other")
MODES = ("tokens", "blend", "walk", "plane")  # of the tab that has several
PICTURES = ("init_image", "mask_image", "image", "images")
MAY_BE_EMPTY = ("caption",)  # an empty text says something else than none
MARGINS = ("outpaint_left", "outpaint_top", "outpaint_right", "outpaint_bottom")  # outpaint's components
LABELS = {
    "init_image": "Picture",
    "mask_image": "Mask",
    "strength": "Strength",
    "resize_mode": "Fit",
    "feather": "Feather",
    "padding": "Padding",
    "outpaint": "Extend",
    "masked_content": "Painted area starts from",
    "only_masked": "Only the painted area",
    "soft_mask": "Soft mask",
    "invert_mask": "Invert",
    "color_match": "Match colours",
    "blend": "Blend",
    "image": "Picture",
    "images": "Pictures",
    "texts": "Texts",
    "mode": "Search",
    "clip_model": "CLIP model",
    "caption_model": "Caption model",
    "caption": "Caption",
    "groups": "Lists",
    "min_phrases": "Fewest rounds",
    "max_phrases": "Most phrases",
    "flavor_intermediate_count": "Candidates",
    "beam_width": "Chains of deep",
    "keep": "Phrases",
    "expression": "Expression",
    "space": "Space",
    "a": "From",
    "b": "To",
    "frames": "Frames",
    "method": "Way",
    "film": "Film",
    "fps": "Frames a second",
    "direction": "Add in columns",
    "rows": "Rows",
    "columns": "Columns",
    "low": "First column",
    "high": "Last column",
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
    "guidance_end": "Guidance until",
    "cache_interval": "Deep blocks every",
    "vae": "VAE",
}
EMPTY = {"prompt": "", "negative_prompt": "", "seed": -1, "num_images": 1, "clip_skip": 1}
RANDOM_SEED = -1
OWN_VAE = ""  # the form's word for the model's own
MODEL_FIELDS = (
    "width",
    "height",
    "num_inference_steps",
    "guidance_scale",
    "scheduler",
)  # a model has its own


def read_request(
    form: Form,
    values: Values,
    request_type: type[RequestT],
    pictures: Mapping[str, Image.Image | None],
) -> RequestT:
    """Build the request from an event's values and the canvas's pictures; raise ValueError for a bad one.

    A form may hold fields of other requests too.
    """
    names = field_names(request_type)
    asked = {name: values[component] for name, component in form.items() if name in names}
    return build_request({**asked, **pictures}, request_type)


def build_request(values: Mapping[str, object], request_type: type[RequestT]) -> RequestT:
    """Build the request from raw values by field name. -1 as a seed means random, None the default."""
    known = {
        name: value
        for name, value in values.items()
        if value is not None and (value != "" or name in MAY_BE_EMPTY)
    }
    checked: dict[str, Any] = {name: _whole(name, value) for name, value in known.items()}
    for field in fields(request_type):
        if field.default is MISSING and field.name not in PICTURES:
            checked.setdefault(field.name, "")  # an empty text, which the request refuses in words
    if "seed" in checked:
        checked["seed"] = parse_seed(checked["seed"])
    if any(name in values for name in MARGINS):
        checked["outpaint"] = tuple(checked.pop(name, 0) for name in MARGINS)
    if "init_image" not in checked and issubclass(request_type, Img2ImgRequest):
        raise ValueError("init_image is missing (drop a picture on the canvas, or draw one)")
    if "image" not in checked and issubclass(request_type, InterrogateRequest):
        raise ValueError("image is missing (open, paste or drop one)")
    return request_type(**checked)


def field_names(request_type: type[Any]) -> tuple[str, ...]:
    """Return the names that a form of this request has, pictures left out."""
    names: list[str] = []
    for field in fields(request_type):
        names += MARGINS if field.name == "outpaint" else [field.name]
    return tuple(name for name in names if name not in PICTURES)


def _whole(name: str, value: object) -> object:
    """Return 25.0, as browsers send it, as 25; leave all else for the request to judge."""
    if name in (*NUMBERS, *MARGINS) and isinstance(value, float) and isfinite(value) and value.is_integer():
        return int(value)
    return value


def model_defaults(model: ModelInfo) -> dict[str, object]:
    """Return what choosing a model sets: its MODEL_FIELDS."""
    side = model.native_size
    values = (side, side, model.default_steps, model.default_guidance_scale, model.default_scheduler)
    return dict(zip(MODEL_FIELDS, values, strict=True))


def valid_fields(
    saved: object,
    models: list[str],
    schedulers: tuple[str, ...],
    request_type: type[Txt2ImgRequest] = Txt2ImgRequest,
    vaes: Sequence[str] = (),
) -> dict[str, object]:
    """Return the fields of a saved form that a request accepts, and drop the rest.

    The browser keeps the saved form, so it may hold anything.
    """
    if not isinstance(saved, dict):
        return {}
    names = {*field_names(request_type), *TEXTS, "mode"}
    valid = {
        name: value for name, value in saved.items() if name in names and _is_valid(name, value, request_type)
    }
    return _existing(valid, models, schedulers, vaes)[0]


def _is_valid(name: str, value: object, request_type: type[Txt2ImgRequest]) -> bool:
    if name in TEXTS:
        return isinstance(value, str) and len(value) <= MAX_PROMPT
    if name == "mode":
        return value in MODES
    if value is None or isinstance(value, list | dict):
        return False
    try:
        build_request({**_any_texts(request_type), **_any_pictures(request_type), name: value}, request_type)
    except ValueError:
        return False
    return True


def _any_texts(request_type: type[Txt2ImgRequest]) -> dict[str, str]:
    """Return words for the texts that a request must have."""
    names = [field.name for field in fields(request_type) if field.default is MISSING]
    return {name: "a" for name in names if name in TEXTS}


def _any_pictures(request_type: type[Txt2ImgRequest]) -> dict[str, Image.Image]:
    """Return pictures that make a request complete whose other fields are looked at."""
    pictures = {}
    if issubclass(request_type, Img2ImgRequest):
        pictures["init_image"] = Image.new("RGB", (8, 8))
    if issubclass(request_type, InpaintRequest):
        pictures["mask_image"] = Image.new("L", (8, 8))
    return pictures


def fields_of(
    infotext: str,
    models: list[str],
    schedulers: tuple[str, ...],
    request_type: type[Txt2ImgRequest] = Txt2ImgRequest,
    vaes: Sequence[str] = (),
) -> tuple[dict[str, object], list[str]]:
    """Read a picture's infotext, ours or AUTOMATIC1111's, into form fields and remarks on what is missing.

    Raise ValueError if it holds no prompt that a request accepts.
    """
    arithmetic = issubclass(request_type, ArithmeticRequest)
    saved_type = Txt2ImgRequest if arithmetic else request_type
    request = from_infotext(infotext, saved_type, **_any_pictures(saved_type))
    found: dict[str, object] = {}
    for field in fields(saved_type):
        value = getattr(request, field.name)
        if field.name == "outpaint":
            found |= dict(zip(MARGINS, value, strict=True))
        elif value is not None and field.name not in PICTURES:
            found[field.name] = value
    found["vae"] = (request.vae or OWN_VAE).removesuffix(".safetensors")  # as AUTOMATIC1111 names it
    if request.vae in vaes:
        found["vae"] = request.vae
    if arithmetic:
        found |= {**take_apart(request.prompt), "mode": "blend"}
    return _existing(found, models, schedulers, vaes)


def _existing(
    values: dict[str, object], models: list[str], schedulers: tuple[str, ...], vaes: Sequence[str]
) -> tuple[dict[str, object], list[str]]:
    """Drop a model, scheduler or VAE that is not here; say so."""
    kept, remarks = dict(values), []
    known = {"model": models, "scheduler": schedulers, "vae": (OWN_VAE, *vaes)}
    for name, choices in known.items():
        if name in kept and kept[name] not in choices:
            label = "VAE" if name == "vae" else name
            remarks.append(f"The {label} {kept.pop(name)} is not here, so yours stays.")
    return kept, remarks
