"""The latents themselves: the four channels, how much smaller they are, and what one cell stands for.

What a cell does to the picture is measured through the real decoder: it is not the 8x8 pixels of the cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..pictures.drift import difference
from ..pictures.placement import Box
from ..probes.recording import CONDITIONAL, Recording
from .film import frame_latents
from .look import Look, decode_in_parts

CLEAR = 8  # of 255: from this difference of a channel on a pixel counts as clearly changed
COLORS = 3  # numbers a pixel


@dataclass(frozen=True, kw_only=True)
class ChannelRange:
    """What one channel's numbers are."""

    channel: int  # from 0
    least: float
    largest: float
    mean: float
    spread: float  # standard deviation


def channel_ranges(latents: Tensor) -> list[ChannelRange]:
    """Return the range of each channel of (C, h, w) latents."""
    return [
        ChannelRange(
            channel=number,
            least=float(channel.min()),
            largest=float(channel.max()),
            mean=float(channel.mean()),
            spread=float(channel.std(unbiased=False)),
        )
        for number, channel in enumerate(latents.float())
    ]


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """How many numbers a picture and its latents are."""

    width: int
    height: int
    channels: int
    rows: int
    columns: int

    @property
    def picture_numbers(self) -> int:
        """Return how many numbers the picture is."""
        return self.width * self.height * COLORS

    @property
    def latent_numbers(self) -> int:
        """Return how many numbers its latents are."""
        return self.channels * self.rows * self.columns

    @property
    def factor(self) -> float:
        """Return how many times fewer they are."""
        return self.picture_numbers / self.latent_numbers

    @property
    def sentence(self) -> str:
        """Write the reduction out."""
        return (
            f"The picture is {self.width} × {self.height} × {COLORS} = {self.picture_numbers:,} numbers, its"
            f" latents {self.channels} × {self.rows} × {self.columns} = {self.latent_numbers:,}:"
            f" {self.factor:g} times fewer."
        )


def reduction_of(recording: Recording) -> Reduction:
    """Return the reduction of a recorded picture, as the model drew it."""
    channels, rows, columns = recording.final.shape
    width, height = recording.decoded.size
    return Reduction(width=width, height=height, channels=channels, rows=rows, columns=columns)


def shown_latents(recording: Recording, frame: int, row: str = CONDITIONAL) -> Tensor:
    """Return what a frame of the film shows before it is decoded, (4, h, w); frame n is the finished picture.

    Raise ValueError for a frame that there is none, and where that half was not run.
    """
    if not 0 <= frame <= recording.num_calls:
        raise ValueError(f"frame must be 0 to {recording.num_calls}, got {frame}")
    latents = frame_latents(recording, frame, row)
    if latents is None:
        raise ValueError("that half was not run at this step (choose another step)")
    return latents


@dataclass(frozen=True, kw_only=True, eq=False)
class Moved:
    """One number of the latents moved, and what the decoder then makes of them."""

    row: int
    column: int
    channel: int
    before: float
    after: float
    picture_before: Image.Image
    picture_after: Image.Image
    difference: NDArray[np.uint8]  # (H, W): each pixel's largest difference of a channel, 0..255
    cell: Box  # the pixels that lie over the cell

    @property
    def changed_box(self) -> Box | None:
        """Return the box around every pixel that changed at all; None if none did."""
        return box_of(self.difference > 0)

    @property
    def clear_box(self) -> Box | None:
        """Return the box around every pixel that changed clearly; None if none did."""
        return box_of(self.difference >= CLEAR)

    @property
    def changed_share(self) -> float:
        """Return the share of pixels that changed at all, 0..1."""
        return float((self.difference > 0).mean())

    @property
    def own_share(self) -> float:
        """Return the share of all change that lies over the cell itself, 0..1; 0 if there is none."""
        left, top, right, bottom = self.cell
        total = int(self.difference.sum(dtype=np.int64))
        inside = int(self.difference[top:bottom, left:right].sum(dtype=np.int64))
        return inside / total if total else 0.0

    @property
    def sentence(self) -> str:
        """Say what moved and what it changed."""
        what = (
            f"Cell (row {self.row + 1}, column {self.column + 1}), channel {self.channel + 1},"
            f" {self.before:.2f} → {self.after:.2f}: "
        )
        changed, clear = self.changed_box, self.clear_box
        if changed is None:
            return f"{what}not one pixel changes."
        faint = f"{100 * self.changed_share:.0f} % of all pixels change at least by 1 of 255"
        if clear is None:
            return f"{what}no pixel changes by {CLEAR} of 255 or more; {faint}."
        side = f"{self.cell[2] - self.cell[0]}x{self.cell[3] - self.cell[1]}"
        return (
            f"{what}pixels change by {CLEAR} of 255 or more within {size_of(clear)} pixels;"
            f" {faint}, and {100 * self.own_share:.0f} % of the change lies over the cell's own {side}."
        )


def box_of(changed: NDArray[np.bool_]) -> Box | None:
    """Return the box around all that is True, (left, top, right, bottom); None if nothing is."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def size_of(box: Box) -> str:
    """Say a box's size."""
    return f"{box[2] - box[0]}x{box[3] - box[1]}"


def move_cell(
    look: Look, latents: Tensor, *, row: int, column: int, values: Sequence[tuple[int, float]]
) -> list[Moved]:
    """Set one number of (C, h, w) latents, as the U-Net sees them, to other values, and decode each.

    `values` are pairs of channel and new value. Row, column and channel count from 0. With the value that is
    there not one byte changes. Raise ValueError for a cell or channel that there is none.
    """
    channels, rows, columns = latents.shape
    check_place("row", row, rows)
    check_place("column", column, columns)
    variants = [latents]
    for channel, value in values:
        check_place("channel", channel, channels)
        if not np.isfinite(value):
            raise ValueError(f"value must be a number, got {value}")
        variant = latents.clone()
        variant[channel, row, column] = value
        variants.append(variant)
    with look.pipe() as pipe:
        side = pipe.vae_scale_factor
        # The unmoved ones with each other one: whatever is rounded, is rounded alike.
        pairs = [decode_in_parts(pipe, torch.stack([latents, variant])) for variant in variants[1:]]
    return [
        Moved(
            row=row,
            column=column,
            channel=channel,
            before=float(latents[channel, row, column]),
            after=float(value),
            picture_before=before,
            picture_after=after,
            difference=difference(before, after),
            cell=(column * side, row * side, (column + 1) * side, (row + 1) * side),
        )
        for (channel, value), (before, after) in zip(values, pairs, strict=True)
    ]


def check_place(name: str, value: int, count: int) -> None:
    """Raise ValueError where there is no such row, column or channel."""
    if not 0 <= value < count:
        raise ValueError(f"{name} must be 0 to {count - 1}, got {value}")


def with_boxes(moved: Moved, size: tuple[int, int]) -> Image.Image:
    """Draw the picture after a move at a size, framed: what changed clearly white, the cell itself yellow."""
    picture = np.array(moved.picture_after.convert("RGB").resize(size, Image.Resampling.NEAREST))
    scale = size[0] / moved.picture_after.width
    for box, color in ((moved.clear_box, (255, 255, 255)), (moved.cell, (255, 220, 0))):
        if box:
            left, top, right, bottom = (round(value * scale) for value in box)
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), color, 1)
    return Image.fromarray(picture)
