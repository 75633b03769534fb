"""Whose pictures these are, where several visitors share an outputs folder.

`.owners.jsonl` in the outputs folder has a line for each picture that was made for a visitor: its path, and a
hash of the visitor's name, so that the file tells nobody's cookie.
"""

import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path

from .line_file import LineFile

FILE = ".owners.jsonl"


class Owners:
    """The owners of an outputs folder's pictures, by paths relative to it with forward slashes.

    Safe to use from several threads and processes.
    """

    def __init__(self, outputs_dir: Path) -> None:
        self._file = LineFile(Path(outputs_dir) / FILE)
        self._lock = threading.Lock()
        self._owner: dict[str, str] = {}

    def note(self, owner: str, names: Iterable[str]) -> None:
        """Remember pictures as somebody's. Raise OSError in words if that cannot be written."""
        with self._lock:
            self._file.append({"path": name, "owner": _hashed(owner)} for name in names)

    def move(self, old: str, new: str) -> None:
        """Let a picture that was given another name keep its owner. Raise as `note` does."""
        with self._lock:
            owner = self._known().get(old)
            if owner is not None:
                self._file.append([{"path": new, "owner": owner}, {"path": old, "owner": None}])

    def names_of(self, owner: str) -> set[str]:
        """Return the paths of the pictures that are somebody's. Some may be gone by now."""
        with self._lock:
            key = _hashed(owner)
            return {name for name, one in self._known().items() if one == key}

    def _known(self) -> dict[str, str]:
        lines, is_other = self._file.news()
        if is_other:
            self._owner = {}
        for line in lines:
            match line:
                case {"path": str(path), "owner": str(owner)}:
                    self._owner[path] = owner
                case {"path": str(path), "owner": None}:
                    self._owner.pop(path, None)
        return self._owner


def _hashed(owner: str) -> str:
    return hashlib.sha256(owner.encode(errors="replace")).hexdigest()
