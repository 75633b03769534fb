"""The infotext that a picture file carries: PNG's text chunk, the EXIF comment of the others."""

import struct
from pathlib import Path

from PIL import Image

PNG_KEY = "parameters"
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


def read_infotext(path_or_image: str | Path | Image.Image) -> str | None:
    """Return the infotext in a PNG, JPEG, WebP or AVIF picture, None if it holds none.

    Decodes no pixels. Raise ValueError for a file that is no such picture.
    """
    if isinstance(path_or_image, Image.Image):
        return _infotext_of(path_or_image)
    name = Path(path_or_image).name
    try:
        with Image.open(path_or_image, formats=_FORMATS) as image:
            return _infotext_of(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{name} is not a picture with parameters (choose a PNG, JPEG, WebP or AVIF file)"
        ) from error


def _infotext_of(image: Image.Image) -> str | None:
    text = image.info.get(PNG_KEY)
    if isinstance(text, str):
        return str(text)  # Pillow's is a subclass that carries a language
    try:
        comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error):  # broken EXIF says nothing
        return None
    if isinstance(comment, str):
        return comment or None
    return _decode_comment(comment) if isinstance(comment, bytes) else None


def _decode_comment(comment: bytes) -> str | None:
    """Decode EXIF's UserComment: 8 bytes name the character code. UTF-16 comes in both byte orders."""
    code, body = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-16"
        else:
            # ASCII characters have their zero byte first in big-endian order
            encoding = "utf-16-be" if body[::2].count(0) >= body[1::2].count(0) else "utf-16-le"
    elif code in (b"ASCII\0\0\0", bytes(8)):
        encoding = "utf-8"
    else:
        encoding, body = "utf-8", comment
    return body.decode(encoding, errors="replace").strip("\0") or None
