"""What the result block shows of a walk or a plane besides its pictures: film, sheet, where it jumps."""

from math import isfinite
from pathlib import Path

import numpy as np

from ...requests import (
    MEANINGS,
    PARTED,
    FramesResult,
    Jump,
    PlaneRequest,
    PlaneResult,
    Txt2ImgResult,
    WalkRequest,
    WalkResult,
)
from .components import NamedFile
from .files import PictureFiles
from .result_values import Frames, JumpValue, Plot, View

FILMS = (".mp4", ".webp")
# Pictures of all frames, saved beside the last one: the end of their file's name -> label and title.
COMPANIONS = {
    "sheet": ("Sheet", "All pictures in one"),
    "strip": ("Strip", "At most ten of the frames side by side"),
    "plot": ("Plot", "How far neighbouring frames are apart at every step, as it is saved"),
}


def frames_of(result: Txt2ImgResult, files: PictureFiles) -> Frames | None:
    """Return what frames.js draws of a result, None of one without frames."""
    if not result.images:
        return None
    saved = saved_frames(result.sheet_path, files) if isinstance(result, FramesResult) else Frames()
    if isinstance(result, PlaneResult):
        request = result.request
        assert isinstance(request, PlaneRequest)
        return {
            **saved,
            "rows": _row_labels(request),
            "columns": [number(factor) for factor in request.column_factors],
            "direction": request.direction,
        }
    if not isinstance(result, WalkResult):
        return None
    request = result.request
    assert isinstance(request, WalkRequest)
    return {
        **saved,
        "ends": [request.a, request.b],
        "ts": list(result.ts),
        "plot": _plot(result),
        "jump": _jump(result.jump, len(result.images)) if result.jump else None,
    }


def saved_frames(sheet: Path | None, files: PictureFiles) -> Frames:
    """Return what is saved under the number of a sheet: the film, and pictures of all frames."""
    if sheet is None:
        return {}
    stem = sheet.stem.removesuffix("-sheet")
    films = [path for ending in FILMS if (path := sheet.with_name(f"{stem}-film{ending}")).is_file()]
    film: NamedFile | None = {"file": files.file(films[0]), "name": films[0].name} if films else None
    views: list[View] = [
        {"label": label, "title": title, "file": files.file(path), "name": path.name}
        for end, (label, title) in COMPANIONS.items()
        if (path := sheet.with_name(f"{stem}-{end}.png")).is_file()
    ]
    return {"film": film, "views": views}


def caption(result: Txt2ImgResult, index: int) -> str:
    """Return where on the way or in the plane a picture is, nothing for other pictures."""
    if isinstance(result, WalkResult):
        return f"t = {result.ts[index]:.4g}"
    if isinstance(result, PlaneResult):
        request = result.request
        assert isinstance(request, PlaneRequest)
        row, column = divmod(index, result.columns)
        factor = number(request.column_factors[column])
        return f"t = {request.row_places[row]:.3g}, {factor} × {request.direction}"
    return ""


def number(value: float) -> str:
    """Write a factor with its sign: −0.43, 0, +0.215."""
    return f"{value:+.3g}".replace("-", "−") if value else "0"


def _row_labels(request: PlaneRequest) -> list[str]:
    middle = [f"{t:.2g}" for t in request.row_places[1:-1]]
    return [request.a, *middle, request.b]


def _plot(result: WalkResult) -> Plot | None:
    divergence = result.divergence
    if divergence is None:
        return None
    return {
        "curves": [curve(row) for row in divergence.distances],
        "parted": list(divergence.parted),
        "kinds": list(divergence.kinds),
        "largest": divergence.largest,
        "threshold": PARTED,
        "meanings": MEANINGS,
    }


def _jump(jump: Jump, first: int) -> JumpValue:
    """Return the jump; its two pictures stand in the gallery from `first` on."""
    return {
        "pictures": [first, first + 1],
        "places": [jump.t_left, jump.t_right],
        "width": jump.width,
        "curve": curve(jump.distances),
        "parted": jump.parted,
        "kind": jump.kind,
        "meaning": jump.meaning,
        "history": [[left, right, _plain(distance)] for left, right, distance in jump.history],
    }


def curve(distances: np.ndarray) -> list[float | None]:
    """Return distances, (steps,), as JSON can hold them: None at steps that one of two strengths lacks."""
    return [_plain(value) for value in distances.tolist()]


def _plain(value: float) -> float | None:
    """Return what JSON can hold: no NaN."""
    return float(f"{value:.6g}") if isfinite(value) else None
