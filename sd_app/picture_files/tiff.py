"""The directories of a TIFF (TIFF 6.0 specification, 1992; BigTIFF has longer numbers)."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

MAX_VALUES = 1_000_000  # numbers in one tag: a picture has as many as it has strips
MAX_TILE = 64_000_000  # pixels
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_SUB_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
_PLAIN = (1, 2, 7)  # types whose values are kept as bytes or text
_SHORT, _LONG, _LONG8 = 3, 4, 16


@dataclass(frozen=True)
class _Layout:
    """How this file writes its directories."""

    order: str  # struct's sign of the byte order
    count: str  # of a directory's entries
    entry: str  # tag, type, number of values
    place: str  # of values, and of the next directory


def check_tiff(file: BinaryIO, most: int) -> int:
    """Count the pages of a TIFF, at most so many.

    Raise ValueError for a tag of too many numbers, or for tiles that are far larger than the picture.
    """
    file.seek(0)
    start = file.read(16)
    order = "<" if start[:2] == b"II" else ">"
    is_big = b"+" in start[:4]
    layout = _Layout(order, "Q", "HHQ", "Q") if is_big else _Layout(order, "H", "HHI", "I")
    (place,) = _unpack(order + layout.place, start[8:16] if is_big else start[4:8]) or (0,)
    seen: set[int] = set()
    while place and place not in seen and len(seen) < most:
        seen.add(place)
        tags, place = _read_directory(file, place, layout)
        _check_tiles(tags)
        for tag in _SUB_DIRECTORIES:
            if tag in tags:
                _read_directory(file, tags[tag], layout)
    return max(len(seen), 1)


def _read_directory(file: BinaryIO, place: int, layout: _Layout) -> tuple[dict[int, int], int]:
    """Return the first number of each tag that stands in the directory itself, and the next one's place."""
    try:
        file.seek(place)
    except (OSError, OverflowError, ValueError):
        return {}, 0
    (count,) = _unpack(layout.order + layout.count, _read(file, layout.count)) or (0,)
    tags: dict[int, int] = {}
    for _ in range(min(count, 65_535)):
        known = _unpack(layout.order + layout.entry, _read(file, layout.entry))
        value = _read(file, layout.place)
        if known is None or len(value) < struct.calcsize("=" + layout.place):
            return tags, 0
        tag, kind, values = known
        if kind not in _PLAIN and values > MAX_VALUES:
            raise ValueError(
                f"must have at most {MAX_VALUES:,} numbers in a tag, got {values:,} in tag {tag}"
                " (save it again with another program)"
            )
        if values == 1:
            letter = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}.get(kind, layout.place)
            found = _unpack(layout.order + letter, value[: struct.calcsize("=" + letter)])
            tags.setdefault(tag, found[0] if found else 0)
    (following,) = _unpack(layout.order + layout.place, _read(file, layout.place)) or (0,)
    return tags, following


def _check_tiles(tags: dict[int, int]) -> None:
    width, height = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_HEIGHT, 0)
    pixels = tags.get(_WIDTH, 0) * tags.get(_HEIGHT, 0)
    if width * height > max(MAX_TILE, 4 * pixels):
        raise ValueError(
            f"must have tiles of at most {MAX_TILE:,} pixels, got {width}x{height} (save it without tiles)"
        )


def _read(file: BinaryIO, layout: str) -> bytes:
    return file.read(struct.calcsize("=" + layout))


def _unpack(layout: str, data: bytes) -> tuple[int, ...] | None:
    """Return the numbers in some bytes, None if the file ends before."""
    return struct.unpack(layout, data) if len(data) == struct.calcsize(layout) else None
