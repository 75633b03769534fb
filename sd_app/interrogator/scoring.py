"""A cosine with its rarity, for a prompt, a phrase or a text of the matrix."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..requests import Score
from . import rarity


def make_score(
    prompt: str, cosine: float | None, random: NDArray[np.float32] | Sequence[float], dimensions: int
) -> Score:
    """Return a cosine with its rarity; all NaN while there is no cosine."""
    if cosine is None:
        return Score(prompt=prompt, similarity=np.nan, percentile=np.nan, chance=np.nan)
    return Score(
        prompt=prompt,
        similarity=cosine,
        percentile=rarity.percentile(cosine, random),
        chance=rarity.chance_of_cosine(cosine, dimensions),
    )
