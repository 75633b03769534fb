"""The searches: from phrases to the prompt most, or least, like a picture. Pure functions, no torch.

They are deterministic: candidates come in a fixed order and of equal ones the first wins. A prompt always
fits into the tower's context.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..requests import Accepted

SEPARATOR = ", "  # what parts a prompt's phrases
SWAPS = 256  # candidates, the most similar by themselves, that the last pass of "deep" tries at each place
MAX_PASSES = 4  # of drop and swap

OnBest = Callable[["Chain"], None]  # is told each new best chain; may raise Cancelled


class Encoder(Protocol):
    """What a search asks of a text tower (and of the picture: features are compared with it)."""

    def cosines(self, prefix: str, candidates: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosine of "prefix, candidate" with the picture for each candidate, (N,) float."""

    def fits(self, prefix: str, candidates: Sequence[str]) -> Sequence[bool]:
        """Tell for each candidate whether "prefix, candidate" is read to its end."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A prompt as it grew. cosines[0] is that of the base, None if that is empty; then one a phrase."""

    base: str
    phrases: tuple[str, ...] = ()
    cosines: tuple[float | None, ...] = (None,)

    @property
    def prompt(self) -> str:
        """Return base and phrases joined."""
        return join(self.base, self.phrases)

    @property
    def cosine(self) -> float | None:
        """Return the whole prompt's cosine, None for an empty one."""
        return self.cosines[-1]

    def add(self, phrase: str, cosine: float) -> "Chain":
        """Return the chain with one more phrase."""
        return replace(self, phrases=(*self.phrases, phrase), cosines=(*self.cosines, cosine))

    def steps(self, sign: int = 1) -> tuple[Accepted, ...]:
        """Return what was added step by step, so that each step raises (sign -1: lowers) the cosine.

        A phrase that lost is joined with those after it, up to the one that made up for it: the chain must
        end at its best. With sign 0 each phrase is a step, whatever it did.
        """
        steps, pending = [], []
        before = self.cosines[0]
        for phrase, cosine in zip(self.phrases, self.cosines[1:], strict=True):
            assert cosine is not None
            pending.append(phrase)
            if before is None or not sign or sign * cosine > sign * before:
                gain = cosine - (before or 0.0)
                steps.append(Accepted(phrases=tuple(pending), cosine=cosine, gain=gain))
                before, pending = cosine, []
        assert not pending
        return tuple(steps)


def join(base: str, phrases: Iterable[str]) -> str:
    """Return the prompt of a base, which may be empty, and phrases."""
    return SEPARATOR.join([*([base] if base else []), *phrases])


def top_indices(cosines: NDArray[np.float32], count: int, sign: int = 1) -> NDArray[np.intp]:
    """Return the indices of the greatest (sign -1: least) values, best first; of equal ones the first."""
    return np.argsort(-sign * cosines, kind="stable")[:count]


def start(encoder: Encoder, base: str) -> Chain:
    """Return the chain of a base alone."""
    return Chain(base=base, cosines=(float(encoder.cosines("", [base])[0]) if base else None,))


def greedy(
    encoder: Encoder,
    chain: Chain,
    candidates: Sequence[str],
    *,
    min_phrases: int,
    max_phrases: int,
    on_best: OnBest,
    sign: int = 1,
) -> Chain:
    """Add the phrase that raises (sign -1: lowers) the cosine most, round after round; return the best chain.

    The first min_phrases rounds go on even if every phrase loses: what follows may make up for it.
    """
    best, left = chain, list(candidates)
    for number in range(max_phrases):
        left = [text for text, fits in zip(left, encoder.fits(chain.prompt, left), strict=True) if fits]
        if not left:
            break
        cosines = encoder.cosines(chain.prompt, left)
        index = int(top_indices(cosines, 1, sign)[0])
        longer = chain.add(left.pop(index), float(cosines[index]))
        if is_better(longer, best, sign):
            best = longer
            on_best(best)
        elif number >= min_phrases and not is_better(longer, chain, sign):
            break
        chain = longer
    return best


def is_better(chain: Chain, other: Chain, sign: int = 1) -> bool:
    """Tell whether a chain's cosine is strictly better; everything is better than nothing."""
    if chain.cosine is None or other.cosine is None:
        return other.cosine is None and chain.cosine is not None
    return sign * chain.cosine > sign * other.cosine


def take_all(encoder: Encoder, chain: Chain, phrases: Iterable[str], *, on_best: OnBest) -> Chain:
    """Add phrases in their order, as far as the context holds them: fast and classic."""
    for phrase in phrases:
        if not encoder.fits(chain.prompt, [phrase])[0]:
            break
        chain = chain.add(phrase, float(encoder.cosines(chain.prompt, [phrase])[0]))
        on_best(chain)
    return chain


def best_of(first: Chain, *others: Chain, on_best: OnBest) -> Chain:
    """Return the chain of the greatest cosine; of equal ones the first."""
    best = first
    for chain in others:
        if is_better(chain, best):
            best = chain
            on_best(best)
    return best


