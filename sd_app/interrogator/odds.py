"""How likely a phrase is among the phrases of its list, to one CLIP. Pure functions, no torch.

CLIP is trained by a softmax over scaled cosines, whose optimum is scale * cosine = log p(picture, text) /
(p(picture) p(text)) + constant (van den Oord et al. 2018, InfoNCE; Radford et al. 2021). A softmax over a
list, at the scale the CLIP learned, is therefore what the CLIP believes if one phrase of the list is true.
Each rival stands in the denominator, so that having chosen among many is paid for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from . import search
from .tables import PhraseTable

# The order in which a sentence names things: a phrase is weighed in its place. Lists of other names follow,
# the one with the most similar phrase first, and last those that are no alternatives to each other.
FIRST = ("mediums", "artists", "trending", "movements", "things", "sizes", "places", "backgrounds", "styles")
LAST = ("flavors",)
MOST_RIVALS = 512  # of a list, the most similar by themselves
SYNONYMS = 0.88  # least cosine of two phrases that say the same, after the list's mean is taken away
SWEEPS = 2  # through all lists
FEW = 5  # a list of fewer phrases has "nothing" as one more rival: of two phrases one always wins

Floats = NDArray[np.float32]


class FeatureEncoder(Protocol):
    """What is asked of a text tower."""

    def features(self, prefix: str, candidates: Sequence[str]) -> Floats:
        """Return the unit features of "prefix, candidate" for each candidate, (N, D)."""

    def fits(self, prefix: str, candidates: Sequence[str]) -> Sequence[bool]:
        """Tell for each candidate whether "prefix, candidate" is read to its end."""


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """The phrases of a list that compete for a picture."""

    name: str
    phrases: tuple[str, ...]
    logits: Floats  # (N,): scale * cosine of each by itself
    same: NDArray[np.bool_]  # (N, N): which say the same

    @property
    def is_open(self) -> bool:
        """Tell whether there are two different answers; between synonyms nothing can be told."""
        return not bool(self.same.all())


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """A list's phrases in the context of the best phrases of the other lists."""

    rivals: Rivals
    prompts: tuple[str, ...]  # N: the context with each phrase in its place
    features: Floats  # (N, D) of the prompts
    shares: Floats  # (N,): of the list's probability, each phrase with its synonyms

    @property
    def best(self) -> int:
        """Return the index of the likeliest phrase."""
        return int(self.shares.argmax())

    def shares_for(self, direction: Floats, scale: float) -> Floats:
        """Return the shares for another (D,) direction, a caption's say, in the same context."""
        return _shares((scale * self.features @ direction).astype(np.float32), self.rivals.same)


def find_rivals(tables: Sequence[PhraseTable], picture: Floats, scale: float) -> tuple[Rivals, ...]:
    """Return the rivals of each list that has any, in the order in which a sentence names them."""
    found = []
    for table in tables:
        cosines = table.cosines(picture)
        chosen = np.sort(search.top_indices(cosines, MOST_RIVALS))
        if len(chosen):
            found.append(
                Rivals(
                    name=table.name,
                    phrases=tuple(table.phrases[k] for k in chosen),
                    logits=scale * cosines[chosen],
                    same=_synonyms(table.rows(chosen), table.mean()),
                )
            )
    return tuple(sorted(found, key=_place))


def _place(rivals: Rivals) -> tuple[int, float]:
    if rivals.name in FIRST:
        return FIRST.index(rivals.name), 0.0
    return len(FIRST) + (rivals.name in LAST), -float(rivals.logits.max())


def _synonyms(features: Floats, mean: Floats) -> NDArray[np.bool_]:
    centred = features - mean
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return (centred @ centred.T >= SYNONYMS) | np.eye(len(features), dtype=bool)


def weigh(
    encoder: FeatureEncoder,
    lists: Sequence[Rivals],
    picture: Floats,
    scale: float,
    on_list: Callable[[int, int], None],
) -> tuple[Weighed, ...]:
    """Weigh each list's phrases in the context of the others' best: iterated conditional modes, Besag 1986.

    `picture` is (D,): a unit vector, or the mean of several, which averages their log odds. on_list is told
    how many lists are done, of how many at most; it may raise Cancelled.
    """
    best = [int(rivals.logits.argmax()) for rivals in lists]
    weighed: list[Weighed | None] = [None] * len(lists)
    for sweep in range(SWEEPS):
        before = list(best)
        for k, rivals in enumerate(lists):
            on_list(sweep * len(lists) + k, SWEEPS * len(lists))
            others = [each.phrases[index] for each, index in zip(lists, best, strict=True)]
            prompts, features, fits = _in_place(encoder, others[:k], rivals.phrases, others[k + 1 :])
            logits = np.where(fits, scale * features @ picture, -np.inf).astype(np.float32)
            shares = _shares(logits, rivals.same)
            if len(rivals.phrases) < FEW:
                without = search.join("", [*others[:k], *others[k + 1 :]])
                nothing = scale * float(encoder.features("", [without])[0] @ picture)
                shares = shares / (1 + _share_of_nothing(nothing, logits))
            weighed[k] = Weighed(rivals=rivals, prompts=prompts, features=features, shares=shares)
            best[k] = int((logits + rivals.logits).argmax())
        if best == before:
            break
    return tuple(each for each in weighed if each is not None)


def _in_place(
    encoder: FeatureEncoder, before: Sequence[str], phrases: Sequence[str], after: Sequence[str]
) -> tuple[tuple[str, ...], Floats, NDArray[np.bool_]]:
    """Return the prompts of each phrase between others, their features, and whether each is read to its end.

    As many of the others are left out, the last first, as it takes for some phrase to fit.
    """
    head, tail = list(before), list(after)
    while True:
        prefix, endings = search.join("", head), [search.join(text, tail) for text in phrases]
        fits = np.array(encoder.fits(prefix, endings))
        if fits.any() or not (head or tail):
            prompts = tuple(search.join(prefix, [text]) if prefix else text for text in endings)
            return prompts, encoder.features(prefix, endings), fits
        (tail or head).pop()


def _shares(logits: Floats, same: NDArray[np.bool_]) -> Floats:
    """Return the softmax of (N,) logits, added up over the synonyms of each; zeros if none is finite."""
    top = logits.max()
    if not np.isfinite(top):
        return np.zeros_like(logits)
    weights = np.exp(logits - top)
    return (same @ (weights / weights.sum())).astype(np.float32)


def _share_of_nothing(nothing: float, logits: Floats) -> float:
    """Return how likely it is to say nothing of a list, against all its phrases together."""
    return float(np.exp(nothing - logits.max()) / np.exp(logits - logits.max()).sum())
