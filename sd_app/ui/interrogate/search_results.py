"""What was found for pictures, kept on the server, so that phrases can be switched and prompts drawn."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from ...requests import InterrogateResult, Score

MAX_FINDS = 64  # some 200 kB each; the one not used for longest goes first
SCORE = ("prompt", "similarity", "percentile", "chance")


@dataclass(frozen=True, kw_only=True)
class Find:
    """One interrogation, as the page shows it now."""

    token: str
    result: InterrogateResult  # its request holds the picture's path, not its pixels
    picture: dict[str, Any]  # the easel's entry of it
    score: Score  # of the prompt with the phrases that are on
    off: tuple[int, ...] = ()  # phrases that are switched off
    drawn: dict[str, Any] | None = None  # what was drawn with the prompt, as the page shows it


class Finds:
    """The last finds of everybody. A token is known only to the page that asked. Safe to use from threads."""

    def __init__(self, limit: int = MAX_FINDS) -> None:
        self._finds: OrderedDict[str, Find] = OrderedDict()
        self._lock = Lock()
        self._limit = limit

    def add(self, result: InterrogateResult, picture: dict[str, Any]) -> Find:
        """Keep a result and the easel's entry of its picture."""
        light = replace(result, request=replace(result.request, image=picture["file"]["path"]))
        score = Score(**{name: getattr(light, name) for name in SCORE})
        return self._put(Find(token=secrets.token_urlsafe(16), result=light, picture=picture, score=score))

    def get(self, token: object) -> Find:
        """Return a find; raise ValueError if it is not kept any more."""
        with self._lock:
            find = self._finds.get(token) if isinstance(token, str) else None
            if find is None:
                raise ValueError(
                    "the search behind these words is not in memory any more (press Interrogate again)"
                )
            self._finds.move_to_end(find.token)
            return find

    def change(self, token: str, **changes: Any) -> Find:
        """Replace some fields of a find; raise ValueError if it is not kept any more."""
        return self._put(replace(self.get(token), **changes))

    def _put(self, find: Find) -> Find:
        with self._lock:
            self._finds[find.token] = find
            self._finds.move_to_end(find.token)
            while len(self._finds) > self._limit:
                self._finds.popitem(last=False)
            return find
