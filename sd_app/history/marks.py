"""What somebody thinks of their pictures: liked, disliked, favourite.

All marks stand in one file of the outputs folder, `marks.jsonl`, which is only ever added to: a line
`{"path": "2026-11-27/00001-7.png", "mark": "like"}` for each time one was set, the latest counts. So several
programs may write at once, and what a crash cuts off is one line, which is passed over.
"""

import errno
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

Mark = Literal["like", "dislike", "favourite"]
MARKS: tuple[Mark, ...] = get_args(Mark)
FILE = "marks.jsonl"


class Marks:
    """The marks of an outputs folder. Safe to use from several threads and processes.

    A picture is named by its path: relative to the outputs folder, or absolute and inside it.
    """

    def __init__(self, outputs_dir: Path) -> None:
        self._folder = Path(os.path.abspath(outputs_dir))  # noqa: PTH100  # links stay as they are
        self._file = self._folder / FILE
        self._lock = threading.Lock()
        self._known: dict[str, Mark] = {}
        self._read = 0  # bytes of the file that are known
        self._inode = -1

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
            self._catch_up()
            return dict(self._known)

    def name_of(self, path: Path | str) -> str:
        """Return a picture's path relative to the outputs folder. Raise ValueError if it lies elsewhere."""
        there = Path(os.path.abspath(self._folder / path))  # noqa: PTH100  # a link is itself marked
        for folder, found in ((self._folder, there), (self._folder.resolve(), there.resolve())):
            if found != folder and found.is_relative_to(folder):
                return found.relative_to(folder).as_posix()
        raise ValueError(f"{there.name} is not in the outputs folder (only pictures there are marked)")

    def _append(self, marks: Mapping[str, Mark | None]) -> None:
        lines = [json.dumps({"path": name, "mark": mark}) for name, mark in marks.items()]
        # A line begins with its line break: so the half line that a crash may have left ends there.
        data = "".join(f"\n{line}" for line in lines).encode("ascii")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(
                self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666
            )
            try:
                if os.write(file, data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            reason = error.strerror or str(error)
            explained = OSError(
                f"the mark cannot be kept: {reason} (free some space, or see who owns {FILE})"
            )
            explained.errno = error.errno
            raise explained from error

    def _catch_up(self) -> None:
        """Read what was added to the file since; all of it if it is another file."""
        try:
            with self._file.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._read:
                    self._known, self._read, self._inode = {}, 0, status.st_ino
                file.seek(self._read)
                added = file.read()
        except FileNotFoundError:
            self._known, self._read, self._inode = {}, 0, -1
            return
        *lines, last = added.split(b"\n")
        for line in lines:
            self._take(line)
        # The last line has no break behind it yet: it is whole, or being written, or was cut off.
        self._read += len(added) - (0 if self._take(last) else len(last))

    def _take(self, line: bytes) -> bool:
        """Take a line over; tell whether it was a whole one."""
        try:
            match json.loads(line):
                case {"path": str(path), "mark": mark} if mark in MARKS:
                    self._known[path] = mark
                case {"path": str(path), "mark": None}:
                    self._known.pop(path, None)
        except (ValueError, RecursionError):
            return False
        return True
