"""Small versions of pictures, made when they are first looked at, and kept in the cache folder."""

import hashlib
import os
import threading
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..metadata import write_bytes

SIDE = 320  # pixels of the longer side; a smaller picture stays as it is
MAX_BYTES = 300_000_000  # of all thumbnails: 50,000 pictures have about 500 MB, most never looked at
_SWEPT_TO = 0.8  # of MAX_BYTES
_DECODING = threading.BoundedSemaphore(2)  # a page asks for sixty at once


class Thumbnails:
    """The thumbnails of one outputs folder. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, path: Path, size_bytes: int, mtime_ns: int) -> bytes:
        """Return a picture's thumbnail, a PNG or JPEG file. A changed file gets another one.

        Raise ValueError if the picture cannot be decoded. That the disk is full costs time alone.
        """
        key = hashlib.sha256(f"{os.fsencode(path)!r} {size_bytes} {mtime_ns}".encode()).hexdigest()
        kept = self._folder / key[:2] / key[2:]
        with suppress(OSError):
            data = kept.read_bytes()
            if data:
                return data
        with _DECODING:
            data = make_thumbnail(path)
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(data, kept)
        return data

    def sweep(self, most: int = MAX_BYTES) -> None:
        """Delete the oldest thumbnails if there are too many bytes of them."""
        found = []
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= most:
            return
        for _, size, path in sorted(found):
            with suppress(OSError):
                path.unlink()
                total -= size
            if total <= _SWEPT_TO * most:
                return


def make_thumbnail(path: Path) -> bytes:
    """Return a picture reduced to SIDE: as JPEG, or, if it is small already, itself to the pixel as PNG."""
    from ..images import open_image  # loads numpy, which a command's help does without

    image = open_image(path)
    stream = BytesIO()
    if max(image.size) <= SIDE:
        image.save(stream, "PNG", compress_level=1)
    else:
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
        image.save(stream, "JPEG", quality=85)
    return stream.getvalue()