def measure_if_better(encoder: Encoder, chain: Chain, phrases: Iterable[str], *, on_best: OnBest) -> Chain:
    """Return base and phrases, as far as they fit, cut at its best if that beats a chain; else the chain."""
    kept: tuple[str, ...] = ()
    for phrase in phrases:
        if not encoder.fits(join(chain.base, kept), [phrase])[0]:
            break
        kept = (*kept, phrase)
    cosine = float(encoder.cosines("", [join(chain.base, kept)])[0]) if kept else None
    if cosine is None or (chain.cosine is not None and cosine <= chain.cosine):
        return chain
    return _if_better(encoder, chain, kept, on_best)


def cut_at_best(chain: Chain, sign: int = 1) -> Chain:
    """Return the beginning of a chain up to its best cosine."""
    values = [-np.inf if cosine is None else sign * cosine for cosine in chain.cosines]
    end = int(np.argmax(values))
    return replace(chain, phrases=chain.phrases[:end], cosines=chain.cosines[: end + 1])


def beam_search(
    encoder: Encoder,
    chain: Chain,
    candidates: Sequence[str],
    *,
    width: int,
    max_phrases: int,
    on_best: OnBest,
) -> Chain:
    """Follow the `width` best chains at once; return the best of all. Ends when no chain of a round gains."""
    best, beams = chain, [chain]
    for _ in range(max_phrases):
        longer = list(_distinct(_extensions(encoder, beams, candidates, width)))[:width]
        if not longer:
            break
        beams = longer
        if not is_better(beams[0], best):
            break
        best = beams[0]
        on_best(best)
    return best


def _extensions(
    encoder: Encoder, beams: Sequence[Chain], candidates: Sequence[str], width: int
) -> list[Chain]:
    """Return every beam's best ways on, best first."""
    longer: list[Chain] = []
    for beam in beams:
        free = [text for text in candidates if text not in beam.phrases]
        fits = encoder.fits(beam.prompt, free)
        free = [text for text, fit in zip(free, fits, strict=True) if fit]
        if free:
            cosines = encoder.cosines(beam.prompt, free)
            # Twice the width: a chain can be another one in another order, and only one of them stays.
            longer += [beam.add(free[k], float(cosines[k])) for k in top_indices(cosines, 2 * width)]
    return sorted(longer, key=lambda chain: -(chain.cosine or 0.0))


def _distinct(chains: Iterable[Chain]) -> Iterator[Chain]:
    """Leave out chains that hold the phrases of a better one in another order."""
    seen = set()
    for chain in chains:
        phrases = frozenset(chain.phrases)
        if phrases not in seen:
            seen.add(phrases)
            yield chain


def drop_and_swap(encoder: Encoder, chain: Chain, candidates: Sequence[str], *, on_best: OnBest) -> Chain:
    """Leave out or replace one phrase at a time while that raises the cosine."""
    pool = list(candidates)[:SWAPS]
    for _ in range(MAX_PASSES):
        before = chain
        for place in reversed(range(len(chain.phrases))):
            chain = _better_without(encoder, chain, place, on_best)
        for place in range(len(chain.phrases)):
            chain = _better_with(encoder, chain, place, pool, on_best)
        if chain is before:
            break
    return chain


def _better_without(encoder: Encoder, chain: Chain, place: int, on_best: OnBest) -> Chain:
    phrases = (*chain.phrases[:place], *chain.phrases[place + 1 :])
    if not join(chain.base, phrases):
        return chain
    return _if_better(encoder, chain, phrases, on_best)


def _better_with(encoder: Encoder, chain: Chain, place: int, pool: Sequence[str], on_best: OnBest) -> Chain:
    head, tail = join(chain.base, chain.phrases[:place]), chain.phrases[place + 1 :]
    free = [text for text in pool if text not in chain.phrases]
    endings = [join(text, tail) for text in free]
    fits = encoder.fits(head, endings) if endings else []
    free = [text for text, fit in zip(free, fits, strict=True) if fit]
    if not free:
        return chain
    cosines = encoder.cosines(head, [join(text, tail) for text in free])
    index = int(top_indices(cosines, 1)[0])
    if cosines[index] <= (chain.cosine or 0.0):
        return chain
    return _if_better(encoder, chain, (*chain.phrases[:place], free[index], *tail), on_best)


def _if_better(encoder: Encoder, chain: Chain, phrases: tuple[str, ...], on_best: OnBest) -> Chain:
    """Return the chain of other phrases if it is better, cut at its best; else the chain itself."""
    other = cut_at_best(measure(encoder, chain.base, phrases, chain.cosines[0]))
    if not is_better(other, chain):
        return chain
    on_best(other)
    return other


def measure(encoder: Encoder, base: str, phrases: Sequence[str], base_cosine: float | None) -> Chain:
    """Return the chain of given phrases with the cosine at each length."""
    prompts = [join(base, phrases[: count + 1]) for count in range(len(phrases))]
    cosines = encoder.cosines("", prompts) if prompts else ()
    return Chain(base=base, phrases=tuple(phrases), cosines=(base_cosine, *map(float, cosines)))
