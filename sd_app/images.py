"""Pictures in and out of the app: one safe decoder, a grid, an exact enlargement. Pure PIL."""

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from io import BytesIO
from math import ceil, sqrt
from pathlib import Path

from PIL import Image

from .checks import MAX_ASPECT, MAX_INPUT_PIXELS
from .image_colors import WHITE, to_rgb, to_srgb
from .picture_files import MAX_EXIF, MAX_FRAMES, check_file, read_png_exif

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
HEIF_READERS = ("pi_heif", "pillow_heif")  # libraries that teach Pillow the format of iPhones, if installed
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BLACK = (0, 0, 0)

MAX_FILE_BYTES = 500_000_000
MAX_DECODED_BYTES = 1_500_000_000  # of one picture while it is decoded
MAX_KEPT_PIXELS = 120_000_000  # of one that keeps its size; jobs hold it several times
LARGE_PIXELS = 32_000_000  # beyond, pictures are decoded one after the other, whoever asks

# EXIF orientation -> what sets the picture upright; 1 is upright already.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's decoders raise on broken files, besides OSError and ValueError.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,  # AVIF
    struct.error,
    zlib.error,
)
# Bytes a pixel while it is decoded: of Pillow's modes, and of libraries that keep frames of their own.
_FORMAT_BYTES = {"WEBP": 16, "AVIF": 16}
_COEFFICIENT = 2  # more for each channel of a progressive JPEG, which is held whole
_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 4, "PA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_large = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """What a picture's header says; it is upright, so width and height are as people see them."""

    width: int
    height: int
    frames: int  # more than one in an animation or a document of several pages

    @property
    def pixels(self) -> int:
        """Return width * height."""
        return self.width * self.height

    def remark(self, max_pixels: int | None = None) -> str:
        """Say what of the picture is not used as it is, empty if it is used whole."""
        said = []
        if self.frames > 1:
            more = " or more" if self.frames >= MAX_FRAMES else ""
            said.append(f"The picture has {self.frames:,}{more} frames or pages, and the first one is used.")
        if max_pixels is not None and self.pixels > max_pixels:
            width, height = scaled_size(self.width, self.height, max_pixels)
            said.append(
                f"The picture has {self.width}x{self.height} pixels and is scaled down to {width}x{height}."
            )
        return " ".join(said)


def look_at_image(path_or_bytes: str | Path | bytes) -> PictureFacts:
    """Read a picture's header, and nothing of its pixels. Raise ValueError as open_image does."""
    with _opened(path_or_bytes) as (image, _):
        width, height = image.size
        if (
            _orientation(image, path_or_bytes) > 4 and image.format != "TIFF"
        ):  # whose size Pillow turns when it opens one
            width, height = height, width
        # Phones put a second picture with the brightness into a JPEG: that is no animation.
        frames = 1 if image.format in ("JPEG", "MPO") else _count_frames(image, path_or_bytes)
        return PictureFacts(width=width, height=height, frames=frames)


def open_image(
    path_or_bytes: str | Path | bytes,
    *,
    max_pixels: int | None = None,
    background: tuple[int, int, int] = WHITE,
    convert_colors: bool = True,
) -> Image.Image:
    """Decode a picture nobody vouches for into a plain RGB one.

    The format is told from the content, never from the file's name. Of an animation the first frame
    counts; a camera's orientation is applied; 16-bit and float values are scaled to 8 bits; colours of a
    profile become sRGB's; transparency is laid onto `background`. More than max_pixels (width * height) are
    scaled down to that. The result carries no metadata.
    Raise ValueError for what is no picture, is damaged, or costs too much to decode: see `checks.py` for the
    bounds. That is checked before any pixel is decoded.
    """
    with _opened(path_or_bytes) as (image, name):
        target = None
        if max_pixels is None and image.width * image.height > MAX_KEPT_PIXELS:
            raise ValueError(
                f"{name} must have at most {MAX_KEPT_PIXELS:,} pixels to keep its size,"
                f" got {image.width}x{image.height} (scale it down first)"
            )
        if max_pixels is not None and image.width * image.height > max_pixels:
            target = scaled_size(*image.size, max_pixels)
            image.draft(image.mode, target)  # a JPEG is decoded at a half, a quarter or an eighth
        with _large if image.width * image.height > LARGE_PIXELS else nullcontext():
            _load(image, name, path_or_bytes)
            orientation = _orientation(image, path_or_bytes)
            rgb = to_rgb(image, name, background)
            if target:
                rgb = rgb.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)
            if convert_colors:
                rgb = to_srgb(rgb, image)
            return _upright(rgb, orientation)


