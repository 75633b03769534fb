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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, overload

from PIL import Image

from ..requests import RequestField, Txt2ImgRequest, make_request, request_fields
from ..schedulers import AUTOMATIC, SCHEDULERS, UNIFORM

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest)
Picture = Image.Image | str | Path

EXACT_PROMPTS = "Exact prompts"  # our own key: JSON [prompt, negative prompt]
NEGATIVE = "Negative prompt:"
SAMPLER, SCHEDULE, SIZE = "Sampler", "Schedule type", "Size"  # of scheduler, and of width and height

# The order of AUTOMATIC1111: these fields first, then those named nowhere, these last.
_FIRST = (
    *("num_inference_steps", "scheduler", "schedule_type", "guidance_scale", "seed", "width", "model", "vae"),
    *("strength", "resize_mode", "feather", "invert_mask"),
)
_LAST = ("clip_skip", "guidance_end", "cache_interval", "num_images")

# A key begins only where no key's character precedes it, else a long line without a colon costs its square.
_PARAMETER = re.compile(r'(?<![\w \-/])[ \-/]*+(\w[\w \-/]++):\s*("(?:\\.|[^\\"])++"|[^,]*)(?:,|$)')


@dataclass(frozen=True, kw_only=True)
class Infotext:
    """An infotext taken apart. `fields` holds every key of its last line, known to us or not."""

    prompt: str = ""
    negative_prompt: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def to_infotext(request: Txt2ImgRequest, *, model_hash: str | None = None, version: str | None = None) -> str:
    """Write a resolved request as infotext, all but its pictures. Raise ValueError if a field is None."""
    for name in request.open_fields:
        raise ValueError(f"{name} must be known before it can be written, got None (resolve the request)")
    parameters = _parameters(request, model_hash) | {"Version": version or _version()}
    prompts = request.prompt
    if request.negative_prompt:
        prompts += f"\n{NEGATIVE} {request.negative_prompt}"
    read_back = parse_infotext(f"{prompts}\n{_join(parameters)}")
    if (read_back.prompt, read_back.negative_prompt) != (request.prompt, request.negative_prompt):
        exact = json.dumps([request.prompt, request.negative_prompt], ensure_ascii=False)
        parameters |= {EXACT_PROMPTS: exact}
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
def from_infotext(text: str, request_type: type[RequestT], **pictures: Picture) -> RequestT: ...
def from_infotext(
    text: str, request_type: type[Txt2ImgRequest] = Txt2ImgRequest, **pictures: Picture
) -> Txt2ImgRequest:
    """Read the request an infotext asks for. What it does not say, or what no request may hold, is None.

    A text holds no pictures: an Img2ImgRequest is given its init_image, an InpaintRequest its mask_image too.
    Sampler, schedule type and model keep the names in the text, whether this app has them or not.
    Raise ValueError if there is no prompt in the text or one too long, or for a bad picture.
    """
    info = parse_infotext(text)
    prompts = {"prompt": info.prompt, "negative_prompt": info.negative_prompt}
    request = make_request(request_type, {**prompts, **pictures})
    # From the last to the first, since few steps need a high strength, and many pictures a low seed.
    for known in reversed(request_fields(request_type).values()):
        try:
            request = make_request(request_type, vars(request) | _read(known, info.fields))
        except ValueError:  # another tool's value, of another kind or beyond our range: leave the default
            continue
    return request


def _version() -> str:
    from .. import __version__  # at call time: the package imports this module while it is being built

    return f"sd_app {__version__}"


def _said_schedule(request: Txt2ImgRequest) -> str | None:
    """Return the schedule type to write, None for what AUTOMATIC1111 takes where none is said.

    A sampler whose automatic schedule is another one says Uniform, or others would read that other one.
    """
    info = SCHEDULERS.get(request.scheduler or "")
    usual = info.automatic if info else UNIFORM
    return None if request.schedule_type == usual == UNIFORM else request.schedule_type


def _read_schedule(fields: Mapping[str, str]) -> str:
    """Return the schedule type a text asks for; in the older form the sampler's name says it all."""
    schedule, info = fields.get(SCHEDULE) or UNIFORM, SCHEDULERS.get(fields[SAMPLER])
    if schedule != AUTOMATIC:
        return schedule
    return info.automatic if info else UNIFORM


def _parameters(request: Txt2ImgRequest, model_hash: str | None) -> dict[str, str | None]:
    """Return what the last line says of a request, in order; what is None is not said."""
    known = request_fields(type(request))
    others = [name for name in known if name not in (*_FIRST, *_LAST)]
    parameters: dict[str, str | None] = {}
    for name in (*_FIRST, *others, *_LAST):
        if name == "scheduler":
            parameters |= {SAMPLER: request.scheduler, SCHEDULE: _said_schedule(request)}
        elif name == "width":
            parameters[SIZE] = f"{request.width}x{request.height}"
        elif name in known:
            parameters |= {"Model hash": model_hash} if name == "model" else {}
            parameters |= _written(known[name], request)
    return parameters


def _written(known: RequestField, request: Txt2ImgRequest) -> dict[str, str]:
    """Return a field's key and value, nothing for one that is usual or has no key."""
    infotext, value = known.infotext, getattr(request, known.name)
    if infotext is None or value is None:
        return {}
    said = infotext.always or bool(infotext.beside and getattr(request, infotext.beside))
    return {infotext.key: infotext.write(value)} if said or value != known.default else {}


def _read(known: RequestField, fields: Mapping[str, str]) -> dict[str, object]:
    """Return a field's value by name, nothing if the text does not say it. Raise ValueError for a bad one."""
    if known.name in ("width", "height"):
        size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", fields.get(SIZE, ""))
        return {known.name: int(size[1 if known.name == "width" else 2])} if size else {}
    if known.name == "scheduler":
        return {"scheduler": fields[SAMPLER]} if SAMPLER in fields else {}
    if known.name == "schedule_type":
        return {"schedule_type": _read_schedule(fields)} if SAMPLER in fields else {}
    infotext = known.infotext
    if infotext is None or infotext.key not in fields:
        return {}
    return {known.name: (infotext.read or known.from_text)(fields[infotext.key])}


def _join(parameters: Mapping[str, str | None]) -> str:
    return ", ".join(f"{key}: {_quote(value)}" for key, value in parameters.items() if value is not None)


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
