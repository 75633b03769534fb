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
from dataclasses import replace

from ..expressions.editing import keep_old_reading
from ..expressions.escaping import escape_wildcards
from ..requests import RequestField, Txt2ImgRequest, request_fields
from ..schedulers import AUTOMATIC, SCHEDULERS, UNIFORM
from .bounded_json import load_json
from .foreign import Infotext
from .forms import draw_things, read_form
from .pasted_text import tidy
from .settings_text import EXACT_PROMPTS, NEGATIVE, OUR_VERSION, take_settings_apart
from .text_decoding import MAX_TEXT

SAMPLER, SCHEDULE, SIZE = "Sampler", "Schedule type", "Size"  # of scheduler, and of width and height

# The order of AUTOMATIC1111: these fields first, then those named nowhere, these last.
_FIRST = (
    *("num_inference_steps", "scheduler", "schedule_type", "guidance_scale", "seed", "width", "model", "vae"),
    *("strength", "resize_mode", "feather", "invert_mask"),
)
_LAST = ("clip_skip", "guidance_end", "cache_interval", "num_images")


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
    """Take any infotext apart, AUTOMATIC1111's or another program's JSON: unknown keys are kept.

    Raise ValueError for JSON of an unknown form, or text that is too long or nested too deeply.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(
            f"the parameters must have at most {MAX_TEXT:,} characters, got {len(text):,} (copy the settings"
            " out of them and paste those)"
        )
    if found := read_form(text):
        return found
    taken = take_settings_apart(text)
    remarks: list[str] = []
    if not taken.is_ours:
        tidied, remarks = tidy(text)
        if found := read_form(tidied):
            return replace(found, remarks=(*found.remarks, *remarks))
        taken = take_settings_apart(tidied)
    prompts = _exact_prompts(taken.fields.get(EXACT_PROMPTS)) or (taken.prompt, taken.negative_prompt)
    if not taken.is_ours:  # a blank line in front of the negative prompt is none of the words
        prompts = prompts[0].rstrip(), prompts[1].rstrip()
    if _is_before_editing(taken.fields.get("Version", "")):
        prompts = _as_before(prompts[0]), _as_before(prompts[1], joins=False)
    remarks += [f"Not understood: {piece[:80]}." for piece in taken.unread]
    info = Infotext(
        prompt=prompts[0],
        negative_prompt=prompts[1],
        fields=taken.fields,
        is_ours=taken.is_ours,
        remarks=tuple(remarks),
    )
    return draw_things.read_text(info) or info


def _is_before_editing(version: str) -> bool:
    """Tell whether a version of ours wrote a text that did not know [from:to:when], [a|b] and AND yet."""
    numbers = re.match(rf"{OUR_VERSION}(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < (0, 3)


def _as_before(prompt: str, *, joins: bool = True) -> str:
    prompt = escape_wildcards(prompt)
    try:
        return keep_old_reading(prompt, joins=joins)
    except ValueError:  # a bad slot: who asks for a picture of it hears why
        return prompt


def _version() -> str:
    from .. import __version__  # at call time: the package imports this module while it is being built

    return f"{OUR_VERSION}{__version__}"


def _said_schedule(request: Txt2ImgRequest) -> str | None:
    """Return the schedule type to write, None for what AUTOMATIC1111 takes where none is said.

    A sampler whose automatic schedule is another one says Uniform, or others would read that other one.
    """
    info = SCHEDULERS.get(request.scheduler or "")
    usual = info.automatic if info else UNIFORM
    return None if request.schedule_type == usual == UNIFORM else request.schedule_type


def join_scheduler(sampler: str, schedule: str) -> str:
    """Return a sampler that is not here with its schedule type, as one name."""
    if schedule in ("", AUTOMATIC, UNIFORM) or sampler.endswith(f" {schedule}"):
        return sampler
    return f"{sampler} {schedule}"


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


def _join(parameters: Mapping[str, str | None]) -> str:
    return ", ".join(f"{key}: {_quote(value)}" for key, value in parameters.items() if value is not None)


def _quote(value: str) -> str:
    """Quote as JSON what would not be read back as it is."""
    plain = value and value.strip() == value and value.isprintable() and value[0] != '"'
    if plain and not any(mark in value for mark in ",:"):
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _exact_prompts(value: str | None) -> tuple[str, str] | None:
    try:
        prompts = load_json(value)
    except ValueError:
        return None
    match prompts:
        case [str(prompt), str(negative_prompt)]:
            return prompt, negative_prompt
    return None
