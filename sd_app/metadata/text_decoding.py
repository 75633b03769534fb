"""Text out of bytes whose encoding is named wrongly or not at all, as picture files hold it in the wild."""

import unicodedata

MAX_TEXT = 4_000_000  # bytes of one text; the largest graphs that programs write have a tenth of that

# The first 8 bytes of EXIF's UserComment name a character code (Exif 2.32, table 9). Writers are often wrong.
_CODES = {
    b"UNICODE\0": ("utf-16-be", "utf-16-le", "utf-8"),
    b"ASCII\0\0\0": ("utf-8", "utf-16-be", "utf-16-le"),
    b"JIS\0\0\0\0\0": ("utf-8", "iso2022_jp", "shift_jis", "utf-16-be", "utf-16-le"),
    bytes(8): ("utf-8", "utf-16-be", "utf-16-le"),
}
_ANY = ("utf-8", "utf-16-be", "utf-16-le")
_BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_KNOWN_WORDS = ("Steps:", "Negative prompt:", '"prompt"', "Sampler:", '{"')
_SAMPLE = 4000  # characters at either end that are looked at


def decode_comment(comment: bytes) -> str:
    """Decode EXIF's UserComment by its code, its byte order mark and what it holds."""
    encodings = _CODES.get(comment[:8])
    return decode_text(comment[8:], encodings) if encodings else decode_text(comment)


def decode_text(data: bytes, encodings: tuple[str, ...] = _ANY) -> str:
    """Decode bytes in the one of these encodings in which they read most like text; NULs around it go.

    Bytes that are none of them are read as Western text (cp1252), or as UTF-8 with a little damage.
    """
    for mark, encoding in _BOMS.items():
        if data.startswith(mark):
            return _whole(data[len(mark) :], encoding).decode(encoding, errors="replace").strip("\0")
    found = [text for encoding in encodings if (text := _decoded(data, encoding)) is not None]
    if found:
        return max(found, key=_likeness)  # of equals the first
    mended = data.decode("utf-8", errors="replace")
    if mended.count("\ufffd") * 100 <= len(mended):  # cut off in the middle of a character
        return mended.strip("\0")
    return data.decode("cp1252", errors="replace").strip("\0")


def _whole(data: bytes, encoding: str) -> bytes:
    """Leave out the last byte of a text of two-byte units that has half a unit too much."""
    return data[: len(data) // 2 * 2] if encoding.startswith("utf-16") else data


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return _whole(data, encoding).decode(encoding).strip("\0")
    except UnicodeDecodeError:
        return None


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
