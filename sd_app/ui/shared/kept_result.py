"""What the browser keeps of a finished result, and the result as a reloaded page shows it."""

from pathlib import Path

from ...queue import Job
from ...requests import FramesResult, Txt2ImgResult
from . import frames, views
from .files import PictureFiles
from .kept_numbers import add_numbers, keep_numbers
from .result import EMPTY
from .result_values import KeptResult, ResultValue

MAX_TEXT = 2000  # characters of a text that the browser kept


def keep_result(result: Txt2ImgResult, drawn: ResultValue, files: PictureFiles, job: Job) -> KeptResult:
    """Return what the browser shall keep of a job's result that is drawn."""
    sheet = result.sheet_path if isinstance(result, FramesResult) else None
    paths = (*job.earlier, *result.paths, *views.jump_paths(result))
    kept = keep_pictures_of(paths, drawn, files, job)
    return {
        **kept,
        "sheet": files.note((sheet,) if sheet else ()),
        "numbers": keep_numbers(drawn),
        "start": views.keep_start(drawn["start"]),
    }


def keep_pictures_of(
    paths: tuple[Path, ...], drawn: ResultValue, files: PictureFiles, job: Job
) -> KeptResult:
    """Return what the browser shall keep of pictures of which nothing else is known."""
    return {
        "pictures": files.note(paths),
        "sheet": [],
        "text": drawn["text"],
        "notice": drawn["notice"],
        "numbers": None,
        "job": job.id,
        "views": views.keep_views(drawn["images"]),
        "start": [],
    }


def read_result(saved: object, files: PictureFiles, note: str) -> ResultValue | None:
    """Return a result with its views as the browser kept it; None if its pictures are gone.

    None of it is trusted. `note` is the line below the picture.
    """
    kept = saved if isinstance(saved, dict) else {}
    images = [views.read_entry(path, files) for path in files.restore(kept.get("pictures"))]
    if not images:
        return None
    images, numbers = add_numbers(images, kept.get("numbers"))
    sheets = files.restore(kept.get("sheet"))
    film = frames.saved_frames(sheets[0], files) if sheets else {}
    return {
        **EMPTY,
        "phase": "done",
        "text": _text(kept.get("text")),
        "notice": _text(kept.get("notice")),
        "images": views.add_views(images, kept.get("views"), files),
        "start": views.read_start(kept.get("start"), files),
        "frames": {**numbers, **film} if numbers or film else None,
        "note": note,
    }


def _text(kept: object) -> str:
    return kept[:MAX_TEXT] if isinstance(kept, str) else ""
