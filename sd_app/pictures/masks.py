"""What is repainted and what is kept: reading masks, joining old and new. Pure PIL, NumPy and OpenCV.

A mask is (H, W) uint8: 0 is kept to the last bit, everything else is repainted, 255 fully. `painted` is the
same as (H, W) bool. White is repainted.
"""

from math import log2
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
MAX_LEVELS = 6  # of the pyramid
MARGIN = 4  # pixels around the picture that OpenCV's clone needs


def read_mask(mask_image: Image.Image, *, invert: bool = False, soft: bool = False) -> Mask:
    """Return a picture's mask, (H, W) uint8. Unless soft, grey becomes white from 128 on."""
    mask = np.array(mask_image.convert("L"))
    if invert:
        mask = 255 - mask
    return mask if soft else np.where(mask >= HALF, 255, 0).astype(np.uint8)


def extend_mask(mask: Mask, margins: Box) -> Mask:
    """Return the mask of a picture extended by (left, top, right, bottom) pixels: the border is white."""
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
    weight = (~painted).astype(np.float32)[..., None].repeat(3, axis=2)
    filled = _pull_push(np.asarray(image, np.float32) * weight, weight)
    return Image.composite(_to_image(filled), image, as_image(painted))


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
    if color_match:
        raw = match_colors(original, raw, painted)
    if blend == "poisson":
        raw = blend_poisson(original, raw, painted)
    elif blend == "pyramid":
        raw = blend_pyramid(original, raw, painted)
    return Image.composite(raw, original, Image.fromarray(feather_alpha(painted, feather)))


def feather_alpha(painted: Painted, feather: int) -> Mask:
    """Return how much of the new part shows, (H, W) uint8: 0 outside, rising for `feather` pixels inwards."""
    depth = cv2.distanceTransform(painted.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(np.clip(depth / (feather + 1), 0, 1) * 255).astype(np.uint8)


def match_colors(original: Image.Image, raw: Image.Image, painted: Painted) -> Image.Image:
    """Shift the raw picture's colours so that, along the edge, they meet those around it.

    The shift is the median step across the edge: the one that makes the mean step least, and one that a few
    things crossing the edge do not move.
    """
    steps = edge_steps(original, raw, painted)
    return _to_image(np.asarray(raw, np.float32) + np.median(steps, axis=0)) if len(steps) else raw


def edge_steps(outer: Image.Image, inner: Image.Image, painted: Painted) -> NDArray[np.int16]:
    """Return the steps from each painted pixel of `inner` to each kept one of `outer` beside it, (N, 3)."""
    kept, new = np.asarray(outer, np.int16), np.asarray(inner, np.int16)
    steps = []
    for axis in (0, 1):
        before, after = (tuple(slice(*ends) if a == axis else slice(None) for a in (0, 1)) for ends in ENDS)
        for here, there in ((before, after), (after, before)):
            at = painted[here] & ~painted[there]
            steps.append(kept[there][at] - new[here][at])
    return np.concatenate(steps)


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
