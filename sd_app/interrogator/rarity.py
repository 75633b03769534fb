"""How rare a cosine is: against random phrases, and against random directions. Pure NumPy and SciPy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

SAMPLE = 5000  # random phrases
SEED = 0


def chance_of_cosine(cosine: float, dimensions: int) -> float:
    """Return the chance that a random direction in D dimensions has a cosine greater than this one.

    Exact: half of I(1 - c^2; (D - 1) / 2, 1 / 2), the regularised incomplete beta function, for c >= 0.
    Li 2011, "Concise formulas for the area and volume of a hyperspherical cap", equation 3.
    """
    tail = 0.5 * float(betainc((dimensions - 1) / 2, 0.5, 1.0 - min(1.0, cosine * cosine)))
    return tail if cosine >= 0 else 1.0 - tail


def percentile(cosine: float, random_cosines: Sequence[float] | NDArray[np.float32]) -> float:
    """Return the share of ascending random_cosines that are below this one, 0..100; NaN without any."""
    if len(random_cosines) == 0:
        return float("nan")
    return 100.0 * float(np.searchsorted(random_cosines, cosine, side="left")) / len(random_cosines)


def sample_cosines(cosines: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return a fixed random sample of the phrases' cosines, ascending; all of them if they are few."""
    values = np.concatenate(list(cosines))
    if len(values) > SAMPLE:
        values = values[np.random.default_rng(SEED).choice(len(values), SAMPLE, replace=False)]
    return np.sort(values)
