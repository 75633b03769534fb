"""What the browser keeps of a result beside its files: the numbers of walks, planes and drift reports."""

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict, cast

from .browser_state import MAX_KEPT
from .kept_shape import Maybe, like
from .result_values import Frames, ImageEntry, JumpValue, Plot, ResultValue

FORMAT = 1  # of the text; another one, of an older version of the app, is not read
FILES = ("film", "views")  # of frames: they are found on disk again

# What is kept, by shape. The page draws these without looking twice.
DRIFT = {"rows": [[""]], "cause": "", "seam": [[""]]}
NUMBERS = {"caption": Maybe(""), "drift": Maybe(DRIFT)}  # of a picture
PLOT = {
    "curves": [[Maybe(0.0)]],
    "parted": [Maybe(0)],
    "kinds": [""],
    "largest": Maybe(0),
    "threshold": 0.0,
    "meanings": {"": ""},
}
JUMP = {
    "pictures": [0],
    "places": [0.0],
    "width": 0.0,
    "curve": [Maybe(0.0)],
    "parted": Maybe(0),
    "kind": "",
    "meaning": "",
    "history": [[Maybe(0.0)]],
}
WALK = {"ends": [""], "ts": [0.0], "plot": Maybe(PLOT), "jump": Maybe(JUMP)}
PLANE = {"rows": [""], "columns": [""], "direction": ""}


class Kept(TypedDict):
    """What was kept, as it came back."""

    images: list[dict[str, object]]
    frames: Frames


def keep_numbers(drawn: ResultValue) -> str | None:
    """Return what the result block shows, without its files, as text; None if it is too much to keep.

    As text: Gradio would take files in it for uploads, and what it sends back is never looked into for files.
    """
    frames = drawn["frames"]
    numbers = {
        "format": FORMAT,
        "images": [{k: v for k, v in image.items() if k in NUMBERS} for image in drawn["images"]],
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
    return cast(list[ImageEntry], shown), numbers["frames"]


def _read(kept: object) -> Kept | None:
    try:
        numbers = json.loads(kept) if isinstance(kept, str) and len(kept) < MAX_KEPT else None
        match numbers:
            case {"format": int(version), "images": [*images], "frames": frames} if version == FORMAT:
                return {"images": [_numbers_of(image) for image in images], "frames": _frames_of(frames)}
    except (ValueError, RecursionError):
        pass
    return None


def _numbers_of(image: object) -> dict[str, object]:
    known = cast(Mapping[str, object], like(image, NUMBERS))
    return {name: value for name, value in known.items() if name in cast(Mapping[str, object], image)}


def _frames_of(frames: object) -> Frames:
    """Return what is kept of a walk's or a plane's frames; raise ValueError if its parts do not fit."""
    if frames is None:
        return {}
    if isinstance(frames, dict) and "rows" in frames:
        return cast(Frames, like(frames, PLANE))
    walk = cast(Frames, like(frames, WALK))
    plot, jump = walk["plot"], walk["jump"]
    if len(walk["ends"]) != 2 or (plot and not _fits(plot)) or (jump and not _joins(jump)):
        raise ValueError("the browser kept something else")
    return walk


def _fits(plot: Plot) -> bool:
    """Tell whether a plot has as much of everything as it has curves."""
    count = len(plot["curves"])
    largest = plot["largest"]
    is_there = largest is None or (isinstance(largest, int) and 0 <= largest < count)
    return len(plot["parted"]) == len(plot["kinds"]) == count and is_there


def _joins(jump: JumpValue) -> bool:
    """Tell whether a jump lies between two pictures, and its history has the columns of its table."""
    two = len(jump["pictures"]) == len(jump["places"]) == 2
    return (
        two
        and all(isinstance(index, int) for index in jump["pictures"])
        and all(len(row) == 3 and None not in row[:2] for row in jump["history"])
    )
