"""Maps and pictures on one sheet, each with what it is below it."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from textwrap import wrap

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Floats = NDArray[np.float32]

TILE = 160  # pixels of a tile's longer side, at least
COLUMNS = 6
_GAP, _LINE, _FONT = 8, 15, 12
_LINES = 3  # of a label

# Colours that are told apart, also side by side and in grey (Okabe & Ito 2008), then lighter and darker ones.
COLORS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0)),
    *((204, 121, 167), (120, 120, 120), (160, 82, 45), (148, 103, 189), (127, 201, 127), (23, 190, 207)),
)


def heat(values: Floats, limit: float, size: tuple[int, int]) -> Image.Image:
    """Draw (h, w) numbers of 0 and more as cells, black for 0 to bright for `limit`; NaN is grey."""
    share = np.clip(np.nan_to_num(values) / limit, 0, 1) if limit > 0 else np.zeros_like(values)
    pixels = cv2.cvtColor(
        cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    pixels[np.isnan(values)] = 128
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def owned(owners: NDArray[np.intp], strength: Floats, size: tuple[int, int]) -> Image.Image:
    """Draw who owns each place, (h, w) numbers of words, in the word's colour; white where it is weak."""
    colors = np.array([color_of(int(word)) for word in range(int(owners.max(initial=0)) + 1)], np.float32)
    opacity = strength[..., None]
    pixels = colors[owners] * opacity + 255 * (1 - opacity)
    return Image.fromarray(np.rint(pixels).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def color_of(word: int) -> tuple[int, int, int]:
    """Return a word's colour by its number; beyond a dozen they come again, darker."""
    red, green, blue = COLORS[word % len(COLORS)]
    darker = 0.6 ** (word // len(COLORS))
    return round(red * darker), round(green * darker), round(blue * darker)


def tile_size(picture: Image.Image) -> tuple[int, int]:
    """Return the size in which a picture is shown on a sheet: small ones a whole number of times as large."""
    longest = max(picture.size)
    if longest >= TILE:
        return round(picture.width * TILE * 1.6 / longest), round(picture.height * TILE * 1.6 / longest)
    factor = -(-TILE // longest)
    return picture.width * factor, picture.height * factor


def shown(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a picture at a sheet's size; enlarged without blur."""
    larger = size[0] >= picture.width
    return picture.convert("RGB").resize(
        size, Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
    )


def sheet(
    tiles: Sequence[tuple[str, Image.Image]], *, title: str = "", columns: int = COLUMNS
) -> Image.Image:
    """Put labelled pictures of one size in rows, under a title."""
    width, height = tiles[0][1].size
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    full = columns * (width + _GAP) + _GAP
    letters = max(20, full // 7)
    heading = wrap(title, letters)
    top = _GAP + len(heading) * (_LINE + 2)
    tall = height + _LINES * _LINE + _GAP
    page = Image.new("RGB", (full, top + rows * tall), "white")
    draw = ImageDraw.Draw(page)
    draw.multiline_text((_GAP, _GAP // 2), "\n".join(heading), fill="black", font=font())
    for number, (label, picture) in enumerate(tiles):
        left = _GAP + number % columns * (width + _GAP)
        upper = top + number // columns * tall
        page.paste(picture, (left, upper))
        lines = wrap(label, max(8, width // 7))[:_LINES]
        draw.multiline_text((left, upper + height + 1), "\n".join(lines), fill="black", font=font())
    return page


def legend(rows: Sequence[tuple[tuple[int, int, int], str]], size: tuple[int, int]) -> Image.Image:
    """List colours and what they mean."""
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for number, (color, text) in enumerate(rows):
        upper = number * _LINE
        draw.rectangle((0, upper + 2, 11, upper + 13), fill=color)
        draw.text((16, upper), text[: size[0] // 7], fill="black", font=font())
    return page


@lru_cache(maxsize=1)
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a small font with the letters of many languages: the one that comes with matplotlib."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), _FONT)
