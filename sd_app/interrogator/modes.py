"""The modes as people know them, over tables and one picture: each names its candidates and its search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..requests import InterrogateRequest
from . import search
from .phrases import NEGATIVE
from .search import Chain, Encoder, OnBest
from .tables import PhraseTable

CLASSIC_ORDER = ("mediums", "artists", "trending", "movements")
MANY = "flavors"  # the list of which classic takes several
# Of each step's gain; 0: any.
SIGNS = {"true": 0, "best": 1, "deep": 1, "negative": -1, "fast": 0, "classic": 0}


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Phrase tables against one picture."""

    tables: tuple[PhraseTable, ...]
    cosines: tuple[NDArray[np.float32], ...]  # one array a table

    def top(self, count: int, sign: int = 1, *, without: str = "") -> list[str]:
        """Return the most (sign -1: least) similar phrases of all lists but one, doubles left out."""
        chosen = [k for k, table in enumerate(self.tables) if table.name != without]
        phrases = [phrase for k in chosen for phrase in self.tables[k].phrases]
        values = np.concatenate([self.cosines[k] for k in chosen]) if chosen else np.empty(0, np.float32)
        # Lists share some phrases, so a few more than asked for are looked at.
        ranked = search.top_indices(values, count + len(self.tables) * count, sign)
        return list(dict.fromkeys(phrases[k] for k in ranked))[:count]

    def by_name(self) -> dict[str, NDArray[np.float32]]:
        """Return each list's cosines by its name."""
        return {table.name: values for table, values in zip(self.tables, self.cosines, strict=True)}

    def top_of(self, name: str, count: int) -> list[str]:
        """Return the most similar phrases of one list; nothing if it is not searched."""
        for table, values in zip(self.tables, self.cosines, strict=True):
            if table.name == name:
                return [table.phrases[k] for k in search.top_indices(values, count)]
        return []


def rank(tables: Sequence[PhraseTable], picture: NDArray[np.float32]) -> Ranking:
    """Compare every phrase with a unit (D,) picture."""
    return Ranking(tables=tuple(tables), cosines=tuple(table.cosines(picture) for table in tables))


def run(
    request: InterrogateRequest, encoder: Encoder, ranking: Ranking, chain: Chain, on_best: OnBest
) -> Chain:
    """Run the request's mode, any but "true", from the chain of its caption; return the best chain."""
    limit = request.phrase_limit
    if request.mode == "fast":
        return search.take_all(encoder, chain, ranking.top(limit), on_best=on_best)
    if request.mode == "classic":
        return search.take_all(encoder, chain, classic_phrases(ranking, chain.base, limit), on_best=on_best)
    if request.mode == "negative":
        return search.greedy(
            encoder, chain, negative_candidates(ranking, request.flavor_intermediate_count),
            min_phrases=request.min_phrases, max_phrases=limit, on_best=on_best, sign=-1,
        )  # fmt: skip
    candidates = ranking.top(request.flavor_intermediate_count)
    best = _best(request, encoder, ranking, chain, candidates, on_best)
    if request.mode == "best":
        return best
    width = request.beam_width
    beam = search.beam_search(encoder, chain, candidates, width=width, max_phrases=limit, on_best=on_best)
    best = search.best_of(best, beam, on_best=on_best)
    return search.drop_and_swap(encoder, best, candidates, on_best=on_best)


def _best(
    request: InterrogateRequest,
    encoder: Encoder,
    ranking: Ranking,
    chain: Chain,
    candidates: Sequence[str],
    on_best: OnBest,
) -> Chain:
    limit = request.phrase_limit
    longest = search.greedy(
        encoder, chain, candidates, min_phrases=request.min_phrases, max_phrases=limit, on_best=on_best
    )
    others = [ranking.top(limit), classic_phrases(ranking, chain.base, limit)[:limit]]
    simple = [search.measure_if_better(encoder, longest, phrases, on_best=on_best) for phrases in others]
    return search.best_of(longest, *simple, on_best=on_best)


def classic_phrases(ranking: Ranking, caption: str, count: int) -> list[str]:
    """Return a medium by an artist, a site, a movement, the best of every other list, then flavors.

    The other lists come in the order of their best phrases.
    """
    others = [table.name for table in ranking.tables if table.name not in (*CLASSIC_ORDER, MANY)]
    best = {name: max(values, default=-1.0) for name, values in ranking.by_name().items()}
    others.sort(key=lambda name: -best[name])
    firsts = {name: top[0] for name in (*CLASSIC_ORDER, *others) if (top := ranking.top_of(name, 1))}
    medium, artist = firsts.get("mediums"), firsts.get("artists")
    if medium and caption.startswith(medium):
        del firsts["mediums"]
    elif medium and artist:
        firsts["mediums"] = f"{medium} {firsts.pop('artists')}"
    return list(dict.fromkeys([*firsts.values(), *ranking.top_of(MANY, count)]))


def negative_candidates(ranking: Ranking, count: int) -> list[str]:
    """Return the least similar phrases, and the whole negative list if it is searched."""
    negative = next((table.phrases for table in ranking.tables if table.name == NEGATIVE), ())
    return list(dict.fromkeys([*ranking.top(count, -1, without=NEGATIVE), *negative]))