def open_mask(path_or_bytes: str | Path | bytes, *, max_pixels: int | None = None) -> Image.Image:
    """Decode a mask nobody vouches for as open_image does, to mode L; what is transparent becomes black.

    So white strokes on nothing are white, and the rest is kept. A profile of colours changes nothing.
    """
    mask = open_image(path_or_bytes, max_pixels=max_pixels, background=BLACK, convert_colors=False)
    return mask.convert("L")


def open_layer(data: bytes) -> Image.Image:
    """Decode what was painted over a picture as open_image does, but to mode RGBA, transparency kept."""
    with _opened(data, "the painted layer") as (image, name):
        _load(image, name, data)
        return image.convert("RGBA")


def scaled_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Return the largest size of that shape within max_pixels; no side is below 1."""
    scale = min(1.0, sqrt(max_pixels / (width * height)))
    return max(1, int(width * scale)), max(1, int(height * scale))


def lay_over(image: Image.Image, layer: Image.Image) -> Image.Image:
    """Lay an RGBA layer over an RGB picture of its size; where it is clear the pixels stay as they are."""
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def image_grid(images: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """Lay pictures out in rows on white, each in a cell of the largest width and height, centred.

    Without `columns` the grid is as square as it gets. Raise ValueError for no pictures or no columns.
    """
    if not images:
        raise ValueError("images must hold at least one picture, got none")
    if columns is None:
        columns = ceil(sqrt(len(images)))
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    columns = min(columns, len(images))
    cell_width, cell_height = max(i.width for i in images), max(i.height for i in images)
    grid = Image.new("RGB", (columns * cell_width, ceil(len(images) / columns) * cell_height), WHITE)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left = column * cell_width + (cell_width - image.width) // 2
        top = row * cell_height + (cell_height - image.height) // 2
        grid.paste(image.convert("RGB"), (left, top))
    return grid


def enlarge(image: Image.Image, factor: int) -> Image.Image:
    """Repeat every pixel `factor` times in both directions, without blur. Raise ValueError below 1."""
    if factor < 1:
        raise ValueError(f"factor must be at least 1, got {factor}")
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


@contextmanager
def _opened(path_or_bytes: str | Path | bytes, name: str = "") -> Iterator[tuple[Image.Image, str]]:
    """Read the header, check the bounds, and yield the picture and what it is called."""
    name = name or ("the picture" if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).name)
    with _open(path_or_bytes, name) as image:
        _check_bounds(image, name)
        yield image, name


def _open(path_or_bytes: str | Path | bytes, name: str) -> Image.Image:
    """Read the header only."""
    if not isinstance(path_or_bytes, bytes) and not Path(path_or_bytes).is_file():
        raise ValueError(f"{name} does not exist or is not a file (choose a picture file)")
    try:
        size = len(path_or_bytes) if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).stat().st_size
        if size > MAX_FILE_BYTES:
            raise ValueError(_TOO_LARGE.format(name, size))
        source = BytesIO(path_or_bytes) if isinstance(path_or_bytes, bytes) else path_or_bytes
        try:
            check_file(path_or_bytes)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
        with warnings.catch_warnings():  # the bound is ours
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                return Image.open(source, formats=_formats())
            except (*_DAMAGE, Image.DecompressionBombError):
                bare = _bare_png(path_or_bytes)
                if not bare:
                    raise
                return Image.open(BytesIO(bare), formats=("PNG",))
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{name} has too many pixels, and at most {MAX_INPUT_PIXELS:,} are read (scale it down first)"
        ) from error
    except PermissionError as error:
        raise ValueError(f"{name} may not be read (check its permissions)") from error
    except _DAMAGE as error:
        if isinstance(error, ValueError) and str(error).startswith(name):
            raise
        raise ValueError(f"{name} {_why_unknown(path_or_bytes)}") from error


def _bare_png(path_or_bytes: str | Path | bytes) -> bytes:
    """Return a PNG without what only accompanies its pixels; nothing for another file.

    Pillow refuses a picture for a text or a profile of colours that is broken or long.
    """
    data = path_or_bytes if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).read_bytes()
    if not data.startswith(_PNG):
        return b""
    kept, start = [_PNG], len(_PNG)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] in _PIXEL_CHUNKS:
            kept.append(data[start:end])
        start = end
    return b"".join(kept)


_PNG, _PIXEL_CHUNKS = b"\x89PNG\r\n\x1a\n", (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_TOO_LARGE = "{} must have at most " + f"{MAX_FILE_BYTES // 10**6} MB" + ", got {:,} bytes (save it as JPEG)"


def _why_unknown(path_or_bytes: str | Path | bytes) -> str:
    """Say what is wrong with a file that no decoder knows."""
    try:
        start = path_or_bytes[:16] if isinstance(path_or_bytes, bytes) else _first_bytes(Path(path_or_bytes))
    except OSError:
        start = b"?"
    if not start:
        return "is empty, 0 bytes long (save or download it again)"
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS and "HEIF" not in _formats():
        return (
            "is a HEIC picture, which this app reads only where the library pi-heif is installed"
            " (pip install pi-heif, or save it as JPEG)"
        )
    known = "PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"
    return f"is not a picture this app can read (save it as {known} and try again)"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Return the formats that are read; HEIC is among them where a library for it is installed."""
    for library in HEIF_READERS:
        try:
            import_module(library).register_heif_opener()
        except (ImportError, OSError, AttributeError):
            continue
        return (*FORMATS, "HEIF")
    return FORMATS


