"""What a run that was killed leaves behind: files half written, and companions of a picture that never came.

Nothing is touched that somebody else may want: only plain files of this user, under names that only the app
gives, that nobody has written to for an hour. A companion goes only where the reservation of its number shows
that the picture was on its way.
"""

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .listing import days, picture_numbers

SAFE_AGE = 3600  # seconds; a picture is saved in a few
_RESERVED = re.compile(r"\.(\d{5,})\.partial")
_UNFINISHED = re.compile(r"\.\d{5,}(?:-[a-z]+)?\.partial|\.\d{5,}-[^/]*\.\d+\.partial")
_COMPANION = re.compile(r"(\d{5,})-\d+-[a-z]+\.png")
_CACHE_UNFINISHED = re.compile(r"[\w.\-]+\.\d+-\d+\.partial")


@dataclass(frozen=True)
class Swept:
    """What was deleted."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Swept") -> "Swept":
        return Swept(self.files + other.files, self.size_bytes + other.size_bytes)


def sweep_leftovers(outputs_dir: Path, cache_dir: Path) -> Swept:
    """Delete the leftovers of killed runs in both folders. What cannot be deleted stays, without a word."""
    now = time.time()
    found = [path for day in days(outputs_dir) for path in _in_day(Path(outputs_dir) / day)]
    caches = [cache_dir, *(folder for folder in _entries(cache_dir) if folder.is_dir())]
    found += [file for one in caches for file in _entries(one) if _CACHE_UNFINISHED.fullmatch(file.name)]
    return sum((_delete(path, now) for path in found), Swept())


def _in_day(folder: Path) -> Iterator[Path]:
    names = [path.name for path in _entries(folder)]
    finished = picture_numbers(folder)
    reserved = {int(match[1]) for name in names if (match := _RESERVED.fullmatch(name))}
    abandoned = {number for number in reserved - finished if _is_old(folder / f".{number:05}.partial")}
    for name in names:
        companion = _COMPANION.fullmatch(name)
        if _UNFINISHED.fullmatch(name) or (companion and int(companion[1]) in abandoned):
            yield folder / name


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime > SAFE_AGE
    return False


def _delete(path: Path, now: float) -> Swept:
    """Delete a plain file of this user that is old enough."""
    with suppress(OSError):
        status = path.lstat()
        is_mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        if stat.S_ISREG(status.st_mode) and is_mine and now - status.st_mtime > SAFE_AGE:
            path.unlink()
            return Swept(1, status.st_size)
    return Swept()


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(Path(folder).iterdir())
    return []
