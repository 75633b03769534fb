"""What can be known of a single-file checkpoint without reading its weights, and what has to be assumed."""

import json
import os
import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..user_files import JsonObject, read_text
from .configs import SCHEDULER, ZERO_SNR, Config
from .header import Header, read_header, read_raw_header, shown
from .parts import UNET_MARKS, find_parts
from .stored import size_of

PREDICTIONS = ("epsilon", "v_prediction")
SIDES = {"sd1": 512, "sdxl": 1024}  # pixels a family was trained on
SD2_SIDES = {"epsilon": 512, "v_prediction": 768}

_SPEC = "modelspec."  # metadata that trainers write, github.com/Stability-AI/ModelSpec
_V_NAME = re.compile(r"v[-_ .]?pred", re.IGNORECASE)
_EPSILON_NAME = re.compile(r"512|base|turbo|eps", re.IGNORECASE)
MAX_TEXT = 1_000_000  # bytes of a file beside it
MAX_LAYOUTS = 64  # remembered: half a megabyte each

Stamp = tuple[int, int]  # modified (ns), bytes
NO_FILE: Stamp = (0, 0)


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """A checkpoint file as its header, its name and the files beside it describe it."""

    path: Path
    family: str  # "sd1", "sd2" or "sdxl"
    in_channels: int  # of the U-Net: 4, or 9 for inpainting
    size_bytes: int  # of the tensors that are loaded
    prediction_type: str  # "epsilon" or "v_prediction"
    zero_snr: bool  # trained up to pure noise (Lin et al. 2023)
    native_size: int  # pixels of a side
    sidecar: JsonObject  # what NAME.json says
    assumed: str  # what nothing in the file says, in words; empty if nothing
    left_out: str = ""  # what of the file and those beside it is not read, in words; empty if nothing


def inspect(path: Path) -> FileFacts:
    """Describe a checkpoint file. Remembered until it, NAME.json or NAME.yaml changes.

    Raise ValueError saying what is wrong with it, OSError if it cannot be read.
    """
    facts = _inspect(path, stamps_of(path))
    if isinstance(facts, str):
        raise ValueError(facts)
    return facts


def may_be_checkpoint(path: Path) -> bool:
    """Tell whether a file's header names a U-Net; all others can be left out of a list at little cost.

    Remembered until the file changes. Raise OSError if it cannot be read.
    """
    return _names_unet(path, stamp(path))


def stamp(path: str | Path) -> Stamp:
    """Return what tells a changed file from the same one."""
    try:
        status = os.stat(path)  # noqa: PTH116 - asked for thousands of files, and Path.stat takes longer
    except OSError:
        return NO_FILE
    return status.st_mtime_ns, status.st_size


def stamps_of(path: Path) -> tuple[Stamp, ...]:
    """Return the stamps of all files that what is known of a checkpoint comes from."""
    beside = path.with_suffix("")
    return stamp(path), stamp(f"{beside}.json"), stamp(f"{beside}.yaml")


@lru_cache(maxsize=16384)
def _names_unet(path: Path, _file: Stamp) -> bool:
    try:
        raw = read_raw_header(path)
        return any(mark in raw for mark in UNET_MARKS)
    except ValueError:
        return False


@lru_cache(maxsize=16384)
def _inspect(path: Path, _files: tuple[Stamp, ...]) -> FileFacts | str:
    if reason := found_broken(path):
        return reason
    try:
        return describe(path, read_header(path))
    except ValueError as error:
        return str(error)


_broken: dict[tuple[Path, Stamp], str] = {}  # files whose numbers turned out to be none


def mark_broken(path: Path, reason: str) -> None:
    """Remember why a file could not be loaded though its header is sound, until it changes."""
    _broken[path, stamp(path)] = reason
    _inspect.cache_clear()


def found_broken(path: Path) -> str:
    """Return why a file could not be loaded when it was tried; empty if it was not."""
    return _broken.get((path, stamp(path)), "") if _broken else ""


def describe(path: Path, header: Header) -> FileFacts:
    """Describe a checkpoint by its header and the files beside it. Raise ValueError for another kind of file.

    What is wrong with a file beside it is said and not read: no model is lost to it.
    """
    told = _tell(header, path)
    sidecar, fault = read_sidecar(path)
    prediction_type, why, more = _prediction(path, header, sidecar, told.family, told.in_channels)
    sides = SD2_SIDES if told.family == "sd2" else {prediction_type: SIDES[told.family]}
    native_size = _spec_side(header) or sides[prediction_type]
    assumed = (
        f"Assumed {why}: {prediction_type}, {native_size} pixels; {path.stem}.json can say otherwise."
        if why
        else ""
    )
    return FileFacts(
        path=path,
        family=told.family,
        in_channels=told.in_channels,
        size_bytes=told.size_bytes,
        prediction_type=prediction_type,
        zero_snr="ztsnr" in header.shapes,
        native_size=native_size,
        sidecar=sidecar,
        assumed=assumed,
        left_out=" ".join(filter(None, (fault, more, _say_unread(told.unread)))),
    )


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What names, shapes and formats of tensors tell."""

    family: str
    in_channels: int
    size_bytes: int
    unread: tuple[str, ...]


# Most checkpoints of a family hold the very same tensors, and to see that they are whole takes a while.
_layouts: dict[Hashable, _Told] = {}


def _tell(header: Header, path: Path) -> _Told:
    """Tell what a checkpoint's tensors are; remembered by all of their names, shapes and formats."""
    layout = (tuple(header.shapes.items()), tuple(header.dtypes.values()))
    if layout in _layouts:
        return _layouts[layout]
    parts = find_parts(header, path)
    channels = parts.unet["in_channels"]
    assert isinstance(channels, int)
    sources = (parts.unet_sources, parts.vae_sources, *parts.text_sources)
    if len(_layouts) >= MAX_LAYOUTS:
        _layouts.clear()
    told = _layouts[layout] = _Told(
        family=parts.family,
        in_channels=channels,
        size_bytes=size_of(source for part in sources for source in part.values()),
        unread=parts.unread,
    )
    return told


