"""Refuse bad values in words: ValueErrors that name the field, the value, the rule and a way out."""

import reprlib
from pathlib import Path

from PIL import Image

MAX_SEED = 2**63 - 1
MAX_RANDOM_SEED = 2**32 - 1  # of one that is drawn: short enough to be read out and typed
MIN_SIDE, MAX_SIDE = 64, 8192  # pixels
# What a picture may have that comes in: bounded by what it costs to decode, not by what a model makes.
MAX_INPUT_PIXELS = 178_956_970  # width * height; Pillow's own bound against bombs
MAX_ASPECT = 250  # longer side by shorter: many programs scale the shorter one to a fixed size
SIDES = ("left", "top", "right", "bottom")


def check_text(name: str, value: object, limit: int) -> None:
    """Refuse what is not text a tokenizer and a picture file can hold."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {shown(value)}")
    if len(value.strip()) > limit or len(value) > 2 * limit:
        raise ValueError(f"{name} must have at most {limit:,} characters, got {len(value):,} (shorten it)")
    if "\0" in value:
        raise ValueError(f"{name} must not hold a NUL character (remove it)")
    if not is_whole(value):
        raise ValueError(f"{name} must be valid Unicode, it holds half a surrogate pair (remove it)")


def is_whole(text: str) -> bool:
    """Tell whether a text holds no half of a surrogate pair, which no file and no page can carry."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def check_name(name: str, value: object) -> None:
    """Refuse what is neither None nor a non-empty name."""
    if value is not None and (not isinstance(value, str) or not value.strip() or len(value) > 500):
        raise ValueError(f"{name} must be a name, got {shown(value)} (leave it out for the default)")


def check_int(name: str, value: object, low: int, high: int, remedy: str = "") -> None:
    """Refuse what is not an int within low..high; True is not a number."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        hint = f" ({remedy})" if remedy else ""
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {shown(value)}{hint}")


def check_float(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is not a finite number within low..high; True is not a number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # type: ignore[operator]  # NaN fails both comparisons
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {shown(value)}")


def check_seed(seed: object, num_images: int) -> None:
    """Refuse a seed whose last picture, seed + num_images - 1, would leave the range."""
    check_int("seed", seed, 0, MAX_SEED, "leave it out for a random one")
    assert isinstance(seed, int)
    if seed + num_images - 1 > MAX_SEED:
        raise ValueError(
            f"seed must be at most {MAX_SEED - num_images + 1} for {num_images} pictures, got {seed}"
        )


def check_side(name: str, value: object) -> None:
    """Refuse a side that is not a multiple of 8 pixels within the range; name its neighbours."""
    check_int(name, value, MIN_SIDE, MAX_SIDE)
    assert isinstance(value, int)
    if value % 8:
        low = value // 8 * 8
        raise ValueError(f"{name} must be a multiple of 8, got {value} (try {low} or {low + 8})")


def check_bool(name: str, value: object) -> None:
    """Refuse what is not exactly True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {shown(value)}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")


def check_margins(name: str, value: object) -> None:
    """Refuse what is not four pixel counts: left, top, right, bottom."""
    if not isinstance(value, tuple | list) or len(value) != 4:
        raise ValueError(f"{name} must be four numbers: {', '.join(SIDES)}; got {shown(value)}")
    for side, pixels in zip(SIDES, value, strict=True):
        check_int(f"{name} {side}", pixels, 0, MAX_SIDE)


def check_picture(name: str, value: object, modes: tuple[str, ...]) -> None:
    """Refuse what is neither a path nor a picture in one of Pillow's modes."""
    if isinstance(value, str | Path) and str(value):
        return
    if not isinstance(value, Image.Image):
        raise ValueError(
            f"{name} must be a picture or the path of one, got {shown(value)} (choose a picture)"
        )
    if value.mode not in modes:
        raise ValueError(
            f"{name} must have mode {' or '.join(modes)}, got {value.mode}"
            " (give its path, or open it with open_image or open_mask of sd_app.images)"
        )
    if 0 in value.size:
        raise ValueError(f"{name} must have at least one pixel, got {value.width}x{value.height}")
    if max(value.size) > MAX_ASPECT * min(value.size):
        raise ValueError(
            f"{name} must be at most {MAX_ASPECT} times as long as it is wide,"
            f" got {value.width}x{value.height} (cut a part out of it)"
        )


def check_same_size(init_image: object, mask_image: object) -> None:
    """Refuse a mask of another size than the picture; files are compared once they are open."""
    sizes = [getattr(picture, "size", None) for picture in (init_image, mask_image)]
    if None not in sizes and sizes[0] != sizes[1]:
        (width, height), (mask_width, mask_height) = sizes  # type: ignore[misc]
        raise ValueError(
            f"mask_image must have the size of the picture, {width}x{height}, got {mask_width}x{mask_height}"
            " (draw it on this picture, or scale it)"
        )


def shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return f"a number of {value.bit_length()} bits"  # repr of a huge int is slow or refused
    # Of lists and objects only the first entries, and not how deep they go.
    text = reprlib.repr(value) if isinstance(value, list | tuple | dict | set) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
