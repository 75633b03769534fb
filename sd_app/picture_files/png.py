"""The EXIF of a PNG, before or behind its pixels; Pillow decodes the picture to find it."""

import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000  # a picture of 100 MB has 12,000 of 8 KB


def read_png_exif(path_or_bytes: str | Path | bytes, limit: int) -> bytes:
    """Return the EXIF chunk of a PNG of at most so many bytes, nothing without one. May raise OSError."""
    if isinstance(path_or_bytes, bytes):
        return _find(BytesIO(path_or_bytes), limit)
    with Path(path_or_bytes).open("rb") as file:
        return _find(file, limit)


def _find(file: BinaryIO, limit: int) -> bytes:
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return b""
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        size, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return file.read(size) if size <= limit else b""
        file.seek(size + 4, 1)  # its data, and the checksum
    return b""
