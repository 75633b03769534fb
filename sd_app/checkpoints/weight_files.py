"""Which files of a part's folder hold its weights: one, or several that belong together."""

import re
from collections import defaultdict
from pathlib import Path

from ..user_files import PICKLES, SUFFIX, JsonObject, read_object
from .header import read_header
from .stored import Sources, gather

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")  # what diffusers and transformers write
VARIANTS = ("fp16", "", "bf16", "fp32", "ema", "non_ema")  # the first that is there is read
_NAME = re.compile(
    r"(?P<stem>[^.]+?)(?P<early>\.\w+)?(?:-(?P<number>\d{1,5})-of-(?P<total>\d{1,5}))?(?P<late>\.\w+)?"
    r"\.safetensors",
    re.IGNORECASE,
)

WRAPPERS = ("_orig_mod.", "module.", "model.diffusion_model.", "unet.", "first_stage_model.", "vae.")

Group = tuple[str, str, int]  # stem, variant, number of files that belong together


def weight_files(part: Path) -> list[Path]:
    """List the safetensors files a load reads: the fp16 ones where a part has several kinds."""
    return _choose(part)[1]


def _choose(part: Path) -> tuple[Group | None, list[Path]]:
    groups: dict[Group, list[Path]] = defaultdict(list)
    for file in sorted(part.glob("*")):
        if (match := _NAME.fullmatch(file.name)) and file.is_file() and not file.name.startswith("."):
            variant = (match["early"] or match["late"] or "").removeprefix(".")
            groups[match["stem"], variant, int(match["total"] or 1)].append(file)
    if not groups:
        return None, []
    group = min(groups, key=_rank)
    return group, groups[group]


def _rank(group: Group) -> tuple[bool, int, bool, str]:
    stem, variant, total = group
    known = VARIANTS.index(variant) if variant in VARIANTS else len(VARIANTS)
    return stem not in STEMS, known, total > 1, stem


def why_no_weights(part: Path) -> str:
    """Say what is wrong with the choice of a part's weights, in words; empty if nothing is."""
    group, files = _choose(part)
    for index in part.glob("*.safetensors.index*.json"):
        if variant_of(index.name) != (group[1] if group else ""):
            continue
        shards = shards_of(read_object(index))
        # Other programs would follow a name anywhere, and open a pickle that stands there.
        if any(Path(shard).name != shard or not shard.endswith(SUFFIX) for shard in shards):
            return f"its {part.name} has an index that names other files than .safetensors beside it"
        if not all((part / shard).is_file() for shard in shards):
            return f"its {part.name} is not whole: a file that its index names is missing (download it again)"
    if group is None:
        return f"its {part.name} holds no .safetensors weights"
    if group[2] > len(files):
        return f"its {part.name} is not whole: {len(files)} of {group[2]} files are there (download it again)"
    return ""


def variant_of(name: str) -> str:
    """Return the variant that a file's name holds, "" for a plain one."""
    return next((one for one in VARIANTS if one and re.search(rf"\.{one}[.-]", name)), "")


def holds_pickles(part: Path) -> bool:
    """Tell whether a part has weights in a format whose reading can run code."""
    return any(file.suffix in PICKLES for file in part.glob("*"))


def read_sources(part: Path) -> Sources:
    """Return the tensors of a part's weight files. Raise ValueError naming the file that is none."""
    found: Sources = {}
    for file in weight_files(part):
        try:
            found |= gather(read_header(file), file)
        except ValueError as error:
            raise ValueError(f"{part.name}/{file.name} in it cannot be read: {error}") from error
    return _unwrapped(found)


def _unwrapped(found: Sources) -> Sources:
    """Take off what wrappers put before all names: torch.compile, data parallel, a whole model's parts."""
    for prefix in WRAPPERS:
        if found and all(name.startswith(prefix) for name in found):
            return {name.removeprefix(prefix): source for name, source in found.items()}
    return found


def shards_of(index: JsonObject) -> set[str]:
    """Return the files that an index of weights names. Raise TypeError for one that is no such index."""
    weight_map = index.get("weight_map", {})
    if not isinstance(weight_map, dict):
        raise TypeError("weight_map must be an object")
    names = set(weight_map.values())
    if not all(isinstance(name, str) for name in names):
        raise TypeError("weight_map must name files")
    return names
