"""The form: components <-> a request, and the values it keeps between visits.

A form is a dict from a request's field name to the component that holds it. Events hand over all values
at once, keyed by component, and unprocessed: the request checks them, Gradio does not. Pictures are no
fields of the form: the canvas holds them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import TypeVar

from PIL import Image

from ...checkpoints.model_info import ModelInfo
from ...metadata import is_same_file, read_parameters
from ...requests import (
    MAX_PROMPT,
    SIDES,
    ArithmeticRequest,
    BlendRequest,
    Img2ImgRequest,
    InpaintRequest,
    InsideRequest,
    InterrogateRequest,
    MatchRequest,
    PlaneRequest,
    Txt2ImgRequest,
    WalkRequest,
    capitalized,
    make_request,
    name_sampling,
    request_fields,
    schedule_types_of,
    take_apart,
)
from .components import Form, Values

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest | InterrogateRequest | MatchRequest | InsideRequest)

REQUESTS = (InpaintRequest, BlendRequest, WalkRequest, PlaneRequest, InterrogateRequest, MatchRequest)
FIELDS = {name: known for request in REQUESTS for name, known in request_fields(request).items()}
LABELS = {name: known.label for name, known in FIELDS.items()} | {"keep": "Phrases"}
# What is kept between visits as it was typed, half an expression too. The last two are no request's.
TEXTS = (*(name for name, known in FIELDS.items() if known.is_words), "text", "other")
PROMPTS = ("prompt", "negative_prompt")
MODES = ("tokens", "blend", "walk", "plane")  # of the tab that has several
MARGINS = tuple(f"outpaint_{side}" for side in SIDES)  # outpaint's components
CAME_FROM = ("template", "negative_template", "applied_styles")  # kept in a file; no form holds them
RANDOM_SEED = -1
OWN_VAE = ""  # the form's word for the model's own
MODEL_FIELDS = (
    "width",
    "height",
    "num_inference_steps",
    "guidance_scale",
    "scheduler",
    "schedule_type",
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
    known = request_fields(request_type)
    checked: dict[str, object] = {
        name: whole_number(value) if name in MARGINS or (name in known and known[name].kind is int) else value
        for name, value in values.items()
        if value is not None and (value != "" or (name in known and known[name].may_be_empty))
    }
    for name, field in known.items():
        if field.is_required and not field.is_picture:
            checked.setdefault(name, "")  # an empty text, which some requests refuse in words
        if field.parse and name in checked:
            checked[name] = field.parse(checked[name])
    if any(name in values for name in MARGINS):
        checked["outpaint"] = tuple(checked.pop(name, 0) for name in MARGINS)
    if "init_image" not in checked and issubclass(request_type, Img2ImgRequest):
        raise ValueError("init_image is missing (drop a picture on the canvas, or draw one)")
    if "image" not in checked and issubclass(request_type, InterrogateRequest):
        raise ValueError("image is missing (open, paste or drop one)")
    if "images" not in checked and issubclass(request_type, MatchRequest):
        raise ValueError("images must number 1 to 12, got none (add one)")
    return make_request(request_type, checked)


def field_names(request_type: type) -> tuple[str, ...]:
    """Return the names that a form of this request has, pictures left out."""
    names: list[str] = []
    for name, known in request_fields(request_type).items():
        if not known.is_picture:
            names += MARGINS if name == "outpaint" else [name]
    return tuple(names)


def whole_number(value: object) -> object:
    """Return 25.0, as browsers send it, as 25; leave all else for the request to judge."""
    return int(value) if isinstance(value, float) and isfinite(value) and value.is_integer() else value


def model_defaults(model: ModelInfo) -> dict[str, object]:
    """Return what choosing a model sets: its MODEL_FIELDS."""
    side = model.native_size
    sampling = name_sampling(model.default_scheduler, None)
    values = (side, side, model.default_steps, model.default_guidance_scale, *sampling)
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
    if value is None or isinstance(value, dict) or (isinstance(value, list) and name != "styles"):
        return False
    try:
        build_request({**_any_texts(request_type), **_any_pictures(request_type), name: value}, request_type)
    except ValueError:
        return False
    return True


def _any_texts(request_type: type[Txt2ImgRequest]) -> dict[str, str]:
    """Return words for the texts that a request must have."""
    known = request_fields(request_type).values()
    return {field.name: "a" for field in known if field.is_required and field.is_words}


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
    """Read parameters, ours or another program's, into form fields and remarks on what was not taken.

    Raise ValueError for parameters that cannot be read at all.
    """
    arithmetic = issubclass(request_type, ArithmeticRequest)
    saved_type = Txt2ImgRequest if arithmetic else request_type
    reading = read_parameters(infotext, saved_type, **_any_pictures(saved_type))
    request, remarks = reading.request, reading.notes
    found: dict[str, object] = {}
    for name, field in request_fields(saved_type).items():
        value = getattr(reading if name in PROMPTS else request, name)
        if name == "outpaint":
            found |= dict(zip(MARGINS, getattr(request, name), strict=True))
        elif value is not None and not field.is_picture and name not in CAME_FROM:
            found[name] = list(value) if isinstance(value, tuple) else value
    found["vae"] = request.vae or OWN_VAE
    if reading.has_random_seed:
        found["seed"] = RANDOM_SEED
    if arithmetic and reading.prompt:
        try:
            found |= {**take_apart(reading.prompt), "mode": "blend"}
        except ValueError as error:
            del found["prompt"]
            remarks.append(f"Not taken: the prompt. {capitalized(str(error))}.")
    kept, missing = _existing(found, models, schedulers, vaes)
    remarks = [*missing, *remarks]
    if request.template:
        remarks.append(
            f"Its prompt was drawn from this template; paste that to draw others: {request.template}"
        )
    if remarks and reading.program:
        remarks.insert(0, f"They are in {reading.program}'s format.")
    return kept, remarks


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) else None


def _existing(
    values: dict[str, object], models: list[str], schedulers: tuple[str, ...], vaes: Sequence[str]
) -> tuple[dict[str, object], list[str]]:
    """Drop a model, sampler, schedule type or VAE that is not here; say so."""
    kept, remarks = dict(values), []
    if isinstance(scheduler := kept.get("scheduler"), str):  # one name may hold both
        with suppress(ValueError):
            kept["scheduler"], kept["schedule_type"] = name_sampling(scheduler, _text(kept, "schedule_type"))
    known = {"model": models, "scheduler": schedulers, "vae": (OWN_VAE, *vaes)}
    for name, choices in known.items():
        if name not in kept or kept[name] in choices:
            continue
        asked = str(kept.pop(name))
        if same := [choice for choice in choices if is_same_file(asked, choice)]:
            kept[name] = same[0]
        else:
            label = LABELS[name] if name == "vae" else LABELS[name].lower()
            remarks.append(f"The {label} {asked} is not here, so yours is kept.")
    if "schedule_type" in kept:
        possible = schedule_types_of(kept.get("scheduler"))
        if not possible:
            del kept["schedule_type"]
        elif kept["schedule_type"] not in possible:
            said = f"The schedule type {kept['schedule_type']} is not here for {kept['scheduler']}"
            kept["schedule_type"] = possible[0]
            remarks.append(f"{said}, so it is {possible[0]}.")
    return kept, remarks
