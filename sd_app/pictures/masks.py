"""What is repainted and what is kept: reading masks, joining old and new. Pure PIL, NumPy and OpenCV.

A mask is (H, W) uint8: 0 is kept to the last bit, everything else is repainted, 255 fully. `painted` is the
same as (H, W) bool. White is repainted.
"""

from collections.abc import Iterator
from math import ceil, log2, sqrt
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .placement import Box

Mask: TypeAlias = NDArray[np.uint8]  # (H, W): 0 kept, 255 repainted
Painted: TypeAlias = NDArray[np.bool_]  # (H, W): True is repainted
Colors: TypeAlias = NDArray[np.float32]  # (H, W, 3)

HALF = 128  # from here on grey counts as white in a hard mask
ENDS = ((None, -1), (1, None))  # all pixels of a side but the last, and all but the first: neighbours
EMPTY = 1e-6  # a weight that counts as none
BAND_PIXELS = 4_000_000
MAX_LEVELS = 6  # of the pyramid
MOST_FILLED = 2048 * 2048  # pixels of the picture whose gaps are filled
MARGIN = 4  # pixels around the picture that OpenCV's clone needs


def read_mask(mask_image: Image.Image, *, invert: bool = False, soft: bool = False) -> Mask:
    """Return a picture's mask, (H, W) uint8. Unless soft, grey becomes white from 128 on."""
    mask = np.array(mask_image.convert("L"))
    if invert:
        mask = 255 - mask
    return mask if soft else (mask >= HALF) * np.uint8(255)


def extend_mask(mask: Mask, margins: Box) -> Mask:
    """Return the mask of a picture extended by (left, top, right, bottom) pixels: the border is white."""
    if not any(margins):
        return mask
    left, top, right, bottom = margins
    return np.pad(mask, ((top, bottom), (left, right)), constant_values=255)


def extend_image(image: Image.Image, margins: Box) -> Image.Image:
    """Extend a picture by (left, top, right, bottom) pixels, filled with the colours nearby."""
    if not any(margins):
        return image
    left, top, right, bottom = margins
    edged = np.pad(np.asarray(image), ((top, bottom), (left, right), (0, 0)), mode="edge")
    border = extend_mask(np.zeros((image.height, image.width), np.uint8), margins) > 0
    return fill_painted(Image.fromarray(edged), border)


def fill_painted(image: Image.Image, painted: Painted) -> Image.Image:
    """Fill the painted part with the colours around it, smoother inwards (pull-push, Gortler et al. 1996).

    Where all is painted the fill is grey.
    """
    if painted.all():
        return Image.new("RGB", image.size, (HALF, HALF, HALF))
    if painted.size > MOST_FILLED:
        return _fill_smaller(image, painted)
    weight = (~painted).astype(np.float32)[..., None].repeat(3, axis=2)
    filled = _pull_push(np.asarray(image, np.float32) * weight, weight)
    return Image.composite(_to_image(filled), image, as_image(painted))


def _fill_smaller(image: Image.Image, painted: Painted) -> Image.Image:
    """Do as fill_painted at a smaller size: smooth colours need no photo's pixels, and little memory."""
    factor = ceil(sqrt(painted.size / MOST_FILLED))
    size = ceil(image.width / factor), ceil(image.height / factor)
    touched = Image.fromarray(pool_largest(painted.astype(np.uint8), factor) > 0)
    reduced = image.resize(size, Image.Resampling.BOX)
    filled = fill_painted(reduced, np.asarray(touched.resize(size, Image.Resampling.NEAREST)))
    return Image.composite(filled.resize(image.size, Image.Resampling.BICUBIC), image, as_image(painted))


