"""One picture in several views: moved a little, which no word minds, and with its tiles shuffled."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

SHIFT = 1 / 32  # of the shorter side
TILES = 16  # a side
SHUFFLES = 8
MAX_SIDE = 512  # of the shorter side of a view: more than CLIPs look at


def shifted(image: Image.Image) -> Iterator[Image.Image]:
    """Yield an RGB picture moved to each side, its edge repeated; nothing for one of a few pixels."""
    pixels = np.asarray(_reduced(image))
    distance = round(SHIFT * min(pixels.shape[:2]))
    if not distance:
        return
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((distance, distance), (distance, distance), (0, 0)), mode="edge")
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        top, left = down * distance, right * distance
        yield Image.fromarray(padded[top : top + height, left : left + width])


def shuffled(image: Image.Image) -> Iterator[Image.Image]:
    """Yield an RGB picture with its TILES x TILES tiles in random orders, the same ones each time.

    A picture with fewer pixels a side yields nothing.
    """
    pixels = np.asarray(_reduced(image))
    high, wide = (length // TILES for length in pixels.shape[:2])
    if not high or not wide:
        return
    tiles = pixels[: high * TILES, : wide * TILES].reshape(TILES, high, TILES, wide, 3)
    tiles = tiles.swapaxes(1, 2).reshape(TILES * TILES, high, wide, 3)
    for seed in range(SHUFFLES):
        order = np.random.default_rng(seed).permutation(len(tiles))
        rows = tiles[order].reshape(TILES, TILES, high, wide, 3).swapaxes(1, 2)
        yield Image.fromarray(rows.reshape(TILES * high, TILES * wide, 3))


def _reduced(image: Image.Image) -> Image.Image:
    factor = min(image.size) // MAX_SIDE
    return image.reduce(factor) if factor > 1 else image
