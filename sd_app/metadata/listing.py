"""The pictures in the outputs folder, found by their names."""

import os
import re
from pathlib import Path

TRASH = "trash"  # the folder inside the outputs folder that holds what was thrown away
_PICTURE_NAME = re.compile(r"(\d{5,})-(\d+)\.png")
_NUMBERED = re.compile(r"\.?(\d{5,})(?:-\d+(?:-[a-z]+)?\.png|\.partial)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def list_outputs(outputs_dir: Path, limit: int) -> list[Path]:
    """Return the paths of at most `limit` saved pictures, newest first."""
    limit = max(limit, 0)
    found: list[Path] = []
    for day in sorted(days(outputs_dir), reverse=True):
        if len(found) >= limit:
            break
        folder = Path(outputs_dir) / day
        names = sorted(filter(_PICTURE_NAME.fullmatch, _names(folder)), key=_number_of, reverse=True)
        found += [folder / name for name in names[: limit - len(found)]]
    return found


def days(outputs_dir: Path) -> list[str]:
    """Return the names of the folders that hold a day's pictures."""
    return list(filter(_DAY.fullmatch, _names(Path(outputs_dir))))


def next_number(folder: Path) -> int:
    """Return the first number of a day's folder that no file has: none being written, none in the trash."""
    trashed = folder.parent / TRASH / folder.name
    return max(_numbers(folder, _NUMBERED) | _numbers(trashed, _NUMBERED), default=-1) + 1


def picture_numbers(folder: Path) -> set[int]:
    """Return the numbers of the pictures in a day's folder."""
    return _numbers(folder, _PICTURE_NAME)


def _numbers(folder: Path, pattern: re.Pattern[str]) -> set[int]:
    return {int(match[1]) for name in _names(folder) if (match := pattern.fullmatch(name))}


def _number_of(name: str) -> int:
    return int(name.partition("-")[0])


def _names(folder: Path) -> list[str]:
    """List the names in a folder; none if it is not there. A Path for each of thousands would be slow."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
