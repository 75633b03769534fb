"""From parameters of any program to a request: what can be taken, and why the rest was not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar, overload

from PIL import Image

from ..checks import MAX_SIDE, MIN_SIDE, check_text
from ..requests import MAX_PROMPT, RequestField, Txt2ImgRequest, make_request, request_fields
from ..schedulers import UNIFORM, find_sampler, find_scheduler
from .foreign import Infotext, is_off, whole_characters, without_ending
from .foreign_prompt import translate_prompt
from .infotext import SAMPLER, SCHEDULE, SIZE, join_scheduler, parse_infotext
from .resources import read_resources
from .settings_text import EXACT_PROMPTS

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest)
RequestT_co = TypeVar("RequestT_co", bound=Txt2ImgRequest, covariant=True)
Picture = Image.Image | str | Path

_PROMPT_KEYS = {"prompt": "Prompt", "negative_prompt": "Negative prompt"}
NO_FIELD = "no such field here"
_SAMPLER_KEYS = (SAMPLER, SCHEDULE)
_SIZE = re.compile(
    r"[^\d\-]*(\d{1,6})(?:\.0+)?\s*(?:px)?\s*(?:[x×*, ]|by)\s*(\d{1,6})(?:\.0+)?\D*", re.IGNORECASE
)
_HALVES = (("width", "height"), ("size-1", "size-2"))  # of a size, as Civitai and AUTOMATIC1111's API have it
_HASH = re.compile(r"\s*\[[0-9a-f]{8,10}\]\Z")  # behind a model's name
_WHOLE = re.compile(r"(\d+)\.0+")
_DECIMAL_COMMA = re.compile(r"\A(-?\d+),(\d+)\Z")
_MAX_SHOWN, _MAX_NAMED = 60, 60  # characters of a value; settings of one reason
# Keys that say nothing of how the picture is drawn, in lower case.
_INFORMATION = {
    *("version", "app", "app_version", "software", "hashes", "user", "created date", "backend", "pipeline"),
    *("operations", "parser", "time", "created_by", "metadata_scheme", "comment", "civitai resources"),
    *("civitai metadata", "lora hashes", "ti hashes", "model hash", "vae hash", "date", "imported"),
    *("process", "quantity", "basemodel", "time taken", "a", "r", "sys"),  # the last three: memory
    *("metadata scheme", "workflow", "_is_intermediate", "automaticvae", "hardware info", "model_hash"),
}


@dataclass(frozen=True, kw_only=True)
class Untaken:
    """A setting that was not taken, and why."""

    key: str
    value: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Reading(Generic[RequestT_co]):
    """What parameters asked for. `request` holds what was taken; the rest of it is None or usual.

    A prompt is None where it could not be taken. One that can be, but not drawn as it stands, is in `prompt`
    or `negative_prompt` and not in the request.
    """

    request: RequestT_co
    prompt: str | None = ""
    negative_prompt: str | None = ""
    has_random_seed: bool = False  # it asks for one with -1; the request's is then None
    program: str = ""  # whose form it is, where that can be told
    fields: Mapping[str, str] = field(default_factory=dict)  # every setting by its usual key, taken or not
    untaken: tuple[Untaken, ...] = ()
    remarks: tuple[str, ...] = ()  # what was taken otherwise than it stands there, a sentence each

    @property
    def is_complete(self) -> bool:
        """Tell whether everything was taken as it is."""
        return not self.untaken and not self.remarks

    @property
    def notes(self) -> list[str]:
        """Return what to tell of it, a sentence each: what was not taken, grouped by reason, and remarks.

        What has no field here comes last, since it may be long.
        """
        groups: dict[str, list[str]] = {}
        for one in self.untaken:
            groups.setdefault(one.reason, []).append(f"{_shown(one.key)}: {_shown(one.value)}")
        last = groups.pop(NO_FIELD, None)
        told = [f"Not taken: {_listed(named)} ({reason})." for reason, named in groups.items()]
        return [*told, *self.remarks, *([f"Not taken: {_listed(last)} ({NO_FIELD})."] if last else [])]


@overload
def read_parameters(text: str) -> Reading[Txt2ImgRequest]: ...
@overload
def read_parameters(text: str, request_type: type[RequestT], **pictures: Picture) -> Reading[RequestT]: ...
def read_parameters(
    text: str, request_type: type[Txt2ImgRequest] = Txt2ImgRequest, **pictures: Picture
) -> Reading[Txt2ImgRequest]:
    """Read parameters of any known form into a request of this type, as far as that goes.

    Raise ValueError for JSON of an unknown form, or text that is too long or nested too deeply.
    """
    info = parse_infotext(text)
    info = info if info.is_ours else read_resources(whole_characters(info))
    if not (info.prompt or info.negative_prompt or info.fields or info.remarks):
        raise ValueError("there are no parameters in it (it must be the text as the program wrote it)")
    prompts, remarks = _prompts_of(info)
    request = make_request(request_type, {"prompt": "", **pictures})
    request, untaken, refused = _with_prompts(request, prompts)
    lost = {one.key for one in untaken}
    fields = info.fields if info.is_ours else _usual_keys(info.fields, request_type)
    request, not_fitting, changed = _with_fields(request, fields, info)
    read = {
        EXACT_PROMPTS,
        *(key for known in request_fields(request_type).values() for key in keys_of(known)),
    }
    unknown = [
        Untaken(key=key, value=value, reason=NO_FIELD)
        for key, value in fields.items()
        if key not in read and not says_nothing(key, value)
    ]
    return Reading(
        request=request,
        **{name: None if key in lost else prompts[name] for name, key in _PROMPT_KEYS.items()},
        has_random_seed=fields.get("Seed", "").strip() == "-1",
        program=info.program,
        fields=fields,
        untaken=(*untaken, *not_fitting, *unknown),
        remarks=(*info.remarks, *remarks, *refused, *changed),
    )


def _prompts_of(info: Infotext) -> tuple[dict[str, str], list[str]]:
    """Return both prompts in our grammar, and remarks on what of another program's is not read."""
    prompts = {name: str(getattr(info, name)) for name in _PROMPT_KEYS}
    remarks: list[str] = []
    if not info.is_ours:
        for name, words in prompts.items():
            if len(words) > 2 * MAX_PROMPT:  # it is not taken, whatever it holds
                continue
            prompts[name], said = translate_prompt(
                words, negative=name == "negative_prompt", program=info.program
            )
            remarks += [one for one in said if one not in remarks]
    return prompts, remarks


