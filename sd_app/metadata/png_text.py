"""The text chunks of a PNG file, in front of the pixels or behind them, without decoding a pixel.

Pillow gives those behind only after it has decoded the picture.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .text_decoding import MAX_TEXT, decode_latin, decode_text

SIGNATURE = b"\x89PNG\r\n\x1a\n"
OURS = b"Version: sd_app "  # in the infotext of this app, which keeps to the standard's encodings
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
RAW_EXIF = ("Raw profile type exif", "Raw profile type APP1")
_CREDENTIALS = b"caBX"  # a manifest of who made the picture (C2PA 2.1, A.3.3)
_MAX_CHUNKS = 1_000
_MAX_KEYWORD = 79  # bytes
MAX_TEXTS = 4 * MAX_TEXT  # bytes of all texts together: compressed, a megabyte is a thousand


@dataclass(kw_only=True)
class PngText:
    """What a PNG file says besides its pixels: texts by keyword, the first of each, and EXIF data."""

    texts: dict[str, str] = field(default_factory=dict)
    again: list[tuple[str, str]] = field(default_factory=list)  # further texts under a keyword, with it
    exif: bytes = b""
    left_out: list[tuple[str, int]] = field(default_factory=list)  # keyword and bytes of what was not read
    cut: list[str] = field(default_factory=list)  # keywords of texts of which the start alone is read
    credentials: int = 0  # bytes of Content Credentials
    too_long: int = 0  # bytes of the longest text that was left out for its length


def read_png_text(path: Path) -> PngText:
    """Return the texts of a PNG file. One that is cut off gives what is there. May raise OSError."""
    found, length = PngText(), 0
    with path.open("rb") as file:
        file.seek(len(SIGNATURE))
        for _ in range(_MAX_CHUNKS * 100):
            head = file.read(8)
            if len(head) < 8 or len(found.texts) + len(found.again) > _MAX_CHUNKS:
                break
            size, kind = struct.unpack(">I4s", head)
            if kind in _TEXTS and size <= MAX_TEXT:
                keyword, data, decode = _text_of(kind, file.read(size))
                length += len(data)
                if len(data) == MAX_TEXT:
                    found.cut.append(keyword)
                if length > MAX_TEXTS:
                    found.too_long = max(found.too_long, length)
                    found.left_out.append((keyword, len(data)))
                    break
                if keyword in found.texts:
                    found.again.append((keyword, decode(data)))
                else:
                    found.texts[keyword] = decode(data)
            elif kind == b"eXIf" and size <= MAX_TEXT:
                found.exif = file.read(size)
            else:
                if kind in _TEXTS:
                    found.too_long = max(found.too_long, size)
                    start = file.read(min(size, _MAX_KEYWORD))
                    found.left_out.append((_decode(start.partition(b"\0")[0]), size))
                    size -= min(size, _MAX_KEYWORD)
                elif kind == _CREDENTIALS:
                    found.credentials = size
                file.seek(size, 1)
            file.seek(4, 1)  # the checksum
    found.exif = found.exif or next(filter(None, map(_raw_profile, map(found.texts.get, RAW_EXIF))), b"")
    return found


def _raw_profile(text: str | None) -> bytes:
    """Return EXIF that ImageMagick wrote as hexadecimal digits: a name, a length, the digits on lines."""
    lines = (text or "").strip().split("\n")
    try:
        return bytes.fromhex("".join(lines[2:]))
    except ValueError:
        return b""


def _text_of(kind: bytes, data: bytes) -> tuple[str, bytes, Callable[[bytes], str]]:
    """Return keyword and text of a chunk, and what decodes the text (PNG specification, 11.3.3)."""
    keyword, _, rest = data.partition(b"\0")
    if kind == b"zTXt":
        return _decode(keyword), _inflate(rest[1:]), _decode
    if kind == b"tEXt":
        return _decode(keyword), rest, _decode
    compressed, rest = rest[:1] == b"\1", rest[2:]
    _language, _, rest = rest.partition(b"\0")
    _translated, _, rest = rest.partition(b"\0")
    return _decode(keyword), _inflate(rest) if compressed else rest, decode_text


def _inflate(data: bytes) -> bytes:
    """Inflate a compressed text, no further than a text may be long; a broken one is empty."""
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT)
    except zlib.error:
        return b""


def _decode(data: bytes) -> str:
    """Decode what should be Latin-1 by the standard, and is UTF-8 in many files."""
    return data.decode("latin-1") if OURS in data else decode_latin(data)
