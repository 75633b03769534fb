"""What inpainting changed outside its mask, in numbers and as heat maps. Pure PIL, NumPy and OpenCV."""

from math import ceil, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..requests import Drift, DriftReport
from .masks import Painted, bands, edge_steps, pool_largest

MOST_HEAT = 2048 * 2048  # pixels of a map
HEAT_FULL = 32  # a difference of so much, of 255, and more has the hottest colour
# Where on the colour scale, 0..255, a difference of 1 stands: no colour that passes for black.
HEAT_LEAST = 64
HEAT_MARKS = (0, 1, 2, 4, 8, 16, HEAT_FULL)  # differences that a map's scale names
PAINTED_GREY = 128


def report_drift(
    original: Image.Image,
    raw: Image.Image,
    composite: Image.Image,
    *,
    plain_composite: Image.Image,
    roundtrip: Image.Image,
    painted: Painted,
) -> DriftReport:
    """Compare what inpainting gave with the original, all of one size; `painted` is (H, W) bool.

    `plain_composite` is re-masked without feather, colour match and blending.
    """
    raw_change, composite_change = difference(original, raw), difference(original, composite)
    return DriftReport(
        raw=_measure(raw_change, painted),
        composite=_measure(composite_change, painted),
        roundtrip=measure_drift(original, roundtrip, painted),
        seam_input=measure_seam(original, painted),
        seam_before=measure_seam(plain_composite, painted),
        seam_after=measure_seam(composite, painted),
        raw_heat=_draw(raw_change, painted),
        composite_heat=_draw(composite_change, painted),
    )


def difference(first: Image.Image, second: Image.Image) -> NDArray[np.uint8]:
    """Return per pixel the largest absolute difference of a channel, (H, W) 0..255."""
    largest = np.empty((first.height, first.width), np.uint8)
    for box in bands(*first.size):
        red, green, blue = cv2.split(cv2.absdiff(np.asarray(first.crop(box)), np.asarray(second.crop(box))))
        largest[box[1] : box[3]] = cv2.max(cv2.max(red, green), blue)
    return largest


def measure_drift(original: Image.Image, changed: Image.Image, painted: Painted) -> Drift:
    """Measure how far the kept pixels moved; nothing is kept: nothing moved."""
    return _measure(difference(original, changed), painted)


def _measure(change: NDArray[np.uint8], painted: Painted) -> Drift:
    kept = change[~painted]
    if not kept.size:
        return Drift(mean=0.0, maximum=0, changed_share=0.0)
    return Drift(mean=float(kept.mean()), maximum=int(kept.max()), changed_share=float((kept > 0).mean()))


def measure_seam(image: Image.Image, painted: Painted) -> float:
    """Return the mean colour step, 0..255, between pixels side by side of which one is painted."""
    steps = edge_steps(image, image, painted)
    return float(np.abs(steps).mean()) if len(steps) else 0.0


def draw_heat(original: Image.Image, changed: Image.Image, painted: Painted) -> Image.Image:
    """Draw what changed outside the mask: black is 0, and from 1 to 32 of 255 it is ever brighter; painted is
    grey. heat_scale names the colours.

    Of a photo the map is smaller: each of its pixels shows the largest change of those it stands for.
    """
    return _draw(difference(original, changed), painted)


def _draw(change: NDArray[np.uint8], painted: Painted) -> Image.Image:
    factor = ceil(sqrt(painted.size / MOST_HEAT))
    heat = _heat_colors()[pool_largest(change, factor)]
    heat[pool_largest(painted.view(np.uint8), factor) > 0] = PAINTED_GREY
    return Image.fromarray(heat)


def _heat_colors() -> NDArray[np.uint8]:
    """Return the colour of each difference 0..255, (256, 3) RGB; 0 is black, and 1 can be told from it."""
    steps = HEAT_LEAST + (np.arange(256) - 1) * ((255 - HEAT_LEAST) / (HEAT_FULL - 1))
    steps[0] = 0
    scaled = np.clip(steps, 0, 255).round().astype(np.uint8)[None]
    colors = cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)[0]
    colors[0] = 0
    return colors


def heat_scale() -> list[tuple[str, tuple[int, int, int]]]:
    """Return what a map's colours mean, in words, each with its colour: differences of 255, and painted."""
    colors = _heat_colors()
    marks = [(f"{mark}" if mark < HEAT_FULL else f"{mark} and more", mark) for mark in HEAT_MARKS]
    scale = [(text, (int(r), int(g), int(b))) for text, mark in marks for r, g, b in [colors[mark]]]
    return [*scale, ("redrawn", (PAINTED_GREY,) * 3)]