def _with_prompts(request: RequestT, prompts: Mapping[str, str]) -> tuple[RequestT, list[Untaken], list[str]]:
    """Return a request with those of the prompts that it may hold, the others, and remarks on its grammar."""
    untaken: list[Untaken] = []
    refused: list[str] = []
    for name, words in prompts.items():
        try:
            request = make_request(type(request), vars(request) | ({name: words} if words else {}))
        except ValueError as error:
            key, reason = _PROMPT_KEYS[name], _reason(name, error)
            if _is_text(name, words):
                refused.append(f"{key} {reason}: change it before you generate.")
            else:
                untaken.append(Untaken(key=key, value=words, reason=reason))
    return request, untaken, refused


def _is_text(name: str, words: str) -> bool:
    """Tell whether a prompt is one that a form may hold, whatever its grammar."""
    try:
        check_text(name, words, MAX_PROMPT)
    except ValueError:
        return False
    return True


def _with_fields(
    request: RequestT, fields: Mapping[str, str], info: Infotext
) -> tuple[RequestT, list[Untaken], list[str]]:
    """Return a request with those settings that it may hold, the others, and remarks on changed ones.

    From the last to the first, since few steps need a high strength, and many pictures a low seed.
    """
    untaken: list[Untaken] = []
    remarks: list[str] = []
    for known in reversed(request_fields(type(request)).values()):
        keys = [key for key in keys_of(known) if fields.get(key, "").strip()]
        if not keys:  # one that is there and empty asks for nothing
            continue
        try:
            value, remark = _read(known, fields, info)
            request = make_request(type(request), vars(request) | {known.name: value})
        except ValueError as error:
            shown = ", ".join(fields[key] for key in keys)
            if known.name in ("width", "height") and (size := _SIZE.fullmatch(shown.strip())):
                shown = size[1 if known.name == "width" else 2]
            one = Untaken(key=_key_shown(known, shown), value=shown, reason=_reason(known.name, error))
            untaken += [one] if one not in untaken else []
        else:
            remarks += [remark] if remark else []
    return request, untaken[::-1], remarks[::-1]


def keys_of(known: RequestField) -> tuple[str, ...]:
    """Return the keys of the settings that a field is read from."""
    if known.name in ("width", "height"):
        return (SIZE,)
    if known.name == "scheduler":
        return _SAMPLER_KEYS
    if known.name == "schedule_type":
        return (SAMPLER,)
    return (known.infotext.key,) if known.infotext else ()


def _key_shown(known: RequestField, shown: str) -> str:
    return known.label if known.name in ("width", "height") and shown.isdecimal() else keys_of(known)[0]


def _usual_keys(fields: Mapping[str, str], request_type: type) -> dict[str, str]:
    """Bring keys that other programs write otherwise to AUTOMATIC1111's: case, and a few names."""
    known = {key.lower(): key for one in request_fields(request_type).values() for key in keys_of(one)}
    known |= {
        "sampler sigma": SCHEDULE,
        "scheduler": SCHEDULE,
        "sampling method": SAMPLER,
        "resolution": SIZE,
    }
    known |= {"sampling steps": "Steps", "cfg": "CFG scale", "guidance scale": "CFG scale"}
    small = {key.lower(): key for key in fields}
    for halves in _HALVES:
        if SIZE not in fields and set(halves) <= set(small):
            sides = "x".join(fields[small[half]] for half in halves)
            others = {key: value for key, value in fields.items() if key.lower() not in halves}
            fields = {**others, SIZE: sides}
    found: dict[str, str] = {}
    for key, value in fields.items():
        usual = known.get(key.lower(), key)
        found[key if usual in fields and usual != key else usual] = value
    return found


