"""A picture's place in the frame the model works in, and the way back. Pure PIL and NumPy."""

from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checks import MAX_SIDE, MIN_SIDE

# A picture is worked on at its own size while its area is so many times the model's own.
LEAST_AREA, MOST_AREA = 0.5, 2.25
CELL = 8  # pixels: sides are multiples of it, and in both directions so many become one latent

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How `box` of a source picture lies in a frame of width x height pixels.

    It covers inner_width x inner_height pixels of the frame from (left, top) on.
    """

    box: Box
    width: int
    height: int
    left: int
    top: int
    inner_width: int
    inner_height: int

    def place(self, image: Image.Image) -> Image.Image:
        """Return the frame; where the source does not reach, its edge is continued."""
        is_scaled_whole = self.box == (0, 0, *image.size) and image.size != (
            self.inner_width,
            self.inner_height,
        )
        source = image if is_scaled_whole else image.crop(self.box)  # no copy of a photo only to scale it
        inner = _resize(source, self.inner_width, self.inner_height)
        right = self.width - self.left - self.inner_width
        bottom = self.height - self.top - self.inner_height
        if not (self.left or self.top or right or bottom):
            return inner
        margins = ((self.top, bottom), (self.left, right), (0, 0))
        return Image.fromarray(np.pad(np.asarray(inner), margins, mode="edge"))

    def take_back(self, frame: Image.Image) -> Image.Image:
        """Return what a frame shows of the box, at the box's own size."""
        corner = (self.left, self.top, self.left + self.inner_width, self.top + self.inner_height)
        left, top, right, bottom = self.box
        return _resize(frame.crop(corner), right - left, bottom - top)

    def pool(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the largest value of an (H, W) mask of the source under each latent, (height/8, width/8).

        Every pixel that touches a latent's 8x8 pixels counts, so nothing painted is missed at any scale.
        Latents outside the box have the value of the nearest pixel.
        """
        left, top, right, bottom = self.box
        part = mask[top:bottom, left:right]
        rows = [
            part[start:stop].max(axis=0)
            for start, stop in _spans(self.height, self.top, self.inner_height, part.shape[0])
        ]
        part = np.stack(rows)
        columns = [
            part[:, start:stop].max(axis=1)
            for start, stop in _spans(self.width, self.left, self.inner_width, part.shape[1])
        ]
        return np.stack(columns, axis=1)


def place_whole(source: tuple[int, int], width: int, height: int, resize_mode: str) -> Placement:
    """Place a picture of source (width, height) pixels in a frame of width x height.

    "crop" fills the frame with the picture's middle, "pad" fits all of it in, "stretch" distorts it.
    With "pad" a picture that is less than 8 pixels smaller is not enlarged: its pixels stay themselves.
    """
    source_width, source_height = source
    box = (0, 0, source_width, source_height)
    inner_width, inner_height = width, height
    if resize_mode == "crop":
        scale = max(width / source_width, height / source_height)
        box_width = max(1, min(source_width, round(width / scale)))
        box_height = max(1, min(source_height, round(height / scale)))
        left, top = (source_width - box_width) // 2, (source_height - box_height) // 2
        box = (left, top, left + box_width, top + box_height)
    elif resize_mode == "pad":
        if 0 <= width - source_width < CELL and 0 <= height - source_height < CELL:
            inner_width, inner_height = source
        else:
            scale = min(width / source_width, height / source_height)
            inner_width = max(1, min(width, round(source_width * scale)))
            inner_height = max(1, min(height, round(source_height * scale)))
    return Placement(
        box=box,
        width=width,
        height=height,
        left=(width - inner_width) // 2,
        top=(height - inner_height) // 2,
        inner_width=inner_width,
        inner_height=inner_height,
    )


def place_box(box: Box, width: int, height: int, resize_mode: str) -> Placement:
    """Place a box of a picture as place_whole does a whole one; "pad" and "stretch" show all of it."""
    left, top, right, bottom = box
    return replace(place_whole((right - left, bottom - top), width, height, resize_mode), box=box)


def round_up_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Return the smallest frame that holds a picture; within max_pixels, if need be by scaling down."""
    sides = [_clamp(ceil(side / CELL) * CELL) for side in (width, height)]
    if sides[0] * sides[1] <= max_pixels:
        return sides[0], sides[1]
    return _round_down_size(width, height, max_pixels)


def round_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Return the frame nearest to a picture's own size; within max_pixels, if need be by scaling down."""
    sides = [_clamp(round(side / CELL) * CELL) for side in (width, height)]
    if sides[0] * sides[1] <= max_pixels:
        return sides[0], sides[1]
    return _round_down_size(width, height, max_pixels)


def working_size(width: int, height: int, native_size: int) -> tuple[int, int]:
    """Return the size at which a model of that native size works on a picture, multiples of 8.

    That is the picture's own while it is near the model's, else the model's area at the picture's shape.
    """
    share = width * height / native_size**2
    scale = 1.0 if LEAST_AREA <= share <= MOST_AREA else sqrt(1 / share)
    return _nearest_cell(width * scale), _nearest_cell(height * scale)


def _nearest_cell(pixels: float) -> int:
    return max(MIN_SIDE, min(MAX_SIDE, round(pixels / CELL) * CELL))


def _round_down_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    scale = min(1.0, (max_pixels / (width * height)) ** 0.5)
    return _clamp(int(width * scale) // CELL * CELL), _clamp(int(height * scale) // CELL * CELL)


def _clamp(side: int) -> int:
    return max(MIN_SIDE, min(MAX_SIDE, side))


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _spans(frame_side: int, offset: int, inner_side: int, source_side: int) -> list[tuple[int, int]]:
    """Return for each latent along one side the source pixels under it, as (start, stop); never empty."""
    spans = []
    for begin in range(0, frame_side, CELL):
        start = (begin - offset) * source_side // inner_side
        stop = -(-(begin + CELL - offset) * source_side // inner_side)
        spans.append((min(max(start, 0), source_side - 1), max(min(stop, source_side), 1)))
    return spans
