"""Where the U-Net's parts stand: the height and width that each block and each attention works at."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import nn

Side = tuple[int, int]  # (height, width) in cells

MAX_ATTENTION_CELLS = 32 * 32  # of a map that is kept
MAX_FEATURE_CELLS = 64 * 64


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionModule:
    """A module of the U-Net with one or several cross attentions, one after the other, at one resolution."""

    name: str  # as in the U-Net, "up_blocks.1.attentions.0"
    layers: tuple[str, ...]  # its cross attentions, full names
    heads: int
    side: Side


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """A part of the U-Net whose output is watched."""

    name: str  # "conv_in", "down_blocks.0", "mid_block", "up_blocks.2"
    channels: int
    side: Side
    module: nn.Module


def level_sides(unet: UNet2DConditionModel, height: int, width: int) -> list[Side]:
    """Return the (height, width) of each level, the outermost first, for latents of that size."""
    sides = [(height, width)]
    for block in unet.down_blocks[:-1]:
        # A convolution of stride 2 with one cell of padding.
        rows, columns = sides[-1]
        halved = (ceil(rows / 2), ceil(columns / 2)) if block.downsamplers else (rows, columns)
        sides.append(halved)
    return sides


def attention_modules(unet: UNet2DConditionModel, height: int, width: int) -> list[AttentionModule]:
    """List the modules with cross attention in the order in which a call runs them."""
    sides = level_sides(unet, height, width)
    layers: dict[str, list[str]] = {}
    for name, part in unet.named_modules():
        if isinstance(part, Attention) and part.is_cross_attention:
            layers.setdefault(name.split(".transformer_blocks.")[0], []).append(name)
    found = [
        AttentionModule(
            name=name,
            layers=tuple(members),
            heads=unet.get_submodule(members[0]).heads,
            side=_side_of(name, sides),
        )
        for name, members in layers.items()
    ]
    order = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    return sorted(found, key=lambda module: order.get(module.name.split(".")[0], 1))  # stable within


def watched_blocks(unet: UNet2DConditionModel, height: int, width: int) -> list[Block]:
    """List the first convolution and each down, middle and up block with the shape of its output."""
    sides = level_sides(unet, height, width)
    return [
        Block(name=name, channels=channels, side=side, module=module)
        for name, channels, side, module in _blocks(unet, sides)
    ]


def _blocks(unet: UNet2DConditionModel, sides: list[Side]) -> Iterator[tuple[str, int, Side, nn.Module]]:
    channels = unet.config.block_out_channels
    last = len(sides) - 1
    yield "conv_in", channels[0], sides[0], unet.conv_in
    for level, block in enumerate(unet.down_blocks):
        yield f"down_blocks.{level}", channels[level], sides[min(level + 1, last)], block
    if unet.mid_block is not None:
        yield "mid_block", channels[-1], sides[last], unet.mid_block
    for number, block in enumerate(unet.up_blocks):
        level = last - number
        yield f"up_blocks.{number}", channels[level], sides[max(level - 1, 0)], block


def _side_of(name: str, sides: list[Side]) -> Side:
    """Return where a module of that name works."""
    kind, _, rest = name.partition(".")
    if kind == "mid_block":
        return sides[-1]
    number = int(rest.split(".")[0])
    return sides[number if kind == "down_blocks" else len(sides) - 1 - number]


def pooling(side: Side, most: int) -> int:
    """Return the smallest whole number of cells, along both sides, to be averaged so that `most` remain."""
    factor = 1
    while ceil(side[0] / factor) * ceil(side[1] / factor) > most:
        factor += 1
    return factor


def pooled(side: Side, most: int) -> Side:
    """Return the (height, width) that remains."""
    factor = pooling(side, most)
    return ceil(side[0] / factor), ceil(side[1] / factor)
