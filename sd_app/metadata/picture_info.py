"""Picture info: all that can be read of a picture's file, and what of it a request can take."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from ..requests import (
    Img2ImgRequest,
    InpaintRequest,
    RequestField,
    Txt2ImgRequest,
    capitalized,
    format_bytes,
    request_fields,
)
from ..schedulers import SCHEDULER_NAMES, name_sampling
from ..user_files import one_line, readable
from .all_texts import Carried, CarriedText, read_all_texts
from .carriers import FORMATS, read_infotext
from .foreign import is_same_file
from .infotext import SAMPLER, SCHEDULE, SIZE
from .makers import REQUEST_OF, tabs_of
from .reading import Reading, keys_of, read_parameters
from .settings_text import EXACT_PROMPTS, OUR_VERSION
from .text_decoding import MAX_TEXT

USED, NOT_USED, NO_PART = "used", "not used", "no part of the drawing"
_PROMPTS = {"Prompt": "prompt", "Negative prompt": "negative_prompt"}
# What the value of Version begins with, where the form itself does not say whose it is.
_VERSIONS = (
    (re.compile(rf"{OUR_VERSION}(.*)"), "Glass-box Studio {}"),
    (re.compile(r"f(\d.*)"), "Forge f{}"),
    (re.compile(r"(neo.*)", re.IGNORECASE), "Forge {}"),
    (re.compile(r"(Fooocus.*)", re.IGNORECASE), "{}"),
    (re.compile(r"(ComfyUI.*)"), "{}"),
    (re.compile(r"v?(\d+\.\d.*)"), "AUTOMATIC1111's web UI {}"),
)
_MAX_VERSION = 60  # characters


@dataclass(frozen=True, kw_only=True)
class InfoField:
    """One thing that a picture's parameters say, and what becomes of it."""

    name: str
    value: str
    state: str  # USED, NOT_USED or NO_PART
    label: str = ""  # what people call the control that takes it
    reason: str = ""  # why it is not used


@dataclass(frozen=True, kw_only=True)
class PictureInfo:
    """All that was read of a picture's file. All of it is plain text, whatever it looks like."""

    name: str
    facts: tuple[tuple[str, str], ...]  # of the file: format, size; then EXIF's tags
    program: str  # which program wrote the parameters, "" if that cannot be told
    kinds: tuple[str, ...]  # the tabs that make such pictures, the likeliest first
    fields: tuple[InfoField, ...]
    remarks: tuple[str, ...]  # what was read otherwise than it stands there
    texts: tuple[CarriedText, ...]
    unread: tuple[str, ...]  # what was not read, and why, a sentence each
    infotext: str  # the parameters as the form takes them, "" if there are none

    def as_json(self) -> dict[str, object]:
        """Return it as JSON holds it."""
        return asdict(self)


def read_picture_info(
    path: str | Path, *, models: Collection[str] = (), vaes: Collection[str] = ()
) -> PictureInfo:
    """Read all that a picture says. `models` and `vaes` are the names of those that are here.

    Raise ValueError for a file that is no PNG, JPEG, WebP, AVIF, GIF or TIFF picture.
    """
    path = Path(path)
    carried = read_all_texts(path)
    infotext, reading = "", None
    try:
        infotext = read_infotext(path) or ""
        if infotext:
            kinds = tabs_of(infotext)
            reading = _read(infotext, REQUEST_OF[kinds[0]] if kinds else Txt2ImgRequest)
    except ValueError as error:
        if f"{MAX_TEXT:,}" not in " ".join(carried.unread):  # it is said already, of each such text
            carried.unread.append(f"{capitalized(readable(str(error)))}.")
    return PictureInfo(
        name=one_line(path.name),
        facts=(*_facts(path, carried), *((name, readable(value)) for name, value in carried.tags)),
        program=_program_of(reading, dict(carried.tags)) if reading else "",
        kinds=tabs_of(infotext) if reading else (),
        fields=tuple(_fields(reading, models, vaes)) if reading else (),
        remarks=reading.remarks if reading else (),
        texts=tuple(CarriedText(place=readable(one.place), text=readable(one.text)) for one in carried.texts),
        unread=tuple(map(readable, carried.unread)),
        infotext=readable(infotext) if reading else "",
    )