def pool_largest(values: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the largest of each factor x factor values, (ceil(H / factor), ceil(W / factor))."""
    if factor == 1:
        return values
    rows = np.maximum.reduceat(values, np.arange(0, values.shape[0], factor), axis=0)
    columns: NDArray[np.uint8] = np.maximum.reduceat(rows, np.arange(0, values.shape[1], factor), axis=1)
    return columns


def _pull_push(weighted: Colors, weight: Colors) -> Colors:
    """Return colours everywhere from colours times weight, both (H, W, 3): the missing from below."""
    colors = weighted / np.maximum(weight, EMPTY)
    if min(weight.shape[:2]) == 1 or weight.min() == 1:
        mean = weighted.sum(axis=(0, 1)) / weight.sum(axis=(0, 1))
        return np.where(weight > EMPTY, colors, mean)
    below = _pull_push(_halve(weighted), _halve(weight))
    share: Colors = np.minimum(weight, 1)
    return share * colors + (1 - share) * _double(below, weight)


def _halve(layer: Colors) -> Colors:
    """Return a pyramid's next smaller level; sides are rounded up."""
    return np.asarray(cv2.pyrDown(layer), np.float32)


def _double(layer: Colors, like: Colors) -> Colors:
    """Return a pyramid's level enlarged to the size of `like`, one level below."""
    return np.asarray(cv2.pyrUp(layer, dstsize=like.shape[1::-1]), np.float32)


def masked_box(painted: Painted, padding: int, width: int, height: int) -> Box:
    """Return the box around the painted part, `padding` pixels wider, as near to width : height as can be."""
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    full_height, full_width = painted.shape
    left, right = max(0, columns[0] - padding), min(full_width, columns[-1] + 1 + padding)
    top, bottom = max(0, rows[0] - padding), min(full_height, rows[-1] + 1 + padding)
    wanted_width = max(right - left, round((bottom - top) * width / height))
    wanted_height = max(bottom - top, round((right - left) * height / width))
    left, right = _widen(int(left), int(right), wanted_width, full_width)
    top, bottom = _widen(int(top), int(bottom), wanted_height, full_height)
    return left, top, right, bottom


def composite(
    original: Image.Image,
    raw: Image.Image,
    painted: Painted,
    *,
    feather: int = 0,
    color_match: bool = False,
    blend: str = "none",
) -> Image.Image:
    """Put the painted part of a raw picture into the original; all other pixels stay the original's bytes.

    `feather` fades over so many pixels, from the edge inwards; `color_match` and `blend` ("poisson",
    "pyramid") change painted pixels only. With none of them every painted pixel is the raw one.
    """
    if painted.size > MOST_FILLED and (box := painted_box(painted, margin=2 ** (MAX_LEVELS + 1))):
        # Of a photo only the painted part and its surroundings are worked on.
        left, top, right, bottom = box
        if (right - left) * (bottom - top) < painted.size:
            inside = composite(
                original.crop(box),
                raw.crop(box),
                painted[top:bottom, left:right],
                feather=feather,
                color_match=color_match,
                blend=blend,
            )
            result = original.copy()
            result.paste(inside, box[:2])
            return result
    if color_match:
        raw = match_colors(original, raw, painted)
    if blend == "poisson":
        raw = blend_poisson(original, raw, painted)
    elif blend == "pyramid":
        raw = blend_pyramid(original, raw, painted)
    return Image.composite(raw, original, Image.fromarray(feather_alpha(painted, feather)))


def feather_alpha(painted: Painted, feather: int) -> Mask:
    """Return how much of the new part shows, (H, W) uint8: 0 outside, rising for `feather` pixels inwards."""
    if not feather:
        return painted * np.uint8(255)
    depth: NDArray[np.float32] = cv2.distanceTransform(  # type: ignore[assignment]
        painted.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    depth /= feather + 1  # in place: a photo's depths take as much as its colours
    np.minimum(depth, 1, out=depth)
    depth *= 255
    return np.rint(depth, out=depth).astype(np.uint8)


def match_colors(original: Image.Image, raw: Image.Image, painted: Painted) -> Image.Image:
    """Shift the raw picture's colours so that, along the edge, they meet those around it.

    The shift is the median step across the edge: the one that makes the mean step least, and one that a few
    things crossing the edge do not move.
    """
    steps = edge_steps(original, raw, painted)
    if not len(steps):
        return raw
    shift = np.median(steps, axis=0)
    shifted = Image.new("RGB", raw.size)
    for box in bands(*raw.size):
        shifted.paste(_to_image(np.asarray(raw.crop(box), np.float32) + shift), box[:2])
    return shifted


def edge_steps(outer: Image.Image, inner: Image.Image, painted: Painted) -> NDArray[np.int16]:
    """Return the steps from each painted pixel of `inner` to each kept one of `outer` beside it, (N, 3)."""
    box = painted_box(painted, margin=1)
    if box is None:
        return np.zeros((0, 3), np.int16)
    left, top, right, bottom = box
    painted = painted[top:bottom, left:right]
    new = np.asarray(inner.crop(box))
    kept = new if inner is outer else np.asarray(outer.crop(box))
    steps = []
    for axis in (0, 1):
        before, after = (tuple(slice(*ends) if a == axis else slice(None) for a in (0, 1)) for ends in ENDS)
        for here, there in ((before, after), (after, before)):
            at = painted[here] & ~painted[there]
            steps.append(kept[there][at].astype(np.int16) - new[here][at])
    return np.concatenate(steps)


def painted_box(painted: Painted, margin: int) -> Box | None:
    """Return the box around the painted part, `margin` pixels wider within the picture, None without."""
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    if not len(rows):
        return None
    height, width = painted.shape
    left, right = max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)
    return left, max(0, int(rows[0]) - margin), right, min(height, int(rows[-1]) + 1 + margin)


def bands(width: int, height: int) -> Iterator[Box]:
    """Yield boxes of whole rows that cover a picture: working on one after the other needs little memory."""
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def blend_poisson(original: Image.Image, raw: Image.Image, painted: Painted) -> Image.Image:
    """Keep the new part's gradients and take its edge's colours from the original (Pérez et al. 2003)."""
    if painted.all() or not painted.any():
        return raw
    padding = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    source = np.pad(np.asarray(raw), padding, mode="edge")
    # Beyond the picture there is no colour to meet, so the part that touches the border keeps its own there.
    target = source.copy()
    target[MARGIN:-MARGIN, MARGIN:-MARGIN] = np.asarray(original)
    # OpenCV meets the target's colours on the outermost ring of the mask: that ring must be kept pixels.
    mask = cv2.dilate(np.pad(painted * np.uint8(255), MARGIN), np.ones((3, 3), np.uint8))
    x, y, width, height = cv2.boundingRect(mask)
    center = (x + width // 2, y + height // 2)
    joined = cv2.seamlessClone(source, target, mask, center, cv2.NORMAL_CLONE)
    return Image.fromarray(joined[MARGIN:-MARGIN, MARGIN:-MARGIN])


def blend_pyramid(original: Image.Image, raw: Image.Image, painted: Painted) -> Image.Image:
    """Join coarse structure over a wide band and fine detail over a narrow one (Burt & Adelson 1983).

    The band lies inside the painted part, as deep as the part allows.
    """
    if painted.all() or not painted.any():
        return raw
    depth = cv2.distanceTransform(painted.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    levels = max(1, min(MAX_LEVELS, int(log2(depth.max())), int(log2(min(painted.shape)))))
    mask = (depth > 2 ** (levels - 1)).astype(np.float32)[..., None].repeat(3, axis=2)
    low: Colors = np.asarray(original, np.float32)
    new: Colors = np.asarray(raw, np.float32)
    joined = []
    for _ in range(levels):
        smaller_low, smaller_new, smaller_mask = (_halve(layer) for layer in (low, new, mask))
        fine_low, fine_new = low - _double(smaller_low, low), new - _double(smaller_new, low)
        joined.append(fine_low + mask * (fine_new - fine_low))
        low, new, mask = smaller_low, smaller_new, smaller_mask
    result = low + mask * (new - low)
    for fine in reversed(joined):
        result = _double(result, fine) + fine
    return _to_image(result)


def as_image(painted: Painted) -> Image.Image:
    """Return a bool mask as a black and white picture of mode L."""
    return Image.fromarray(painted * np.uint8(255))


def _widen(start: int, stop: int, wanted: int, limit: int) -> tuple[int, int]:
    """Widen a range to both sides alike, within 0..limit."""
    wanted = min(max(wanted, stop - start), limit)
    start = max(0, min(start - (wanted - (stop - start)) // 2, limit - wanted))
    return start, start + wanted


def _to_image(pixels: Colors) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))
