"""Which files of an outputs folder are pictures, which belong to a picture, and what is in the trash.

A picture's name is its path relative to the outputs folder, with forward slashes. Names that are no UTF-8
hold halves of surrogate pairs, as Python reads them from the disk.
"""

import re
from datetime import date, datetime
from pathlib import Path

from ..metadata.listing import TRASH

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff", ".bmp")
_COMPANION = re.compile(r"(\d{5,}-\d+)-([a-z]+)\.[a-z0-9]+", re.IGNORECASE)
_SIDECARS = (".txt", ".json", ".caption", ".yaml")  # what tools write beside a picture, under its name
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DAY_NS = 24 * 3600 * 10**9


def is_picture_name(name: str) -> bool:
    """Tell whether a file's name is a picture's, by its ending. Hidden files are none."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def is_trashed(name: str) -> bool:
    """Tell whether a picture lies in the trash."""
    return name.startswith(f"{TRASH}/")


def picture_of_companion(name: str, names: set[str]) -> str | None:
    """Return the picture that a file of a folder belongs to, by their names; None if it is one itself.

    00001-7-raw.png belongs to 00001-7.png, if that is there.
    """
    match = _COMPANION.fullmatch(name)
    picture = f"{match[1]}.png" if match else ""
    return picture if picture in names else None


def companions_of(picture: str, names: set[str]) -> list[str]:
    """Return the names in a folder that belong to a picture of it: its companions and what tools add."""
    stem = Path(picture).stem
    names = {name for name in names if name.startswith(stem)}  # of thousands a few
    found = [name for name in names if picture_of_companion(name, {picture}) == picture]
    others = any(is_picture_name(name) and Path(name).stem == stem for name in names - {picture})
    if not others:  # of 1.png and 1.jpg nobody knows whose 1.txt it is
        found += [f"{stem}{ending}" for ending in _SIDECARS if f"{stem}{ending}" in names]
    return sorted(found)


def companion_kind(name: str) -> str:
    """Return what a companion is: raw, roundtrip, film, strip, sheet; its ending for others."""
    match = _COMPANION.fullmatch(name)
    return match[2].lower() if match else Path(name).suffix.removeprefix(".")


def made_at(name: str, mtime_ns: int) -> int:
    """Return when a picture was made, in nanoseconds since 1970.

    A file's own time, unless it lies in the folder of another day: then it was copied, and the day counts.
    """
    day = next((part for part in reversed(Path(name).parts[:-1]) if _DAY.fullmatch(part[:10])), "")
    try:
        start_ns = (
            int(datetime.combine(date.fromisoformat(day[:10]), datetime.min.time()).timestamp()) * 10**9
        )
    except (ValueError, OverflowError, OSError):
        return mtime_ns
    # A job that goes on past midnight ends in the folder of the day before.
    if start_ns <= mtime_ns < start_ns + 2 * DAY_NS:
        return mtime_ns
    number = Path(name).name.partition("-")[0]
    return start_ns + (min(int(number), 10**6) * 10**6 if number.isdecimal() else 0)
