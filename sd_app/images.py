"""Pictures in and out of the app: one safe decoder, a grid, an exact enlargement. Pure PIL and NumPy."""

import struct
from collections.abc import Sequence
from io import BytesIO
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
WHITE, BLACK = (255, 255, 255), (0, 0, 0)

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
    OverflowError,
    struct.error,
)


def open_image(
    path_or_bytes: str | Path | bytes, *, max_pixels: int, background: tuple[int, int, int] = WHITE
) -> Image.Image:
    """Decode a picture nobody vouches for into a plain RGB one.

    The format is told from the content, never from the file's name. Of an animation the first frame
    counts; a camera's orientation is applied; 16-bit and float values are scaled to 8 bits; transparency
    is laid onto `background`. The result carries no metadata.
    Raise ValueError for what is no picture, is damaged or has more than max_pixels (width * height);
    the last is checked before any pixel is decoded.
    """
    name = "the picture" if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).name
    with _open(path_or_bytes, name) as image:
        _check_pixels(image, name, max_pixels)
        _load(image, name)
        return _upright(_to_rgb(image, name, background), image)


def open_mask(path_or_bytes: str | Path | bytes, *, max_pixels: int) -> Image.Image:
    """Decode a mask nobody vouches for as open_image does, to mode L; what is transparent becomes black.

    So white strokes on nothing are white, and the rest is kept.
    """
    return open_image(path_or_bytes, max_pixels=max_pixels, background=BLACK).convert("L")


def open_layer(data: bytes, *, max_pixels: int) -> Image.Image:
    """Decode what was painted over a picture as open_image does, but to mode RGBA, transparency kept."""
    name = "the painted layer"
    with _open(data, name) as image:
        _check_pixels(image, name, max_pixels)
        _load(image, name)
        return image.convert("RGBA")


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


def _open(path_or_bytes: str | Path | bytes, name: str) -> Image.Image:
    """Read the header only."""
    if not isinstance(path_or_bytes, bytes) and not Path(path_or_bytes).is_file():
        raise ValueError(f"{name} does not exist or is not a file (choose a picture file)")
    source = BytesIO(path_or_bytes) if isinstance(path_or_bytes, bytes) else path_or_bytes
    try:
        return Image.open(source, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{name} has far too many pixels (scale it down first)") from error
    except PermissionError as error:
        raise ValueError(f"{name} may not be read (check its permissions)") from error
    except _DAMAGE as error:
        raise ValueError(
            f"{name} is not a picture this app can read"
            " (save it as PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF and try again)"
        ) from error


def _check_pixels(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ValueError(
            f"{name} must have at most {max_pixels:,} pixels, got {width}x{height} (scale it down first)"
        )
    if width < 1 or height < 1:
        raise ValueError(f"{name} must have at least one pixel, got {width}x{height}")


def _load(image: Image.Image, name: str) -> None:
    """Decode the first frame."""
    try:
        image.load()
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{name} is damaged or cut off and cannot be decoded (save or download it again)"
        ) from error


def _to_rgb(image: Image.Image, name: str, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """Convert any mode Pillow knows to RGB; what is transparent shows the background."""
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_to_rgb(image, background)
    try:
        if not image.has_transparency_data:
            return image.convert("RGB")
        layer = image.convert("RGBA")
    except ValueError as error:
        raise ValueError(
            f"{name} has colours of a kind this app cannot read, {image.mode} (save it as RGB)"
        ) from error
    behind = Image.new("RGBA", layer.size, (*background, 255))
    return Image.alpha_composite(behind, layer).convert("RGB")


def _deep_to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Scale grey values of more than 8 bits: (H, W) integers or floats to 0..255.

    16-bit values count from 0 to 65535, floats within 0..1 from 0 to 1; other 32-bit values are stretched
    from their least to their greatest, since nothing in the file tells their range.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    transparent = image.info.get("transparency")
    low, high = 0.0, 1.0 if image.mode == "F" else 65535.0
    if values.min() < low or values.max() > high:
        low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / ((high - low) or 1))
    if isinstance(transparent, int):
        scaled[values == transparent] = background[0]
    return Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB")


def _upright(rgb: Image.Image, image: Image.Image) -> Image.Image:
    """Turn as the camera's orientation says and leave every other piece of metadata behind."""
    plain = Image.new("RGB", rgb.size)
    plain.paste(rgb)
    try:
        orientation = image.getexif().get(0x0112, 1)
    except _DAMAGE:  # unreadable EXIF is no reason to refuse the pixels
        orientation = 1
    return plain.transpose(_TURNS[orientation]) if orientation in _TURNS else plain
