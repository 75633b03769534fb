"""A file of JSON lines that is only ever added to, by several threads and programs at once.

What a crash cuts off is one line, which is passed over.
"""

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path


class LineFile:
    """One such file, and how far it was read. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0  # bytes that are known
        self._inode = -1

    def append(self, values: Iterable[object]) -> None:
        """Add a line for each value, on disk when this returns.

        Raise OSError in words if that fails: what was there before stays.
        """
        # A line begins with its line break: so the half line that a crash may have left ends there.
        data = "".join(f"\n{json.dumps(value)}" for value in values).encode("ascii")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, flags, 0o666)
            try:
                if os.write(file, data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            reason = error.strerror or str(error)
            explained = OSError(
                f"{self.path.name} cannot be written: {reason} (free some space, or see whose file it is)"
            )
            explained.errno = error.errno
            raise explained from error

    def news(self) -> tuple[list[object], bool]:
        """Return the lines that were added since, and whether it is another file: then they are all of it."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                is_other = status.st_ino != self._inode or status.st_size < self._read
                if is_other:
                    self._read, self._inode = 0, status.st_ino
                file.seek(self._read)
                added = file.read()
        except FileNotFoundError:
            is_other, self._read, self._inode = self._inode != -1, 0, -1
            return [], is_other
        *lines, last = added.split(b"\n")
        # The last line has no break behind it yet: it is whole, or being written, or was cut off.
        whole = [value for line in lines for value in _values(line)]
        ending = _values(last)
        self._read += len(added) - (0 if ending else len(last))
        return [*whole, *ending], is_other


def _values(line: bytes) -> list[object]:
    """Return what a line holds: one value, or none if it is not a whole line."""
    try:
        return [json.loads(line)]
    except (ValueError, RecursionError):
        return []
