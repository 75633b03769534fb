"""The colours of a decoded picture, whatever they are, as plain RGB of 8 bits. Pure PIL and NumPy."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

WHITE = (255, 255, 255)
BAND_PIXELS = 4_000_000  # converted at once, so that a large picture needs little beside itself


def to_rgb(image: Image.Image, name: str, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """Convert any mode Pillow knows to RGB; what is transparent shows the background."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode == "CMYK" and (converted := _convert(image, image, "CMYK")):
        return converted
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_to_rgb(image, background)
    result = Image.new("RGB", image.size)
    is_clear = image.has_transparency_data
    try:
        for band in _bands(image):
            part = image.crop(band)
            if is_clear:
                layer = part.convert("RGBA")
                behind = Image.new("RGBA", layer.size, (*background, 255))
                part = Image.alpha_composite(behind, layer)
            result.paste(part.convert("RGB"), band[:2])
    except ValueError as error:
        raise ValueError(
            f"{name} has colours of a kind this app cannot read, {image.mode} (save it as RGB)"
        ) from error
    return result


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of whole rows that cover a picture."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _deep_to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Scale grey values of more than 8 bits: (H, W) integers or floats to 0..255.

    16-bit values count from 0 to 65535, floats within 0..1 from 0 to 1; other 32-bit values are stretched
    from their least to their greatest, since nothing in the file tells their range.
    """
    transparent = image.info.get("transparency")
    low, high = 0.0, 1.0 if image.mode == "F" else 65535.0
    ends = [(part.min(), part.max()) for part in (_deep_values(image.crop(band)) for band in _bands(image))]
    least, most = min(float(end[0]) for end in ends), max(float(end[1]) for end in ends)
    if least < low or most > high:
        low, high = least, most
    result = Image.new("RGB", image.size)
    for band in _bands(image):
        values = _deep_values(image.crop(band))
        scaled = (values - low) * (255 / ((high - low) or 1))
        if isinstance(transparent, int):
            scaled[values == transparent] = background[0]
        result.paste(Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB"), band[:2])
    return result


def _deep_values(image: Image.Image) -> NDArray[np.float64]:
    """Return (H, W) values; what is no number counts as 0, or 1 if it is without end."""
    return np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=1.0, neginf=0.0)


def to_srgb(rgb: Image.Image, image: Image.Image) -> Image.Image:
    """Bring the colours of a file's own profile, a phone's Display P3 say, to sRGB, which all is taken for.

    A profile that cannot be read, is sRGB already or is for other colours than the picture's changes nothing.
    """
    if image.mode not in ("RGB", "RGBA", "RGBX", "P"):
        return rgb
    return _convert(rgb, image, "RGB") or rgb


def _convert(pixels: Image.Image, image: Image.Image, space: str) -> Image.Image | None:
    """Return pixels in sRGB by the profile of an image, None where it has none for these colours."""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return None
    try:
        profile = ImageCms.getOpenProfile(BytesIO(data))
        is_srgb = "srgb" in ImageCms.getProfileDescription(profile).lower()
        if profile.profile.xcolor_space.strip() != space or is_srgb:
            return None
        return ImageCms.profileToProfile(pixels, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None