def _read(infotext: str, request_type: type[Txt2ImgRequest]) -> Reading[Txt2ImgRequest]:
    """Read parameters as the form would: the pictures that a request must have are the page's to give."""
    pictures: dict[str, Image.Image] = {}
    if issubclass(request_type, Img2ImgRequest):
        pictures["init_image"] = Image.new("RGB", (8, 8))
    if issubclass(request_type, InpaintRequest):
        pictures["mask_image"] = Image.new("L", (8, 8))
    return read_parameters(infotext, request_type, **pictures)


def _facts(path: Path, carried: Carried) -> Iterator[tuple[str, str]]:
    """Yield what the file is; a picture whose header cannot be read says so among what was not read."""
    from ..images import look_at_image  # here: it needs numpy, and the command line's help needs none

    try:
        facts = look_at_image(path)
        with Image.open(path, formats=FORMATS) as image:
            yield "Format", str(image.format)
            yield "Size in pixels", f"{facts.width} x {facts.height}"
            yield "Colors", _colors(image)
            if facts.frames > 1:
                yield "Frames or pages", f"{facts.frames:,}"
            if profile := image.info.get("icc_profile"):
                yield "Color profile", f"{len(profile):,} bytes"
    except (ValueError, OSError, RuntimeError) as error:
        carried.unread.append(f"The picture itself cannot be shown: {readable(str(error))}.")
    yield "File", format_bytes(path.stat().st_size)


def _colors(image: Image.Image) -> str:
    known = {"1": "black and white", "L": "gray", "LA": "gray with transparency", "P": "palette"}
    known |= {"RGB": "RGB", "RGBA": "RGB with transparency", "CMYK": "CMYK"}
    return known.get(image.mode, image.mode)


def _program_of(reading: Reading[Txt2ImgRequest], tags: Mapping[str, str]) -> str:
    """Name the program that wrote the parameters, as far as they or EXIF say it."""
    if reading.program:
        return reading.program
    said = {key.lower(): value for key, value in reading.fields.items()}
    if app := said.get("app", ""):
        return app[:_MAX_VERSION]
    version = said.get("version", "")[:_MAX_VERSION]
    for pattern, name in _VERSIONS:
        if match := pattern.fullmatch(version):
            return name.format(match[1])
    return readable(tags.get("Software", ""))[:_MAX_VERSION]


def _fields(
    reading: Reading[Txt2ImgRequest], models: Collection[str], vaes: Collection[str]
) -> Iterator[InfoField]:
    """Yield both prompts, then every setting, each with what becomes of it."""
    untaken = {one.key: one for one in reading.untaken}
    known = list(request_fields(type(reading.request)).values())
    for key, name in _PROMPTS.items():
        if lost := untaken.get(key):
            yield InfoField(name=key, value=lost.value, state=NOT_USED, reason=lost.reason)
        elif words := getattr(reading, name):
            yield InfoField(name=key, value=words, state=USED, label=key)
    missing = dict(_missing(reading.request, models, vaes))
    for key, value in reading.fields.items():
        takers = [one for one in known if key in keys_of(one)]
        reasons = [untaken[name].reason for name in (key, *(one.label for one in takers)) if name in untaken]
        reasons += [missing[one.name] for one in takers if one.name in missing and not reasons]
        if reasons:
            yield InfoField(name=key, value=value, state=NOT_USED, reason="; ".join(dict.fromkeys(reasons)))
        elif (takers and value.strip()) or key == EXACT_PROMPTS:
            yield InfoField(name=key, value=value, state=USED, label=_control(key, takers))
        else:  # a version, a hash, what is switched off
            yield InfoField(name=key, value=value, state=NO_PART)


def _control(key: str, takers: Iterable[RequestField]) -> str:
    """Return what the control that takes a setting is called."""
    if key == EXACT_PROMPTS:
        return " and ".join(_PROMPTS)
    labels = {SIZE: "Width and height", SAMPLER: "Sampler", SCHEDULE: "Schedule type"}
    return labels.get(key) or next(one.label for one in takers)


def _missing(
    request: Txt2ImgRequest, models: Collection[str], vaes: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield the fields whose value names something that is not here, with a reason each."""
    for name, here in (("model", models), ("vae", vaes)):
        asked = getattr(request, name)
        if asked and here and not any(is_same_file(asked, one) or asked == one for one in here):
            yield name, "it is not here"
    if request.scheduler and name_sampling(request.scheduler, None)[0] not in SCHEDULER_NAMES:
        yield "scheduler", "there is no such sampler here"
