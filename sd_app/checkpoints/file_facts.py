"""What can be known of a single-file checkpoint without reading its weights, and what has to be assumed."""

import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..user_files import JsonObject
from .header import Header, read_header, read_raw_header
from .kinds import TEXT_ENCODERS, UNET, VAE, identify

PREDICTIONS = ("epsilon", "v_prediction")
SIDES = {"sd1": 512, "sdxl": 1024}  # pixels a family was trained on
SD2_SIDES = {"epsilon": 512, "v_prediction": 768}

_SPEC = "modelspec."  # metadata that trainers write, github.com/Stability-AI/ModelSpec
_V_NAME = re.compile(r"v[-_ .]?pred", re.IGNORECASE)
_EPSILON_NAME = re.compile(r"512|base|turbo|eps", re.IGNORECASE)
_V_CONFIG = re.compile(r"^\s*parameterization:\s*[\"']?v[\"']?\s*$", re.MULTILINE)

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
        return f'"{UNET}'.encode() in read_raw_header(path)
    except ValueError:
        return False


@lru_cache(maxsize=16384)
def _inspect(path: Path, _files: tuple[Stamp, ...]) -> FileFacts | str:
    try:
        return describe(path, read_header(path), read_sidecar(path))
    except ValueError as error:
        return str(error)


def describe(path: Path, header: Header, sidecar: JsonObject) -> FileFacts:
    """Describe a checkpoint by its header. Raise ValueError for another kind of file or a wrong sidecar."""
    family = identify(header)
    channels = header.shape(f"{UNET}input_blocks.0.0.weight")[1]
    prediction_type, why = _prediction(path, header, sidecar, family, channels)
    sides = SD2_SIDES if family == "sd2" else {prediction_type: SIDES[family]}
    native_size = _spec_side(header) or sides[prediction_type]
    assumed = (
        f"Assumed {why}: {prediction_type}, {native_size} pixels; {path.stem}.json can say otherwise."
        if why
        else ""
    )
    return FileFacts(
        path=path,
        family=family,
        in_channels=channels,
        size_bytes=header.size_bytes(UNET, VAE, *TEXT_ENCODERS[family]),
        prediction_type=prediction_type,
        zero_snr="ztsnr" in header.shapes,
        native_size=native_size,
        sidecar=sidecar,
        assumed=assumed,
    )


def _prediction(
    path: Path, header: Header, sidecar: JsonObject, family: str, channels: int
) -> tuple[str, str]:
    """Return what the U-Net predicts, and on what grounds that is assumed; "" if something says so.

    A file's tensors are the same either way. Signs, surest first: NAME.json; NAME.yaml as AUTOMATIC1111 reads
    it; an empty tensor "v_pred", which trainers add; metadata. Then the name, then what is usual.
    """
    if (given := sidecar.get("prediction_type")) is not None:
        if given not in PREDICTIONS:
            raise ValueError(f"prediction_type must be one of {', '.join(PREDICTIONS)}, got {given!r}")
        return str(given), ""
    spec = header.metadata.get(f"{_SPEC}prediction_type", "").lower()
    architecture = header.metadata.get(f"{_SPEC}architecture", "").lower()
    if "v_pred" in header.shapes or spec.startswith("v") or "-768-v" in architecture or _yaml_says_v(path):
        return "v_prediction", ""
    if spec.startswith("eps") or "-v2-512" in architecture:
        return "epsilon", ""
    if _V_NAME.search(path.stem):
        return "v_prediction", "from the file's name"
    if family != "sd2":
        return "epsilon", ""  # so were they all trained; the exceptions carry a sign
    if channels != 4:
        return "epsilon", "because Stable Diffusion 2's inpainting model is such a one"
    if _EPSILON_NAME.search(path.stem):
        return "epsilon", "from the file's name"
    return "v_prediction", "because most Stable Diffusion 2 models are such ones"


def _yaml_says_v(path: Path) -> bool:
    try:
        return bool(_V_CONFIG.search(path.with_suffix(".yaml").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _spec_side(header: Header) -> int | None:
    """Return the side of the pictures a file says it was trained on, if it says one that can be."""
    numbers = re.findall(r"\d{1,5}", header.metadata.get(f"{_SPEC}resolution", ""))
    side = max(map(int, numbers), default=0)
    return side if 64 <= side <= 2048 and side % 8 == 0 else None


def read_sidecar(path: Path) -> JsonObject:
    """Read NAME.json beside NAME.safetensors: the fields of a folder's studio.json, and prediction_type.

    Other tools write a file of that name too; what they put in it is left alone. Raise ValueError for broken
    JSON.
    """
    file = path.with_suffix(".json")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} beside it is no JSON: {error}") from error
    return value if isinstance(value, dict) else {}
