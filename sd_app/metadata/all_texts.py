"""All that a picture's file says besides its pixels, whatever it means: texts and EXIF's tags.

read_infotext looks for parameters alone; this is for people who want to see everything.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import ExifTags, Image

from ..picture_files import MAX_EXIF, check_file
from .carriers import DAMAGE, FORMATS, USER_COMMENT, exif_text, loaded_exif, no_picture
from .hidden_text import read_hidden_text
from .png_text import RAW_EXIF, SIGNATURE, read_png_text
from .text_decoding import MAX_TEXT, decode_comment, decode_text

SHORT = 200  # characters of a tag's value; what is longer is a text of its own
MOST_TAGS = 500
_MOST_NUMBERS = 12
_DIRECTORIES = {
    ExifTags.IFD.Exif: ExifTags.TAGS,
    ExifTags.IFD.GPSInfo: ExifTags.GPSTAGS,
}
_NO_TAGS = set(ExifTags.IFD)  # where another directory lies
_FIRST_XP, _LAST_XP = ExifTags.Base.XPTitle, ExifTags.Base.XPSubject  # Windows' own tags: UTF-16
_TIFF_PIXELS = range(254, 266)  # tags that say how a TIFF's pixels are stored


@dataclass(frozen=True, kw_only=True)
class CarriedText:
    """A text that a file carries, as it stands there."""

    place: str  # what holds it: "PNG text: parameters"
    text: str


@dataclass(kw_only=True)
class Carried:
    """What a picture's file carries. `unread` says in sentences what was not read, and why."""

    texts: list[CarriedText] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def add(self, place: str, text: str) -> None:
        """Add a text, unless it is blank."""
        if text.strip():
            self.texts.append(CarriedText(place=place, text=text))


def read_all_texts(path: Path) -> Carried:
    """Return all texts of a PNG, JPEG, WebP, AVIF, GIF or TIFF file and EXIF's tags.

    Raise ValueError for a file that is no such picture. One that is damaged gives what is there.
    """
    found = Carried()
    try:
        if not path.is_file():  # to open a pipe would be to wait for its writer
            raise no_picture(path)
        with path.open("rb") as file:
            is_png = file.read(len(SIGNATURE)) == SIGNATURE
        if is_png:
            _read_png(path, found)
        check_file(path)
    except OSError as error:
        raise no_picture(path) from error
    try:
        with Image.open(path, formats=FORMATS) as image:
            if not is_png:
                _read_open(image, found)
            if image.format in ("PNG", "WEBP"):
                found.add("Lowest bits of the transparency", read_hidden_text(image) or "")
    except (*DAMAGE, RuntimeError, struct.error, Image.DecompressionBombError) as error:
        if not is_png:
            raise no_picture(path) from error
        found.unread.append("Its pixels cannot be decoded, so no text was looked for in its transparency.")
    return found


def _read_png(path: Path, found: Carried) -> None:
    png = read_png_text(path)
    for keyword, text in [*png.texts.items(), *png.again]:
        if keyword not in RAW_EXIF:  # hexadecimal digits, read below
            found.add(f"PNG text: {keyword}", text)
    for keyword, num_bytes in png.left_out:
        found.unread.append(
            f"{keyword or 'A text'} has {num_bytes:,} bytes and is not read: at most {MAX_TEXT:,} are."
        )
    if png.credentials:
        found.unread.append(
            f"It holds Content Credentials (C2PA, {png.credentials:,} bytes), which are not read here."
        )
    for keyword in png.cut:
        found.unread.append(f"{keyword} is longer than {MAX_TEXT:,} bytes, and only its beginning is read.")
    _read_exif(loaded_exif(png.exif), found)


def _read_open(image: Image.Image, found: Carried) -> None:
    """Read what Pillow knows of a picture of another format."""
    for key, value in image.info.items():
        if key in ("comment", "xmp", "XML:com.adobe.xmp"):
            data = value if isinstance(value, bytes) else str(value).encode(errors="replace")
            if len(data) > MAX_TEXT:
                found.unread.append(f"Its {key} has {len(data):,} bytes and is not read.")
            else:
                found.add("Comment" if key == "comment" else "XMP", decode_text(data))
    if len(image.info.get("exif", b"")) > MAX_EXIF:
        found.unread.append(f"Its EXIF data has more than {MAX_EXIF:,} bytes and is not read.")
        return
    try:
        exif = image.getexif()
    except DAMAGE:
        found.unread.append("Its EXIF data is damaged and is not read.")
        return
    _read_exif(exif, found, is_tiff=image.format == "TIFF")


def _read_exif(exif: Image.Exif, found: Carried, *, is_tiff: bool = False) -> None:
    for tag, name, value in _tags_of(exif):
        if is_tiff and (tag in _TIFF_PIXELS or isinstance(value, tuple)):
            continue
        if len(found.tags) >= MOST_TAGS:
            found.unread.append(f"It has more than {MOST_TAGS} EXIF tags, and the others are not read.")
            return
        text = _shown(tag, value)
        if tag == USER_COMMENT or len(text) > SHORT:
            found.add(f"EXIF: {name}", text)
        elif text.strip():
            found.tags.append((name, text))


def _tags_of(exif: Image.Exif) -> Iterator[tuple[int, str, object]]:
    """Yield number, name and value of each tag of the main directory and of those below it."""
    yield from _named(exif, ExifTags.TAGS)
    for directory, names in _DIRECTORIES.items():
        try:
            yield from _named(exif.get_ifd(directory), names)
        except DAMAGE:
            continue


def _named(tags: Mapping[int, object], names: Mapping[int, str]) -> Iterator[tuple[int, str, object]]:
    for tag, value in tags.items():
        if tag not in _NO_TAGS:
            yield tag, names.get(tag, f"Tag {tag}"), value


def _shown(tag: int, value: object) -> str:
    """Return a tag's value as text; data that is no text as its length."""
    if tag == USER_COMMENT:
        return exif_text(value, decode_comment)
    if _FIRST_XP <= tag <= _LAST_XP:
        return exif_text(value, _decode_utf_16)
    if isinstance(value, str):
        return exif_text(value, decode_text)
    if isinstance(value, bytes):
        text = exif_text(value, decode_text) if len(value) <= MAX_TEXT else ""
        return text if text.isprintable() else f"{len(value):,} bytes of data"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) if len(value) <= _MOST_NUMBERS else f"{len(value):,} numbers"
    return "" if isinstance(value, dict) else str(value)


def _decode_utf_16(data: bytes) -> str:
    return data.decode("utf-16-le", errors="replace").rstrip("\0")
