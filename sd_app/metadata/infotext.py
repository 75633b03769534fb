"""AUTOMATIC1111's infotext both ways: a request as text, and the request a text asks for.

The form, as written by modules/infotext_utils.py of stable-diffusion-webui and read by most other tools:

    PROMPT
    Negative prompt: NEGATIVE
    Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 7, Size: 512x768, Model: ...

It strips lines and takes some prompts for something else. Where that would lose a character, one more key
holds both prompts exactly.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, overload

from ..requests import MAY_BE_NONE, Img2ImgRequest, InpaintRequest, Txt2ImgRequest, parse_seed

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest)

EXACT_PROMPTS = "Exact prompts"  # our own key: JSON [prompt, negative prompt]
NUM_IMAGES = "Number of images"  # our own key: pictures of the request, when more than one
GUIDANCE_END, CACHE_INTERVAL = "Guidance end", "DeepCache interval"  # our own keys
NEGATIVE = "Negative prompt:"
INVERTED, ONLY_MASKED, LATENT = "Inpaint not masked", "Only masked", "latent "  # AUTOMATIC1111's values

# A key begins only where no key's character precedes it, else a long line without a colon costs its square.
_PARAMETER = re.compile(r'(?<![\w \-/])[ \-/]*+(\w[\w \-/]++):\s*("(?:\\.|[^\\"])++"|[^,]*)(?:,|$)')

# Since version 1.9 stable-diffusion-webui writes "Automatic" for these samplers' own schedule.
_AUTOMATIC_SCHEDULES = {
    "DPM++ 2M": "Karras",
    "DPM++ SDE": "Karras",
    "DPM++ 2M SDE": "Exponential",
    "DPM++ 2M SDE Heun": "Exponential",
    "DPM++ 3M SDE": "Exponential",
    "DPM2": "Karras",
    "DPM2 a": "Karras",
}


@dataclass(frozen=True, kw_only=True)
class Infotext:
    """An infotext taken apart. `fields` holds every key of its last line, known to us or not."""

    prompt: str = ""
    negative_prompt: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def to_infotext(request: Txt2ImgRequest, *, model_hash: str | None = None, version: str | None = None) -> str:
    """Write a resolved request as infotext, all but its pictures. Raise ValueError if a field is None."""
    for name, value in vars(request).items():
        if value is None and name not in MAY_BE_NONE:
            raise ValueError(f"{name} must be known before it can be written, got None (resolve the request)")
    assert request.scheduler is not None
    sampler, schedule = _split_scheduler(request.scheduler)
    parameters = {
        "Steps": request.num_inference_steps,
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": str(request.guidance_scale).removesuffix(".0"),
        "Seed": request.seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": model_hash,
        "Model": request.model,
        "VAE": request.vae,
        **_picture_parameters(request),
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        GUIDANCE_END: _unless(1.0, request.guidance_end),
        CACHE_INTERVAL: _unless(1, request.cache_interval),
        NUM_IMAGES: request.num_images if request.num_images > 1 else None,
        "Version": version or _version(),
    }
    prompts = request.prompt
    if request.negative_prompt:
        prompts += f"\n{NEGATIVE} {request.negative_prompt}"
    read_back = parse_infotext(f"{prompts}\n{_join(parameters)}")
    if (read_back.prompt, read_back.negative_prompt) != (request.prompt, request.negative_prompt):
        exact = json.dumps([request.prompt, request.negative_prompt], ensure_ascii=False)
        parameters = {**parameters, EXACT_PROMPTS: exact}
    return f"{prompts}\n{_join(parameters)}"


def parse_infotext(text: str) -> Infotext:
    """Take any infotext apart as AUTOMATIC1111 does: unknown keys are kept, nothing is refused."""
    *lines, last = text.strip().split("\n")
    pairs = _PARAMETER.findall(last)
    if len(pairs) < 3:  # a last line with fewer is part of the prompt
        lines, pairs = [*lines, last], []
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE):
            current = negative
            line = line.removeprefix(NEGATIVE).strip()
        if current or line:  # as in A1111, lines before the first words leave no trace
            current.append(line)
    fields = {key: _unquote(value) for key, value in pairs}
    exact = _exact_prompts(fields.get(EXACT_PROMPTS))
    if exact:
        return Infotext(prompt=exact[0], negative_prompt=exact[1], fields=fields)
    return Infotext(prompt="\n".join(prompt), negative_prompt="\n".join(negative), fields=fields)


@overload
def from_infotext(text: str) -> Txt2ImgRequest: ...
@overload
def from_infotext(text: str, request_type: type[RequestT], **pictures: Any) -> RequestT: ...
def from_infotext(text: str, request_type: type[Any] = Txt2ImgRequest, **pictures: Any) -> Any:
    """Read the request an infotext asks for. What it does not say, or what no request may hold, is None.

    A text holds no pictures: an Img2ImgRequest is given its init_image, an InpaintRequest its mask_image too.
    Scheduler and model keep the names in the text, whether this app has them or not.
    Raise ValueError if there is no prompt in the text or one too long, or for a bad picture.
    """
    info = parse_infotext(text)
    request = request_type(prompt=info.prompt, negative_prompt=info.negative_prompt, **pictures)
    known = {field.name for field in fields(request)}
    for name, value in _field_values(info.fields):
        if name not in known:
            continue
        try:
            request = replace(request, **{name: value})
        except ValueError:  # another tool's value beyond our range: leave the default
            continue
    return request


def _version() -> str:
    from .. import __version__  # at call time: the package imports this module while it is being built

    return f"sd_app {__version__}"


def _split_scheduler(scheduler: str) -> tuple[str, str | None]:
    """Split our name of a scheduler into AUTOMATIC1111's sampler and schedule type.

    A sampler whose automatic schedule is another one says Uniform, or others would read that other one.
    """
    sampler = scheduler.removesuffix(" Karras")
    if sampler and sampler != scheduler and not sampler.endswith(" Karras"):
        return sampler, "Karras"
    return scheduler, "Uniform" if scheduler in _AUTOMATIC_SCHEDULES else None


def _join_scheduler(sampler: str, schedule: str) -> str:
    """Undo _split_scheduler; also read the older form, where the sampler's name says it all."""
    if schedule == "Automatic":
        schedule = _AUTOMATIC_SCHEDULES.get(sampler, "")
    if schedule in ("", "Uniform") or sampler.endswith(f" {schedule}"):
        return sampler
    return f"{sampler} {schedule}"


