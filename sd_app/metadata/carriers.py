"""The infotext that a picture file carries, wherever programs put it.

PNG has text chunks, before or behind the pixels; JPEG, WebP, AVIF and TIFF have EXIF, XMP and comments, GIF
has a comment. What is in
another program's own form, spread over several places, comes as one JSON object; see forms/.
"""

import html
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from PIL import ExifTags, Image, PngImagePlugin

from ..picture_files import MAX_EXIF, check_file
from .forms import CARRIED_AS_JSON, EASY_DIFFUSION_NAMES, knows_form
from .hidden_text import read_hidden_text
from .png_text import OURS, SIGNATURE, read_png_text
from .settings_text import holds_settings
from .text_decoding import MAX_TEXT, decode_comment, decode_latin, decode_text

PNG_KEY = "parameters"
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF")
USER_COMMENT = 0x9286
# Of the main directory: ComfyUI has its graph in Model and the workflow in Make, others use the description.
_TOLD = (
    *(ExifTags.Base.Model, ExifTags.Base.Make, ExifTags.Base.ImageDescription, ExifTags.Base.XPComment),
    *(ExifTags.Base.XPTitle, ExifTags.Base.XPSubject, ExifTags.Base.Software),
)
_COMFYUI_PREFIX = re.compile(r"\s*(?:prompt|workflow)\s*:\s*(?=[{\[])", re.IGNORECASE)
_XMP_ELEMENTS = ("exif:UserComment", "dc:description")
_XMP_ATTRIBUTE = re.compile(r'(?:parameters|UserComment)="([^"]*)"')
_TAGS = re.compile(r"<[^<>]*>")
DAMAGE = (OSError, ValueError, SyntaxError, KeyError, TypeError, IndexError, EOFError, struct.error)


def read_infotext(path_or_image: str | Path | Image.Image) -> str | None:
    """Return the infotext in a PNG, JPEG, WebP, AVIF, GIF or TIFF picture, None if it holds none.

    Another program's JSON is returned as it is; parse_infotext reads both. Of a file no pixels are decoded,
    unless nothing but its transparency can hold a text. Raise ValueError for a file that is no such picture,
    or holds a text that is too long.
    """
    if isinstance(path_or_image, Image.Image):
        return _infotext_of(path_or_image)
    path = Path(path_or_image)
    try:
        if not path.is_file():  # to open a pipe would be to wait for its writer
            raise no_picture(path)
        with path.open("rb") as file:
            is_png = file.read(len(SIGNATURE)) == SIGNATURE
    except (OSError, ValueError) as error:
        raise no_picture(path) from error
    if is_png:
        png = read_png_text(path)
        if found := _chosen(png.texts) or _comment_of(loaded_exif(png.exif)):
            return found
        if png.too_long:
            raise ValueError(
                f"{path.name} holds a text of {png.too_long:,} bytes, and at most {MAX_TEXT:,} are read (copy"
                " the settings out of it and paste them)"
            )
    try:
        check_file(path)
    except ValueError as error:
        raise ValueError(f"{path.name} {error}") from error
    except OSError as error:
        raise no_picture(path) from error
    try:
        with Image.open(path, formats=FORMATS) as image:
            return read_hidden_text(image) if is_png else _infotext_of(image)
    except (*DAMAGE, RuntimeError, Image.DecompressionBombError) as error:
        raise no_picture(path) from error


def no_picture(path: Path) -> ValueError:
    """Return what to raise for a file in which no parameters can be looked for."""
    return ValueError(
        f"{path.name} is not a picture with parameters (choose a PNG, JPEG, WebP, AVIF, GIF or TIFF file)"
    )


def _infotext_of(image: Image.Image) -> str | None:
    texts = {key: _latin(text) for key, text in _texts_of(image).items() if isinstance(text, str)}
    try:
        exif = image.getexif() if len(image.info.get("exif", b"")) <= MAX_EXIF else Image.Exif()
    except DAMAGE:  # broken EXIF says nothing
        exif = Image.Exif()
    return _chosen(texts) or _comment_of(exif, _other_texts(image))