def _read(known: RequestField, fields: Mapping[str, str], info: Infotext) -> tuple[object, str]:
    """Return a field's value, and a remark if the text says another. Raise ValueError for a bad one."""
    if known.name in ("width", "height"):
        return _read_side(known, fields[SIZE])
    if known.name == "scheduler":
        if SAMPLER not in fields:
            raise ValueError("scheduler needs a sampler beside it")
        return _read_sampler(fields[SAMPLER], fields.get(SCHEDULE, ""), info)
    if known.name == "schedule_type":  # in other programs' texts it is read with the sampler
        return (fields.get(SCHEDULE) or UNIFORM if info.is_ours else None), ""
    infotext = known.infotext
    assert infotext
    text = fields[infotext.key]
    if known.name in ("model", "vae") and not info.is_ours:
        text = without_ending(_HASH.sub("", text))
        return (None if is_off(text) or text == "Automatic" else text), ""
    try:
        return (infotext.read or known.from_text)(text), ""
    except ValueError as error:
        if not known.is_number:
            raise
        return _read_number(known, text, error), ""


def _read_sampler(sampler: str, schedule: str, info: Infotext) -> tuple[str, str]:
    """Return our name of a sampler with its schedule type; one that is not here keeps its name."""
    if info.is_ours:
        return sampler, ""
    if found := find_sampler(sampler, schedule):
        return find_scheduler(*found).full_name, ""
    if found := find_sampler(sampler):
        name = find_scheduler(*found).full_name
        return name, f"There is no schedule type {_shown(schedule)} here for {name}, so it is left out."
    return join_scheduler(sampler, schedule), ""


def _read_number(known: RequestField, text: str, error: ValueError) -> object:
    """Read 20.0 as a whole number and 7,5 as 7.5 too; say in words what is none."""
    if known.parse:
        if not (whole := _WHOLE.fullmatch(text.strip())):
            raise error
        return known.parse(whole[1])
    try:
        number = float(_DECIMAL_COMMA.sub(r"\1.\2", text.strip()))
    except ValueError:
        raise ValueError(f"{known.name} must be a number, got {text[:_MAX_SHOWN]}") from error
    if known.kind is float:
        return number
    if not number.is_integer():
        raise ValueError(f"{known.name} must be a whole number, got {text[:_MAX_SHOWN]}") from error
    return int(number)


def _read_side(known: RequestField, text: str) -> tuple[int, str]:
    """Return width or height in pixels, brought to the nearest multiple of 8."""
    size = _SIZE.fullmatch(text.strip())
    if not size:
        raise ValueError(f"{known.name} must be in a size such as 512x768")
    side = int(size[1 if known.name == "width" else 2])
    nearest = (side + 3) // 8 * 8
    if nearest == side or not MIN_SIDE <= nearest <= MAX_SIDE:
        return side, ""
    return nearest, f"{known.label} {side} became {nearest}, the nearest multiple of 8."


def says_nothing(key: str, value: str) -> bool:
    """Tell whether a setting says nothing of how a picture is drawn: a version, a hash, what is off."""
    name = key.lower()
    return name in _INFORMATION or name.endswith((" hash", "_hash", " hashes")) or is_off(value)


def _reason(name: str, error: ValueError) -> str:
    """Return the rule in an error: `seed must be at most 9, got 10 (use less)` -> `must be at most 9`."""
    rule = re.split(r", got |\n", str(error))[0].removeprefix(f"{name} ").strip().rstrip(".")
    return re.sub(r"\s*\([^()]*\)$", "", rule) or "it cannot be read"


def _listed(named: list[str]) -> str:
    more = f"; and {len(named) - _MAX_NAMED} more" if len(named) > _MAX_NAMED else ""
    return "; ".join(named[:_MAX_NAMED]) + more


def _shown(value: str) -> str:
    text = " ".join(value.split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


@overload
def from_infotext(text: str) -> Txt2ImgRequest: ...
@overload
def from_infotext(text: str, request_type: type[RequestT], **pictures: Picture) -> RequestT: ...
def from_infotext(
    text: str, request_type: type[Txt2ImgRequest] = Txt2ImgRequest, **pictures: Picture
) -> Txt2ImgRequest:
    """Read the request an infotext asks for. What it does not say, or what no request may hold, is None.

    A text holds no pictures: an Img2ImgRequest is given its init_image, an InpaintRequest its mask_image too.
    Scheduler and model keep the names in the text, whether this app has them or not. read_parameters says
    what was not taken, too. Raise ValueError for a prompt that no request may hold, for parameters that
    cannot be read at all, or for a bad picture.
    """
    reading = read_parameters(text, request_type, **pictures)
    prompts = {name: getattr(reading, name) for name in _PROMPT_KEYS}
    for one in reading.untaken:
        if one.key in _PROMPT_KEYS.values():
            raise ValueError(f"{one.key.lower().replace(' ', '_')} {one.reason}")
    return make_request(request_type, vars(reading.request) | prompts)
