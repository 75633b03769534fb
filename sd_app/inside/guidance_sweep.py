"""One noise at several guidance scales, with two meters of what a high one costs.

Likeness: how much the pictures of several seeds resemble each other. Each picture is reduced to 8x8 colours,
and the mean over all pairs of their correlation is taken (1: all the same, 0: nothing in common). Clipped:
the share of pixels with a channel at 0 or 255, where the decoder wanted more than there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from PIL import Image

from .again import make_frames
from .look import Look

SCALES = (0.0, 1.0, 3.0, 5.0, 7.5, 10.0, 15.0)
NUM_SEEDS = 4
SIDE = 8  # of the reduced pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class SweepPoint:
    """The pictures of one guidance scale; the first is of the recorded seed, the others of the next ones."""

    scale: float
    pictures: tuple[Image.Image, ...]

    @property
    def likeness(self) -> float:
        """Return how much they are alike, -1..1; NaN for a single one."""
        return likeness(self.pictures)

    @property
    def clipped(self) -> float:
        """Return the share of their pixels that are clipped, 0..1."""
        return float(np.mean([clipped_share(picture) for picture in self.pictures]))


def guidance_sweep(
    look: Look,
    *,
    scales: Sequence[float] = SCALES,
    num_seeds: int = NUM_SEEDS,
) -> list[SweepPoint]:
    """Make the recorded picture at each scale from the same noise, and so for the next seeds.

    The recorded seed's picture is made alone, so that at the recorded scale it is the same to the byte.
    """
    request, seed = look.request, look.request.seed
    assert seed is not None
    points = []
    for scale in scales:
        here = replace(request, guidance_scale=scale)
        pictures = make_frames(look, here)
        if num_seeds > 1:
            others = replace(here, seed=seed + 1, num_images=num_seeds - 1)
            pictures += make_frames(look, others)
        points.append(SweepPoint(scale=scale, pictures=tuple(pictures)))
    return points


def likeness(pictures: Sequence[Image.Image]) -> float:
    """Return the mean correlation over all pairs of pictures reduced to 8x8 colours; NaN for a single one."""
    reduced = [
        np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64).ravel()
        for picture in pictures
    ]
    pairs = [_correlation(a, b) for a, b in combinations(reduced, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; two pictures of one even colour are alike only if it is the same one."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / norm if norm else 1.0


def clipped_share(picture: Image.Image) -> float:
    """Return the share of pixels with a channel at 0 or 255."""
    pixels = np.asarray(picture.convert("RGB"))
    return float(((pixels == 0) | (pixels == 255)).any(axis=-1).mean())
