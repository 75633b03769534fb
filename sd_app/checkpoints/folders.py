"""What a diffusers folder holds, by its small JSON files and the headers of its weights. No torch."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from ..user_files import JsonObject, read_object, reason_of
from .file_facts import NO_FILE, Stamp, found_broken, stamp
from .folder_parts import (
    PARTS,
    TOKENIZERS,
    FolderParts,
    find_folder_parts,
    is_xl,
    tell_family,
    why_not_pipeline,
)
from .model_info import ODD_VALUES, ModelInfo, apply_overrides
from .weight_files import holds_pickles, weight_files, why_no_weights

INPAINT_CHANNELS = 9  # of a U-Net that also reads the mask and the masked picture: 4 + 1 + 4
NO_OVERRIDES: Mapping[str, object] = MappingProxyType({})
INDEX = "model_index.json"

Files = tuple[tuple[str, Stamp], ...]  # the files of a folder and what each was like


def describe_folder(
    path: Path,
    *,
    name: str | None = None,
    kind: str = "folder",
    overrides: Mapping[str, object] = NO_OVERRIDES,
) -> ModelInfo:
    """Describe a diffusers folder that can be loaded.

    What studio.json says goes before `overrides`, what is known of it otherwise, and both before what the
    configurations imply. Raise one of ODD_VALUES for a value that cannot be.
    """
    vae, unet = read_object(path / "vae/config.json"), read_object(path / "unet/config.json")
    index = read_object(path / INDEX)
    name = name or path.name
    weights = [file for part in _parts_of(index) for file in weight_files(path / part)]
    judged = judge_folder(path)
    implied = ModelInfo(
        name=name,
        title=name,
        kind=kind,
        path=path,
        family=tell_family(index, unet) if isinstance(judged, str) else judged.family,
        native_size=native_size(unet, vae),
        size_bytes=sum(file.stat().st_size for file in weights),
        only_inpaints=unet.get("in_channels") == INPAINT_CHANNELS,
        note="" if isinstance(judged, str) else judged.note,
    )
    own = read_object(path / "studio.json")
    if not own and (path / "studio.json").is_file():
        implied = replace(
            implied, note=f"{implied.note} Its studio.json is not read: it holds no JSON object.".strip()
        )
    said = {**overrides, **own}
    return apply_overrides(implied, said, scaling_factor=vae.get("scaling_factor"), where="its studio.json")


def _parts_of(index: JsonObject) -> tuple[str, ...]:
    return PARTS if is_xl(index) else PARTS[:-1]


def native_size(unet: JsonObject, vae: JsonObject) -> int:
    """Return the pixels of a side a model was trained on, from the config.json of both parts.

    Raise TypeError or OverflowError for values that are no number and no list.
    """
    side, channels = unet.get("sample_size") or 64, vae.get("block_out_channels", [0] * 4)
    if isinstance(side, list) and side:
        side = max(side)
    if not isinstance(side, int | float) or not isinstance(channels, list):
        raise TypeError(f"sample_size {side!r} must be a number and block_out_channels {channels!r} a list")
    return int(side * 2 ** (len(channels) - 1))


def why_unusable(path: Path) -> str:
    """Say why a diffusers folder cannot be loaded, in words for its owner; empty when it can."""
    judged = judge_folder(path)
    return judged if isinstance(judged, str) else ""


def find_parts_of(path: Path) -> FolderParts:
    """Return the networks of a folder. Raise ValueError saying why it cannot be used."""
    judged = judge_folder(path)
    if isinstance(judged, str):
        raise ValueError(judged)
    return judged


def judge_folder(path: Path) -> FolderParts | str:
    """Return a folder's networks, or why they cannot be loaded. Remembered until one of its files changes."""
    judged = _judge(path, _files_of(path))
    for file in () if isinstance(judged, str) else judged.files:
        if reason := found_broken(file):
            return reason
    return judged


def _files_of(path: Path) -> Files:
    found: list[tuple[str, Stamp]] = [(INDEX, stamp(path / INDEX))]
    for folder in (*PARTS, *TOKENIZERS, "scheduler"):
        try:
            names = sorted(os.listdir(path / folder))  # noqa: PTH208 - a Path for each would take longer
        except OSError:
            names = []
        found += [(f"{folder}/{name}", stamp(path / folder / name)) for name in names]
    return tuple(one for one in found if one[1] != NO_FILE or one[0] == INDEX)


@lru_cache(maxsize=1024)
def _judge(path: Path, _files: Files) -> FolderParts | str:
    try:
        if reason := _why_unusable(path):
            return reason
        return find_folder_parts(path)
    except ODD_VALUES as error:
        known = type(error) is ValueError
        return str(error) if known else f"a value in one of its config.json is wrong: {error}"
    except OSError as error:
        return f"it cannot be read: {reason_of(error, path)}"


def _why_unusable(path: Path) -> str:
    index = read_object(path / INDEX)
    if not index:
        return "it has no readable model_index.json: it is not a diffusers folder"
    unet = read_object(path / "unet/config.json")
    if reason := why_not_pipeline(index, unet):
        return reason
    for part in _parts_of(index):
        if reason := why_no_weights(path / part):
            return f"{reason}{how_to_convert(path, part)}" if not weight_files(path / part) else reason
    native_size(unet, read_object(path / "vae/config.json"))
    return ""


def how_to_convert(path: Path, part: str | None = None) -> str:
    """Say how to make a usable folder of a file, or of a folder whose part holds pickles only."""
    if part is not None and not holds_pickles(path / part):
        return ""
    load = "from_single_file" if part is None else "from_pretrained"
    code = f'P.{load}("{path.name}").save_pretrained("{path.stem}-safe")'
    return (
        "; if you trust its source, convert it once, in its folder:"
        f" python -c 'from diffusers import StableDiffusionPipeline as P; {code}'"
    )
