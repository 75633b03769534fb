"""Where the numbers of a network's tensors lie: tensors of files, and what makes a network's own of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from .header import FLOATS, Header, shown

Shape = tuple[int, ...]

# A tensor that another one's numbers are multiplied by, as ComfyUI and others store eight-bit floats.
_SCALE = re.compile(r"(.+)\.(?:scale_weight|weight_scale)")
# What stands beside such weights and is needed by those alone who multiply in eight bits, and position_ids.
_ASIDE = re.compile(
    r"(?:.*\.)?(?:scaled_fp8|comfy_quant|input_scale|scale_input|position_ids|num_batches_tracked)"
)
# What packed numbers are read with, as bitsandbytes, GPTQ and scales of blocks have it.
_PACKING = re.compile(
    r".*\.(?:weight_scale_inv|scale_weight_inv|weight_scale_2|qweight|qzeros|(?:weight\.)?(?:absmax|quant_map"
    r"|nested_absmax|quant_state\..*))"
)
# Add-ons left in a checkpoint by their trainer: they are no part of its networks.
_STRAY = re.compile(r"lora|hada_w|lokr_w|dora_scale|(?:^|\.)(?:alpha|diff|diff_b)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A tensor of a file, and what makes a network's tensor of it."""

    file: Path
    name: str  # in the file
    shape: Shape  # of the network's tensor, before sides of 1 are taken off or put on
    dtype: str
    third: int | None = None  # 0, 1 or 2: of a matrix with those of query, key and value below each other
    transposed: bool = False
    scale: str = ""  # the tensor that its numbers are multiplied by; "" if they are not

    def of_third(self, third: int) -> "Source":
        """Return a third of it, counted from 0. Raise ValueError if it has none."""
        if not self.shape or self.shape[0] % 3:
            raise ValueError(f"its tensor {self.name} must have three equal parts")
        return replace(self, third=third, shape=(self.shape[0] // 3, *self.shape[1:]))

    def turned(self) -> "Source":
        """Return it with rows and columns exchanged."""
        return replace(self, transposed=True, shape=self.shape[::-1])


Sources = dict[str, Source]  # by the network's name of the tensor, or by the file's without its prefix


def gather(header: Header, file: Path, prefix: str = "") -> Sources:
    """Return the tensors under a prefix by their names without it.

    Scales go to what they belong to; what no network has is left out.
    """
    length = len(prefix)
    names = [name for name in header.shapes if name.startswith(prefix)]
    scales = {f"{match[1]}.weight": name for name in names if (match := _SCALE.fullmatch(name))}
    known = set(scales.values())
    if packed := next((name for name in names if _PACKING.fullmatch(name)), None):
        raise ValueError(f"its weights are quantised (by {shown(packed)[:120]}); get the fp16 file instead")
    for name, scale in scales.items():
        if name in header.shapes:
            _check_scale(header, name, scale)
    return {
        name[length:]: Source(
            file=file,
            name=name,
            shape=header.shapes[name],
            dtype=header.dtypes[name],
            scale=scales.get(name, ""),
        )
        for name in names
        if name not in known and not _ASIDE.fullmatch(name)
    }


def _check_scale(header: Header, name: str, scale: str) -> None:
    """Raise ValueError unless a scale is one number, or one for each row of its tensor."""
    header.check_floats(scale)
    rows = header.shapes[name][0] if header.shapes[name] else 1
    sides = [side for side in header.shapes[scale] if side != 1]
    if sides not in ([], [rows]) or (sides and header.shapes[scale][0] != rows):
        raise ValueError(
            f"its tensor {name} has a scale of {_sides(header.shapes[scale])}, and only one for all or"
            " one for each row is known"
        )


def fit(expected: Mapping[str, Shape], found: Sources, part: str) -> Sources:
    """Return the source of each expected tensor. Raise ValueError saying what does not fit.

    What is found besides lies inside the network: it would compute something else with it.
    """
    chosen = {name: found[name] for name in expected if name in found}
    if odd := sorted({source.dtype for source in chosen.values()} - set(FLOATS)):
        raise ValueError(
            f"its weights are quantised ({shown(', '.join(odd))[:80]}); get the fp16 file instead"
        )
    missing = [name for name in expected if name not in found]
    if missing:
        raise ValueError(f"its {part} lacks {len(missing)} tensors, for example {missing[0]}")
    for name, source in chosen.items():
        if plain(source.shape) != plain(expected[name]):
            raise ValueError(
                f"its {part} has a tensor of another shape than its family's: {name} is"
                f" {_sides(source.shape)} and must be {_sides(expected[name])}"
            )
    if more := [name for name in left_over(expected, found) if not _STRAY.search(name)]:
        raise ValueError(f"its {part} has too many tensors: {len(more)}, for example {shown(more[0])[:120]}")
    return chosen


def left_over(expected: Iterable[str], found: Sources) -> list[str]:
    """Return the names found inside the network's own modules that it does not have."""
    modules = {name.split(".")[0] for name in expected}
    return [name for name in found if name not in expected and name.split(".")[0] in modules]


def plain(shape: Shape) -> Shape:
    """Return a shape without the sides of a 1x1 convolution, which is a matrix."""
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


def size_of(sources: Iterable[Source]) -> int:
    """Return how many bytes tensors take in their files; each tensor counts once."""
    from .header import BITS

    seen = {(source.file, source.name): source for source in sources}
    return sum(
        prod(source.shape) * (1 if source.third is None else 3) * BITS.get(source.dtype, 8) // 8
        for source in seen.values()
    )


def _sides(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a single number"
