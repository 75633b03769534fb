"""What inpainting changed outside its mask, in numbers and as heat maps. Pure PIL, NumPy and OpenCV."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..requests import Drift, DriftReport
from .masks import Painted, edge_steps

HEAT_FULL = 32  # a difference of so much, of 255, and more has the hottest colour
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
    return DriftReport(
        raw=measure_drift(original, raw, painted),
        composite=measure_drift(original, composite, painted),
        roundtrip=measure_drift(original, roundtrip, painted),
        seam_input=measure_seam(original, painted),
        seam_before=measure_seam(plain_composite, painted),
        seam_after=measure_seam(composite, painted),
        raw_heat=draw_heat(original, raw, painted),
        composite_heat=draw_heat(original, composite, painted),
    )


def difference(first: Image.Image, second: Image.Image) -> NDArray[np.int16]:
    """Return per pixel the largest absolute difference of a channel, (H, W) 0..255."""
    pixels = np.asarray(first, np.int16) - np.asarray(second, np.int16)
    return np.abs(pixels).max(axis=2)


def measure_drift(original: Image.Image, changed: Image.Image, painted: Painted) -> Drift:
    """Measure how far the kept pixels moved; nothing is kept: nothing moved."""
    kept = difference(original, changed)[~painted]
    if not kept.size:
        return Drift(mean=0.0, maximum=0, changed_share=0.0)
    return Drift(mean=float(kept.mean()), maximum=int(kept.max()), changed_share=float((kept > 0).mean()))


def measure_seam(image: Image.Image, painted: Painted) -> float:
    """Return the mean colour step, 0..255, between pixels side by side of which one is painted."""
    steps = edge_steps(image, image, painted)
    return float(np.abs(steps).mean()) if len(steps) else 0.0


def draw_heat(original: Image.Image, changed: Image.Image, painted: Painted) -> Image.Image:
    """Draw what changed outside the mask, black for nothing to bright for 32 of 255; painted is grey."""
    scaled = np.clip(difference(original, changed) * (255 / HEAT_FULL), 0, 255).astype(np.uint8)
    heat = cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    heat[painted] = PAINTED_GREY
    return Image.fromarray(heat)
