"""How near one picture is to another, and where it is not: PSNR, SSIM, and the error by kind of place.

Pure NumPy and OpenCV. Pictures are RGB of one size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

WHITE = 255.0  # the largest value of a channel
# SSIM as its authors fixed it: a Gaussian window of 11 pixels, and two constants that keep it finite.
_SPREAD, _RADIUS, _K1, _K2 = 1.5, 5, 0.01, 0.03

FLAT, EDGE, TEXTURE = "flat areas", "edges", "fine texture"
KINDS = (FLAT, EDGE, TEXTURE)
_FLAT_BELOW = 4.0  # grey levels a pixel: a smooth gradient across a small picture is no more than that
_ONE_DIRECTION = 0.5  # coherence from which on a place's gradients agree upon one direction
_NEAR = 2.0  # pixels: the spread of the window in which gradients are compared


@dataclass(frozen=True, kw_only=True)
class KindOfLoss:
    """What was lost in places of one kind."""

    kind: str  # one of KINDS
    share: float  # of the picture's pixels, 0..1
    loss_share: float  # of the squared error, 0..1; where there is none, 0
    mean_error: float  # root mean square, 0..255; of no pixels, 0

    @property
    def density(self) -> float:
        """Return how much more is lost here than in as many pixels on average."""
        return self.loss_share / self.share if self.share else 0.0


def squared_error(first: Image.Image, second: Image.Image) -> Floats:
    """Return each pixel's squared difference, averaged over the channels, (H, W)."""
    a, b = (np.asarray(image.convert("RGB"), np.float64) for image in (first, second))
    error: Floats = np.square(a - b).mean(axis=2)
    return error


def psnr(first: Image.Image, second: Image.Image) -> float:
    """Return the peak signal-to-noise ratio, 10 log10(255^2 / mean squared error), in dB; equal: infinite."""
    error = float(squared_error(first, second).mean())
    return float(10 * np.log10(WHITE**2 / error)) if error else float("inf")


def ssim(first: Image.Image, second: Image.Image) -> float:
    """Return the structural similarity, up to 1 for equal pictures (Wang et al. 2004, eq. 13).

    With the paper's window and constants, of each channel alone, then averaged; the places nearer to an edge
    than the window's half are left out, as by scikit-image. A picture with a side below 11 pixels has no
    such place: ValueError.
    """
    if min(first.size) < 2 * _RADIUS + 1:
        raise ValueError(f"SSIM looks at 11x11 pixels, and the picture has {first.width}x{first.height}")
    return float(ssim_map(first, second).mean())


def ssim_map(first: Image.Image, second: Image.Image) -> Floats:
    """Return the similarity at each place where the window fits, (H-10, W-10), averaged over the channels."""
    a, b = (np.asarray(image.convert("RGB"), np.float64) for image in (first, second))
    mean_a, mean_b = _windowed(a), _windowed(b)
    # The window's weights sum to 1: E[ab] - E[a]E[b].
    var_a = _windowed(a * a) - mean_a**2
    var_b = _windowed(b * b) - mean_b**2
    both = _windowed(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * WHITE) ** 2, (_K2 * WHITE) ** 2
    alike = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    similarity: Floats = alike / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return similarity.mean(axis=2)


def _windowed(values: Floats) -> Floats:
    """Average (H, W, 3) values under the Gaussian window, where it fits."""
    side = 2 * _RADIUS + 1
    averaged = cv2.GaussianBlur(values, (side, side), _SPREAD)
    return np.asarray(averaged[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS], np.float64)


def kinds_of_places(image: Image.Image) -> NDArray[np.uint8]:
    """Return what is at each pixel, an index into KINDS, (H, W).

    By the structure tensor (Bigün & Granlund 1987) of the grey picture: flat where it hardly changes; an edge
    where what changes does so in one direction; fine texture where it does so in several. Stripes count as
    edges.
    """
    grey = np.asarray(image.convert("L"), np.float64)
    # Scharr's derivatives, in grey levels a pixel (their weights sum to 32).
    across, down = (cv2.Scharr(grey, cv2.CV_64F, *order) / 32 for order in ((1, 0), (0, 1)))
    xx, yy, xy = (
        cv2.GaussianBlur(product, (0, 0), _NEAR) for product in (across * across, down * down, across * down)
    )
    energy = xx + yy  # the sum of the tensor's eigenvalues; below, their difference
    apart = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    coherence = np.divide(apart, energy, out=np.zeros_like(energy), where=energy > 0)
    kinds = np.where(coherence >= _ONE_DIRECTION, KINDS.index(EDGE), KINDS.index(TEXTURE))
    kinds[energy < _FLAT_BELOW**2] = KINDS.index(FLAT)
    return kinds.astype(np.uint8)


def loss_by_kind(error: Floats, kinds: NDArray[np.uint8]) -> Mapping[str, KindOfLoss]:
    """Divide a picture's squared error, (H, W), among its kinds of places, by kind."""
    total = float(error.sum())
    found = {}
    for index, kind in enumerate(KINDS):
        part = error[kinds == index]
        found[kind] = KindOfLoss(
            kind=kind,
            share=part.size / error.size,
            loss_share=float(part.sum()) / total if total else 0.0,
            mean_error=float(np.sqrt(part.mean())) if part.size else 0.0,
        )
    return found


def mean_over_cells(values: Floats, side: int) -> Floats:
    """Average (H, W) values over cells of side x side pixels, (H/side, W/side); sides are multiples of it."""
    height, width = values.shape
    cells: Floats = values.reshape(height // side, side, width // side, side).mean(axis=(1, 3))
    return cells