def _picture_parameters(request: Txt2ImgRequest) -> dict[str, object]:
    """Return what the requests with pictures add. As in AUTOMATIC1111, what is usual is not said."""
    if not isinstance(request, Img2ImgRequest):
        return {}
    parameters: dict[str, object] = {
        "Denoising strength": str(request.strength).removesuffix(".0"),
        "Resize mode": _unless(type(request).resize_mode, request.resize_mode),
    }
    if not isinstance(request, InpaintRequest):
        return parameters
    latent = LATENT if request.masked_content == "noise" else ""
    return parameters | {
        "Mask blur": request.feather or None,
        "Mask mode": INVERTED if request.invert_mask else None,
        "Masked content": _unless("original", f"{latent}{request.masked_content}"),
        "Inpaint area": ONLY_MASKED if request.only_masked else None,
        "Masked area padding": request.padding if request.only_masked else _unless(32, request.padding),
        "Soft mask": request.soft_mask or None,
        "Color match": request.color_match or None,
        "Blend": _unless("none", request.blend),
        "Outpaint": " ".join(map(str, request.outpaint)) if any(request.outpaint) else None,
    }


def _unless(usual: object, value: object) -> object:
    return None if value == usual else value


def _join(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{key}: {_quote(str(value))}" for key, value in parameters.items() if value is not None)


def _quote(value: str) -> str:
    """Quote as JSON what would not be read back as it is."""
    plain = value and value.strip() == value and value.isprintable() and value[0] != '"'
    if plain and not any(mark in value for mark in ",:"):
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _exact_prompts(value: str | None) -> tuple[str, str] | None:
    try:
        prompt, negative_prompt = json.loads(value or "")
    except (ValueError, TypeError):
        return None
    return (prompt, negative_prompt) if isinstance(prompt, str) and isinstance(negative_prompt, str) else None


def _field_values(fields: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield (field of the request, value) for all that can be read as its type."""
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", fields.get("Size", ""))
    if size:
        yield "width", int(size[1])
        yield "height", int(size[2])
    if "Sampler" in fields:
        yield "scheduler", _join_scheduler(fields["Sampler"], fields.get("Schedule type", ""))
    if "Model" in fields:
        yield "model", fields["Model"]
    if "VAE" in fields:
        yield "vae", fields["VAE"]
    readers: dict[str, tuple[str, Callable[[str], object]]] = {
        "Denoising strength": ("strength", float),  # before the steps: few steps need a high one
        "Steps": ("num_inference_steps", int),
        "CFG scale": ("guidance_scale", float),
        NUM_IMAGES: ("num_images", int),
        "Clip skip": ("clip_skip", int),
        GUIDANCE_END: ("guidance_end", float),
        CACHE_INTERVAL: ("cache_interval", int),
        "Seed": ("seed", parse_seed),
        "Resize mode": ("resize_mode", str),
        "Mask blur": ("feather", int),
        "Mask mode": ("invert_mask", lambda text: text == INVERTED),
        "Masked content": ("masked_content", lambda text: text.removeprefix(LATENT)),
        "Inpaint area": ("only_masked", lambda text: text == ONLY_MASKED),
        "Masked area padding": ("padding", int),
        "Soft mask": ("soft_mask", lambda text: text == "True"),
        "Color match": ("color_match", lambda text: text == "True"),
        "Blend": ("blend", str),
        "Outpaint": ("outpaint", lambda text: tuple(int(pixels) for pixels in text.split())),
    }
    for key, (name, read) in readers.items():
        try:
            yield name, read(fields[key])
        except (KeyError, ValueError):
            continue