def _check_bounds(image: Image.Image, name: str) -> None:
    """Refuse what would cost too much to decode or to scale, by the header alone."""
    width, height = image.size
    if width < 1 or height < 1:
        raise ValueError(f"{name} must have at least one pixel, got {width}x{height}")
    most = min(MAX_INPUT_PIXELS, MAX_DECODED_BYTES // _bytes_of_a_pixel(image))
    if width * height > most:
        called = "a progressive JPEG" if image.format in ("JPEG", "MPO") else image.format
        kind = "" if most == MAX_INPUT_PIXELS else f" as {called}"
        raise ValueError(
            f"{name} must have at most {most:,} pixels{kind}, got {width}x{height} (scale it down first)"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(
            f"{name} must be at most {MAX_ASPECT} times as long as it is wide, got {width}x{height}"
            " (cut a part out of it)"
        )


def _bytes_of_a_pixel(image: Image.Image) -> int:
    """Return what a pixel takes while the picture is decoded, of what its header says."""
    if known := _FORMAT_BYTES.get(image.format or ""):
        return known
    is_progressive = image.format in ("JPEG", "MPO") and bool(image.info.get("progressive"))
    return _BYTES.get(image.mode, 4) + is_progressive * _COEFFICIENT * len(image.getbands())


def _count_frames(image: Image.Image, path_or_bytes: str | Path | bytes) -> int:
    """Return how many frames or pages there are, at most MAX_FRAMES."""
    counted = check_file(path_or_bytes)
    return min(MAX_FRAMES, getattr(image, "n_frames", 1) if counted is None else counted)


def _load(image: Image.Image, name: str, path_or_bytes: str | Path | bytes) -> None:
    """Decode the first frame."""
    try:
        try:
            image.load()
        except (*_DAMAGE, Image.DecompressionBombError):
            if image.format != "PNG" or getattr(image, "tile", None):
                raise
            # Its pixels are decoded: they are whole if nothing is wrong without what stands behind them.
            Image.open(BytesIO(_bare_png(path_or_bytes)), formats=("PNG",)).load()
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{name} is damaged or cut off and cannot be decoded (save or download it again)"
        ) from error


def _orientation(image: Image.Image, path_or_bytes: str | Path | bytes) -> int:
    """Return how the camera was held, 1 to 8; 1 if nothing says. No pixel is decoded for it."""
    try:
        if len(image.info.get("exif", b"")) > MAX_EXIF:
            return 1
        exif = _exif_of_png(image, path_or_bytes) if image.format == "PNG" else image.getexif()
        orientation = exif.get(0x0112, 1)
    except _DAMAGE:  # unreadable EXIF is no reason to refuse the pixels
        return 1
    return orientation if orientation in _TURNS else 1


def _exif_of_png(image: Image.Image, path_or_bytes: str | Path | bytes) -> Image.Exif:
    """Return EXIF as a PNG's own method does, which decodes the picture to find what is behind its pixels."""
    if "exif" not in image.info and (found := read_png_exif(path_or_bytes, MAX_EXIF)):
        image.info["exif"] = found
    return Image.Image.getexif(image)


def _upright(rgb: Image.Image, orientation: int) -> Image.Image:
    """Turn as the camera's orientation says and leave every other piece of metadata behind."""
    plain = rgb.transpose(_TURNS[orientation]) if orientation in _TURNS else rgb.copy()
    plain.info.clear()
    return plain
