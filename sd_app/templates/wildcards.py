"""Wildcards: files of lines, of which a prompt takes one where it holds their name, `__color__`.

`wildcards/color.txt` is `__color__`, `wildcards/cloth/hats.txt` is `__cloth/hats__`, and `__hats__` as well
while there is no other; `__cloth/*__` is all of that folder. A line may begin with a weight, `2::red`, and
hold choices and wildcards. Empty lines and those that begin with # count for nothing.
"""

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..user_files import nearest, read_text, reason_of
from .choices import Line

WILDCARDS = "wildcards"  # the folder's name
ENDING = ".txt"
MAX_BYTES = 10_000_000  # of one file
MAX_FILES = 20_000
_WEIGHT = re.compile(r"(\d{1,6}\.?\d*|\.\d+)::")


class Wildcards:
    """The wildcards of one folder, each file read once: make one for each job."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._names: list[str] | None = None
        self._read: dict[str, Sequence[Line]] = {}

    def names(self) -> list[str]:
        """List the names that can be asked for, sorted. Reads the folder once."""
        if self._names is None:
            self._names = sorted(self._walk())
        return self._names

    def lines(self, name: str) -> Sequence[Line]:
        """Return the lines of a wildcard. Raise ValueError if there are none, or they cannot be read."""
        if name not in self._read:
            found = self._matching(name)
            if not found:
                near = nearest(name, self.names())
                remedy = f"there is {', '.join(near)}" if near else "the folder has none of the kind"
                raise ValueError(
                    f"the wildcard {name} is not here: there is no file {name}{ENDING} among the wildcards"
                    f" ({remedy}; \\__{name}__ is plain words)"
                )
            lines = [line for one in found for line in self._lines_of(one)]
            if not any(line.weight for line in lines):
                raise ValueError(f"the wildcard {name} has no lines to draw from (write some into its file)")
            self._read[name] = lines
        return self._read[name]

    def _matching(self, name: str) -> list[str]:
        """Return the names that a name means: itself, else in any case, else in any folder."""
        asked = name.casefold().removesuffix(ENDING)
        if "*" in asked:
            return [one for one in self.names() if fnmatchcase(one.casefold(), asked)]
        if name in self.names():
            return [name]
        return [one for one in self.names() if one.casefold() == asked] or [
            one for one in self.names() if one.casefold().endswith(f"/{asked}")
        ]

    def _walk(self) -> Iterator[str]:
        """Yield the names of all files; what lies under hidden folders or links to folders is left out."""
        count = 0
        for folder, folders, files in os.walk(self._folder):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            for file in sorted(files):
                if file.lower().endswith(ENDING) and not file.startswith("."):
                    count += 1
                    if count > MAX_FILES:
                        return
                    path = Path(folder, file).relative_to(self._folder)
                    yield path.as_posix()[: -len(ENDING)]

    def _lines_of(self, name: str) -> Iterator[Line]:
        path = self._path(name)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(
                    f"the wildcard {name} must have at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}"
                    " (cut the file into several)"
                )
            text = read_text(path)
        except OSError as error:
            raise ValueError(
                f"the wildcard {name} cannot be read: {reason_of(error, path)} (see its file)"
            ) from error
        for line in map(str.strip, text.splitlines()):
            if not line or line.startswith("#"):
                continue
            weight = _WEIGHT.match(line)
            yield Line(text=line[weight.end() :], weight=float(weight[1])) if weight else Line(text=line)

    def _path(self, name: str) -> Path:
        for ending in (ENDING, ENDING.upper()):
            if (path := self._folder / f"{name}{ending}").exists():
                return path
        return self._folder / f"{name}{ENDING}"
