"""What a picture's file is made of, looked at before a library decodes it: it may cost more than it holds.

Pillow takes minutes for a comment or a chain of frames by the million, and gigabytes for a tile of 40,000 x
40,000 pixels that is not even there. No pixel is decoded here, and what is read is bounded.
"""

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from .gif import check_gif
from .png import read_png_exif
from .tiff import check_tiff

__all__ = ["MAX_EXIF", "MAX_FRAMES", "check_file", "read_png_exif"]

MAX_FRAMES = 1_000  # frames or pages that are counted
MAX_EXIF = 4_000_000  # bytes; larger EXIF is not looked at
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_file(path_or_bytes: str | Path | bytes) -> int | None:
    """Refuse a GIF or TIFF that no program would write; count its frames, up to MAX_FRAMES.

    Return None for other formats, whose headers say it. Raise ValueError with the rest of a sentence that
    begins with the file's name, OSError if it cannot be read.
    """
    if isinstance(path_or_bytes, bytes):
        return _check(BytesIO(path_or_bytes))
    with Path(path_or_bytes).open("rb") as file:
        return _check(file)


def _check(file: BinaryIO) -> int | None:
    start = file.read(6)
    if start.startswith(b"GIF8"):
        return check_gif(file, MAX_FRAMES)
    return check_tiff(file, MAX_FRAMES) if start.startswith(_TIFF) else None
