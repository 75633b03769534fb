"""The requests of the pictures made last, by their files: so a result's film and "Look inside" find them."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from ...requests import Txt2ImgRequest, Txt2ImgResult

MOST = 200  # pictures; the requests of one job share the pictures they began from


@dataclass(frozen=True, kw_only=True)
class MadePicture:
    """A picture's file, its own request, and who asked for it."""

    path: Path
    request: Txt2ImgRequest
    owner: str


class MadePictures:
    """Safe to use from several threads. The page gets a token for each picture, which nobody can guess."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: OrderedDict[Path, str] = OrderedDict()
        self._known: dict[str, MadePicture] = {}

    def note(self, result: Txt2ImgResult, owner: str) -> None:
        """Remember each picture of a result with its own request; the oldest are forgotten."""
        with self._lock:
            for number, path in enumerate(result.paths[:MOST]):
                token = secrets.token_urlsafe(16)
                self._known.pop(self._tokens.pop(path, ""), None)
                self._tokens[path] = token
                request = result.request_of(number)
                self._known[token] = MadePicture(path=path, request=request, owner=owner)
            while len(self._tokens) > MOST:
                _, gone = self._tokens.popitem(last=False)
                del self._known[gone]

    def token_of(self, path: Path) -> str:
        """Return the token of a picture's file, "" if it is not known (any more)."""
        with self._lock:
            return self._tokens.get(path, "")

    def find(self, token: str) -> MadePicture | None:
        """Return a picture, None for a token that is not known (any more)."""
        with self._lock:
            return self._known.get(token)
