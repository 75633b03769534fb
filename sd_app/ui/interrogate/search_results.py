"""What was found for pictures, kept on the server, so that phrases can be switched and prompts drawn."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypedDict

from ...requests import InterrogateResult, KeptScore, Score
from ..shared.components import NamedFile, ServedFile

MAX_RESULTS = 64  # some 200 kB each; the one not used for longest goes first
SCORE = ("prompt", "similarity", "percentile", "chance")


class LabelledPicture(TypedDict):
    """A picture with the line below it."""

    file: ServedFile
    label: str


class Drawings(TypedDict):
    """What "check by drawing" made of a prompt, as the words block shows it."""

    text: str
    prompt: str
    images: list[LabelledPicture]
    preview: str | None


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """One interrogation, as the page shows it now."""

    token: str
    result: InterrogateResult  # its request holds the picture's path, not its pixels
    picture: NamedFile  # its entry, as the canvas has it
    score: Score  # of the prompt with the phrases that are on
    off: tuple[int, ...] = ()  # phrases that are switched off
    drawn: Drawings | None = None  # what was drawn with the prompt, as the page shows it

    @property
    def curve(self) -> tuple[float, ...]:
        """Return the cosines from the caption to the prompt of the phrases that are on."""
        return self.score.curve if isinstance(self.score, KeptScore) else self.result.curve


class SearchResults:
    """The last searches of everybody. A token is known only to the page that asked. Thread-safe."""

    def __init__(self, limit: int = MAX_RESULTS) -> None:
        self._results: OrderedDict[str, SearchResult] = OrderedDict()
        self._lock = Lock()
        self._limit = limit

    def add(self, result: InterrogateResult, picture: NamedFile, token: str) -> SearchResult:
        """Keep a result under its job's id, with its entry, as the canvas has its picture."""
        light = replace(result, request=replace(result.request, image=picture["file"]["path"]))
        score = Score(**{name: getattr(light, name) for name in SCORE})
        return self._put(SearchResult(token=token, result=light, picture=picture, score=score))

    def get(self, token: object) -> SearchResult:
        """Return a search result; raise ValueError if it is not kept any more."""
        with self._lock:
            found = self._results.get(token) if isinstance(token, str) else None
            if found is None:
                raise ValueError(
                    "the search behind these words is not in memory any more (press Interrogate again)"
                )
            self._results.move_to_end(found.token)
            return found

    def switch(self, token: str, score: Score, off: tuple[int, ...]) -> SearchResult:
        """Keep which phrases are off and what that scores; raise ValueError if it is not kept any more."""
        return self._put(replace(self.get(token), score=score, off=off))

    def draw(self, token: str, drawn: Drawings) -> SearchResult:
        """Keep what was drawn with a prompt; raise ValueError if it is not kept any more."""
        return self._put(replace(self.get(token), drawn=drawn))

    def _put(self, found: SearchResult) -> SearchResult:
        with self._lock:
            self._results[found.token] = found
            self._results.move_to_end(found.token)
            while len(self._results) > self._limit:
                self._results.popitem(last=False)
            return found
