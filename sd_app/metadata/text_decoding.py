"""Text out of bytes whose encoding is named wrongly or not at all, as picture files hold it in the wild."""

import re
import unicodedata

MAX_TEXT = 4_000_000  # bytes of one text; the largest graphs that programs write have a tenth of that

# The first 8 bytes of EXIF's UserComment name a character code (Exif 2.32, table 9). Writers are often wrong.
_JIS = b"JIS\0\0\0\0\0"
_CODES = (b"UNICODE\0", b"ASCII\0\0\0", _JIS, bytes(8))
_CHARSET = re.compile(
    rb'\A(?:charset="?(?:Ascii|Unicode|Jis|Undefined|InvalidCharsetId)"? )', re.IGNORECASE
)  # Exiv2's
_BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_UTF_16 = ("utf-16-be", "utf-16-le")
_WESTERN = "cp1252"
_KNOWN_WORDS = ("Steps:", "Negative prompt:", '"prompt"', "Sampler:", '{"')
_SAMPLE = 4000  # characters at either end that are looked at


def decode_comment(comment: bytes) -> str:
    """Decode EXIF's UserComment by what it holds; its code decides only between Japanese encodings."""
    comment = _CHARSET.sub(b"", comment)
    if comment[:8] not in _CODES:
        return decode_text(comment)
    return decode_text(comment[8:], japanese=comment[:8] == _JIS)


def decode_text(data: bytes, *, japanese: bool = False) -> str:
    """Decode bytes as the Unicode that they hold, else as Western or Japanese text; NULs around it go.

    UTF-16 of either byte order has NULs in it wherever there is a blank, a digit or a line break.
    """
    for mark, encoding in _BOMS.items():
        if data.startswith(mark):
            return _whole(data[len(mark) :], encoding).decode(encoding, errors="replace").strip("\0")
    if b"\0" in data.strip(b"\0"):
        return _likeliest(data, "utf-8", *_UTF_16)
    if japanese and b"\x1b" in data:
        return _likeliest(data, "iso2022_jp")
    try:
        return data.decode().strip("\0")
    except UnicodeDecodeError as error:
        whole = data[: error.start]
        if len(whole) >= len(data) - 3 and not whole.isascii():  # cut off in the middle of a character
            return data.decode(errors="replace").strip("\0")
    return _likeliest(data, "shift_jis") if japanese else _likeliest(data, *_UTF_16, _WESTERN)


def decode_latin(data: bytes) -> str:
    """Decode what should be Latin-1, and is UTF-8 in many files."""
    text = _decoded(data, "utf-8")
    return data.decode("latin-1") if text is None else text


def _whole(data: bytes, encoding: str) -> bytes:
    """Leave out the last byte of a text of two-byte units that has half a unit too much."""
    return data[: len(data) // 2 * 2] if encoding in _UTF_16 else data


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return _whole(data, encoding).decode(encoding).strip("\0")
    except UnicodeDecodeError:
        return None


def _likeliest(data: bytes, *encodings: str) -> str:
    """Return what reads most like text in these encodings, of equals the first; Western if it is none."""
    found = [text for encoding in encodings if (text := _decoded(data, encoding)) is not None]
    return max(found, key=_likeness) if found else data.decode(_WESTERN, errors="replace").strip("\0")


def _likeness(text: str) -> tuple[int, int]:
    """Return how much a text looks like one: words that infotexts hold, then what its characters are.

    The wrong byte order turns Latin letters into rare Chinese ones and line breaks into nothing at all, but
    some Chinese letters into Latin ones: so the words decide, and characters only where there are none.
    """
    sample = text if len(text) <= 2 * _SAMPLE else text[:_SAMPLE] + text[-_SAMPLE:]
    words = sum(word in text for word in _KNOWN_WORDS)
    return words, sum(map(_likelihood, sample))


def _likelihood(char: str) -> int:
    if " " <= char <= "~" or char in "\n\r\t":
        return 2
    if unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs"):
        return -4
    rare = "\u3400" <= char <= "\u4dbf" or "\ua000" <= char <= "\uabff"  # CJK extension A; Yi and further
    return 0 if rare else 1
