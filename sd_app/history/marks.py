"""What somebody thinks of their pictures: liked, disliked, favourite.

All marks stand in one file of the outputs folder, `marks.jsonl`, which is only ever added to: a line
`{"path": "2026-11-27/00001-7.png", "mark": "like"}` for each time one was set, the latest counts.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from .line_file import LineFile

Mark = Literal["like", "dislike", "favourite"]
MARKS: tuple[Mark, ...] = get_args(Mark)
FILE = "marks.jsonl"


class Marks:
    """The marks of an outputs folder. Safe to use from several threads and processes.

    A picture is named by its path: relative to the outputs folder, or absolute and inside it.
    """

    def __init__(self, outputs_dir: Path) -> None:
        self._folder = Path(os.path.abspath(outputs_dir))  # noqa: PTH100  # links stay as they are
        self._file = LineFile(self._folder / FILE)
        self._lock = threading.Lock()
        self._known: dict[str, Mark] = {}

    def set(self, path: Path | str, mark: Mark | None) -> None:
        """Mark a picture; None takes its mark away. It is on disk when this returns.

        Raise ValueError for a path outside the outputs folder or an unknown mark, OSError in words if it
        cannot be written: what was marked before stays.
        """
        if mark is not None and mark not in MARKS:
            raise ValueError(f"mark must be one of {', '.join(MARKS)} or none, got {str(mark)[:40]}")
        self._append({self.name_of(path): mark})

    def move(self, old: Path | str, new: Path | str) -> None:
        """Let a picture that was given another name keep its mark. Raise as `set` does."""
        mark = self.of(old)
        if mark is not None:
            self._append({self.name_of(new): mark, self.name_of(old): None})

    def of(self, path: Path | str) -> Mark | None:
        """Return a picture's mark, None if it has none."""
        return self.all().get(self.name_of(path))

    def all(self) -> Mapping[str, Mark]:
        """Return the marks of all pictures that have one, by their paths with forward slashes.

        What was added to the file since is read, also by another program. A picture may be gone by now.
        """
        with self._lock:
            lines, is_other = self._file.news()
            if is_other:
                self._known = {}
            for line in lines:
                self._take(line)
            return dict(self._known)

    def name_of(self, path: Path | str) -> str:
        """Return a picture's path relative to the outputs folder. Raise ValueError if it lies elsewhere."""
        there = Path(os.path.abspath(self._folder / path))  # noqa: PTH100  # a link is itself marked
        for folder, found in ((self._folder, there), (self._folder.resolve(), there.resolve())):
            if found != folder and found.is_relative_to(folder):
                return found.relative_to(folder).as_posix()
        raise ValueError(f"{there.name} is not in the outputs folder (only pictures there are marked)")

    def is_name(self, name: str) -> bool:
        """Tell whether a text is a picture's name: relative, inside the outputs folder, written plainly."""
        try:
            return self.name_of(name) == name
        except ValueError:
            return False

    def _append(self, marks: Mapping[str, Mark | None]) -> None:
        with self._lock:
            self._file.append({"path": name, "mark": mark} for name, mark in marks.items())

    def _take(self, line: object) -> None:
        match line:
            case {"path": str(path), "mark": "like" | "dislike" | "favourite" as mark}:
                self._known[path] = mark
            case {"path": str(path), "mark": None}:
                self._known.pop(path, None)
