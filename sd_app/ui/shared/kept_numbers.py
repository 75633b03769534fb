"""What the browser keeps of a result beside its files: the numbers of walks, planes and drift reports."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .browser_state import MAX_KEPT

FORMAT = 1  # of the text; another one, of an older version of the app, is not read
WORDS = ("caption", "drift")  # of a picture
MAX_DEPTH = 20
FILES = ("film", "views")  # of frames: they are found on disk again


def keep_numbers(drawn: Mapping[str, Any]) -> str | None:
    """Return what the result block shows, without its files, as text; None if it is too much to keep.

    As text: Gradio would take files in it for uploads, and what it sends back is never looked into for files.
    """
    frames = drawn["frames"]
    words = {
        "format": FORMAT,
        "images": [_words_of(image) for image in drawn["images"]],
        "frames": frames and {name: value for name, value in frames.items() if name not in FILES},
    }
    text = json.dumps(words)
    return text if len(text) < MAX_KEPT else None


def add_numbers(
    images: Sequence[Mapping[str, Any]], kept: object
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a gallery with the words kept of it, and what is kept of its frames. None of it is trusted.

    If a picture has gone, nothing kept fits the others any more.
    """
    words = _read(kept)
    if words is None or len(words["images"]) != len(images):
        return [dict(image) for image in images], {}
    shown = [{**image, **known} for image, known in zip(images, words["images"], strict=True)]
    return shown, words["frames"] or {}


def _read(kept: object) -> dict[str, Any] | None:
    try:
        words = json.loads(kept) if isinstance(kept, str) and len(kept) < MAX_KEPT else None
    except (ValueError, RecursionError):
        return None
    match words:
        case {"format": int(version), "images": [*images], "frames": dict() | None as frames}:
            known = [_words_of(image) for image in images if isinstance(image, dict)]
            return {"images": known, "frames": frames} if version == FORMAT and _is_plain(words) else None
    return None


def _words_of(image: Mapping[str, Any]) -> dict[str, Any]:
    return {name: image[name] for name in WORDS if name in image}


def _is_plain(value: object, depth: int = 0) -> bool:
    """Tell whether a value holds nothing that Gradio would take for a file."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return "path" not in value and "url" not in value and _is_plain(list(value.values()), depth + 1)
    return not isinstance(value, list) or all(_is_plain(part, depth + 1) for part in value)