def file_scheduler(facts: FileFacts) -> Config:
    """Return the configuration of the scheduler that a checkpoint file was trained with."""
    zero_snr = ZERO_SNR if facts.zero_snr else {}
    return SCHEDULER | {"prediction_type": facts.prediction_type} | zero_snr


def _say_unread(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    first = shown(names[0])[:80]
    if len(names) == 1:
        return f"1 tensor in the file belongs to no part of it and is not read: {first}."
    return (
        f"{len(names):,} tensors in the file belong to no part of it and are not read, for example {first}."
    )


def _prediction(
    path: Path, header: Header, sidecar: JsonObject, family: str, channels: int
) -> tuple[str, str, str]:
    """Return what the U-Net predicts, on what grounds that is assumed ("" if something says so), and a note.

    A file's tensors are the same either way. Signs, surest first: NAME.json; NAME.yaml as AUTOMATIC1111 reads
    it; an empty tensor "v_pred", which trainers add; metadata. Then the name, then what is usual.
    """
    given, note = sidecar.get("prediction_type"), ""
    if given in PREDICTIONS:
        return str(given), "", ""
    if given is not None:
        note = (
            f"prediction_type in {path.stem}.json beside it is not read: it must be"
            f" {' or '.join(PREDICTIONS)}."
        )
    said, fault = _read_yaml(path)
    note = " ".join(filter(None, (note, fault)))
    spec = header.metadata.get(f"{_SPEC}prediction_type", "").lower()
    architecture = header.metadata.get(f"{_SPEC}architecture", "").lower()
    if said == "v" or "v_pred" in header.shapes or spec.startswith("v") or "-768-v" in architecture:
        return "v_prediction", "", note
    if said == "eps" or spec.startswith("eps") or "-v2-512" in architecture:
        return "epsilon", "", note
    if _V_NAME.search(path.stem):
        return "v_prediction", "from the file's name", note
    if family != "sd2":
        return "epsilon", "", note  # so were they all trained; the exceptions carry a sign
    if channels != 4:
        return "epsilon", "because Stable Diffusion 2's inpainting model is", note
    if _EPSILON_NAME.search(path.stem):
        return "epsilon", "from the file's name", note
    return "v_prediction", "because most Stable Diffusion 2 models are", note


def _read_yaml(path: Path) -> tuple[str, str]:
    """Return the parameterization that NAME.yaml names, "" if none, and what is wrong with it in words."""
    file = path.with_suffix(".yaml")
    try:
        if file.stat().st_size > MAX_TEXT:
            return "", f"{file.name} beside it is not read: it is larger than {MAX_TEXT // 1_000_000} MB."
        text = read_text(file)
    except OSError:
        return "", ""
    import yaml

    try:
        value: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return "", f"{file.name} beside it is not read: it is not YAML."
    for key in ("model", "params", "parameterization"):
        value = value.get(key) if isinstance(value, dict) else None
    return (value, "") if isinstance(value, str) else ("", "")


def _spec_side(header: Header) -> int | None:
    """Return the side the file's metadata names, if it is one that can be asked for."""
    numbers = re.findall(r"\d{1,5}", header.metadata.get(f"{_SPEC}resolution", ""))
    side = max(map(int, numbers), default=0)
    return side if 64 <= side <= 2048 and side % 8 == 0 else None


def read_sidecar(path: Path) -> tuple[JsonObject, str]:
    """Read NAME.json beside NAME.safetensors: the fields of a folder's studio.json, and prediction_type.

    Other tools write a file of that name too; what they put in it is left alone. Return what is wrong with it
    in words, too; empty if nothing is.
    """
    file = path.with_suffix(".json")
    try:
        if file.stat().st_size > MAX_TEXT:
            return {}, f"{file.name} beside it is not read: it is larger than {MAX_TEXT // 1_000_000} MB."
        value = json.loads(read_text(file))
    except OSError:
        return {}, ""
    except (ValueError, RecursionError):
        return {}, f"{file.name} beside it is not read: it is not JSON."
    if not isinstance(value, dict):
        return {}, f"{file.name} beside it is not read: it holds no JSON object."
    return value, ""
