"""Check what a hub model's configurations hold before it is fetched: the catalog reads them as they are."""

import math
import re
import reprlib

from ..checkpoints.folders import PARTS
from ..user_files import SUFFIX, JsonObject

MAX_COUNT = 1024  # pixels of a latent picture's side, channels of it; SDXL's are 128 and 4
MAX_LEVELS = 8  # of a VAE; Stable Diffusion's has 4
MAX_NAME = 200  # letters of a class
PLAIN = re.compile(r"[\w.-]+")  # a file's name that stays inside its folder
LISTED = (*PARTS, "tokenizer", "tokenizer_2", "scheduler")  # parts that model_index.json names a class of


def why_unsound(index: JsonObject, unet: JsonObject, vae: JsonObject) -> str:
    """Say which value of which configuration cannot be, naming file, value and rule; empty when all can."""
    kind = index.get("_class_name")
    if not isinstance(kind, str) or not PLAIN.fullmatch(kind) or len(kind) > MAX_NAME:
        return f"its model_index.json must name a class as _class_name, got {brief(kind)}"
    for part in LISTED:
        entry = index.get(part)
        if isinstance(entry, list) and len(entry) != 2:
            return f"its model_index.json must name a library and a class for {part}, got {brief(entry)}"
    counts = {"sample_size": unet.get("sample_size"), "in_channels": unet.get("in_channels")}
    for name, value in counts.items():
        if value is not None and not _is_count(value):
            rule = f"must be a whole number from 1 to {MAX_COUNT}, got {brief(value)}"
            return f"the {name} in its unet/config.json {rule}"
    levels = vae.get("block_out_channels", [0])
    if not isinstance(levels, list) or not 1 <= len(levels) <= MAX_LEVELS:
        return (
            "the block_out_channels in its vae/config.json must be a list of"
            f" 1 to {MAX_LEVELS} numbers, got {brief(levels)}"
        )
    factor = vae.get("scaling_factor")
    if factor is not None and not (isinstance(factor, int | float) and 0 < factor < math.inf):
        return f"the scaling_factor in its vae/config.json must be a number above 0, got {brief(factor)}"
    return ""


def is_index(path: str) -> bool:
    """Tell which small files the catalog takes for an index of weights."""
    folder, _, name = path.partition("/")
    return folder in PARTS and ".safetensors.index" in name and name.endswith(".json")


def why_unsound_shards(path: str, content: JsonObject, paths: list[str]) -> str:
    """Say why an index of weights cannot be used; empty when each file it names is one to be fetched."""
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        return f"the weight_map in its {path} must say which file holds what, got {brief(shards)}"
    folder = path.rpartition("/")[0]
    for name in shards.values():
        if not isinstance(name, str) or not name.endswith(SUFFIX) or f"{folder}/{name}" not in paths:
            return (
                f"the weight_map in its {path} must name .safetensors weights beside it that the repository"
                f" holds, got {brief(name)}"
            )
    return ""


def brief(value: object) -> str:
    """Return a value as an error may show it: one short line."""
    return reprlib.repr(value).encode("ascii", "backslashreplace").decode()[:80]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_COUNT