def _texts_of(image: Image.Image) -> dict[str, object]:
    """Return an open picture's texts; those of a PNG behind its pixels too, which decodes it."""
    try:
        return {str(key): text for key, text in {**image.info, **getattr(image, "text", {})}.items()}
    except DAMAGE:
        return {str(key): text for key, text in image.info.items()}


def _latin(text: str) -> str:
    """Return what Pillow decoded as Latin-1 as the UTF-8 it may be."""
    if isinstance(text, PngImagePlugin.iTXt) or OURS.decode() in text:
        return str(text)  # Pillow's is a subclass that carries a language
    try:
        return decode_latin(text.encode("latin-1"))
    except UnicodeEncodeError:
        return text


def _chosen(texts: dict[str, str]) -> str | None:
    """Return the infotext among a PNG's texts: AUTOMATIC1111's, else another program's as JSON."""
    if texts.get(PNG_KEY, "").strip():
        return texts[PNG_KEY]
    for keys in CARRIED_AS_JSON:
        found = {key: texts[key] for key in keys if key in texts}
        if found and knows_form(joined := json.dumps(found)):
            return joined
    easy = {key: text for key, text in texts.items() if key in EASY_DIFFUSION_NAMES}
    if knows_form(joined := json.dumps(easy)):
        return joined
    xmp = texts.get("XML:com.adobe.xmp", "")
    return _first_known([*_xmp_texts(xmp), *(text for key, text in texts.items() if key != PNG_KEY)])


def _first_known(texts: Iterable[str]) -> str | None:
    """Return the first text that is an infotext or a known form: no camera's make, no description."""
    return next((text for text in texts if holds_settings(text) or knows_form(text)), None)


def loaded_exif(data: bytes) -> Image.Exif:
    """Return EXIF data taken apart; broken data says nothing."""
    exif = Image.Exif()
    try:
        exif.load(data)
    except DAMAGE:
        return Image.Exif()
    return exif


def _comment_of(exif: Image.Exif, others: Iterable[str] = ()) -> str | None:
    """Return the infotext in EXIF or in other texts, else a user comment, which counts as a prompt.

    User comments go first: that of the sub-directory, then one in the main directory, where Fooocus puts it.
    """
    try:
        sub = exif.get_ifd(ExifTags.IFD.Exif)
    except DAMAGE:
        sub = {}
    comments = [exif_text(directory.get(USER_COMMENT), decode_comment) for directory in (sub, exif)]
    told = [_COMFYUI_PREFIX.sub("", exif_text(exif.get(tag), decode_text)) for tag in _TOLD]
    known = _first_known([*comments, *told, *others])
    is_photo = bool(exif.get(ExifTags.Base.Make))
    return known or (None if is_photo else next(filter(_may_be_prompt, comments), None))


def _may_be_prompt(comment: str) -> bool:
    """Tell whether a comment without settings may be a prompt; phones write "Screenshot" into theirs."""
    return bool(comment.strip()) and comment.strip().casefold() != "screenshot"


def exif_text(value: object, decode: Callable[[bytes], str]) -> str:
    """Return a value of EXIF as text. Pillow gives bytes, numbers, or a str that it decoded as Latin-1."""
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            return str(value)
    if isinstance(value, tuple) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        value = bytes(value)
    return decode(value) if isinstance(value, bytes) and len(value) <= MAX_TEXT else ""


def _other_texts(image: Image.Image) -> Iterator[str]:
    """Return what JPEG's comment and XMP hold."""
    comment, xmp = image.info.get("comment"), image.info.get("xmp")
    if isinstance(comment, bytes) and len(comment) <= MAX_TEXT:
        yield decode_text(comment)
    if isinstance(xmp, bytes) and len(xmp) <= MAX_TEXT:
        yield from _xmp_texts(decode_text(xmp))


def _xmp_texts(xmp: str) -> Iterator[str]:
    """Yield the texts in which XMP may hold parameters. Draw Things writes JSON into exif:UserComment."""
    for name in _XMP_ELEMENTS:
        start = xmp.find(f"<{name}")
        end = xmp.find(f"</{name}>", start)
        if 0 <= start < end:
            yield html.unescape(_TAGS.sub("", xmp[start:end])).strip()
    yield from (html.unescape(match[1]) for match in _XMP_ATTRIBUTE.finditer(xmp))
