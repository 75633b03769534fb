"""What the browser keeps of a result beside its files: the numbers of walks, planes and drift reports."""

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict, cast

from .browser_state import MAX_KEPT
from .result_values import Frames, ImageEntry, ResultValue

FORMAT = 1  # of the text; another one, of an older version of the app, is not read
NUMBERS = ("caption", "drift")  # of a picture
MAX_DEPTH = 20
FILES = ("film", "views")  # of frames: they are found on disk again


class Kept(TypedDict):
    """What was kept, as it came back: plain data, otherwise unchecked."""

    images: list[dict[str, object]]
    frames: dict[str, object] | None


def keep_numbers(drawn: ResultValue) -> str | None:
    """Return what the result block shows, without its files, as text; None if it is too much to keep.

    As text: Gradio would take files in it for uploads, and what it sends back is never looked into for files.
    """
    frames = drawn["frames"]
    numbers = {
        "format": FORMAT,
        "images": [_numbers_of(image) for image in drawn["images"]],
        "frames": frames and {name: value for name, value in frames.items() if name not in FILES},
    }
    text = json.dumps(numbers)
    return text if len(text) < MAX_KEPT else None


def add_numbers(images: Sequence[ImageEntry], kept: object) -> tuple[list[ImageEntry], Frames]:
    """Return a gallery with the numbers kept of it, and what is kept of its frames. None of it is trusted.

    If a picture has gone, nothing kept fits the others any more.
    """
    numbers = _read(kept)
    if numbers is None or len(numbers["images"]) != len(images):
        return list(images), {}
    shown = [{**image, **known} for image, known in zip(images, numbers["images"], strict=True)]
    # What of it is nonsense the page draws as nonsense; that it names no files is what matters.
    return cast(list[ImageEntry], shown), cast(Frames, numbers["frames"] or {})


def _read(kept: object) -> Kept | None:
    try:
        numbers = json.loads(kept) if isinstance(kept, str) and len(kept) < MAX_KEPT else None
    except (ValueError, RecursionError):
        return None
    match numbers:
        case {"format": int(version), "images": [*images], "frames": dict() | None as frames}:
            known = [_numbers_of(image) for image in images if isinstance(image, dict)]
            return {"images": known, "frames": frames} if version == FORMAT and _is_plain(numbers) else None
    return None


def _numbers_of(image: Mapping[str, object]) -> dict[str, object]:
    return {name: image[name] for name in NUMBERS if name in image}


def _is_plain(value: object, depth: int = 0) -> bool:
    """Tell whether a value holds nothing that Gradio would take for a file."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return "path" not in value and "url" not in value and _is_plain(list(value.values()), depth + 1)
    return not isinstance(value, list) or all(_is_plain(part, depth + 1) for part in value)
