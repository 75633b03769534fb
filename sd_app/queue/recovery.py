"""What becomes of the job that ran when the app ended: which pictures are there, and what is left to make.

A picture may lie on disk that was not written down yet, so the outputs folder is asked too: nothing is made
twice. Pictures that have seeds of their own are made from where it stopped. What hangs together, a walk say,
begins anew if none of it is there, and is left as it is otherwise. A job that was cut off twice may be what
ends the app, and is not begun again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..metadata import list_outputs, parse_infotext, read_infotext
from ..requests import Img2ImgRequest, InpaintRequest, Txt2ImgRequest
from .stored import StoredJob

MAX_TRIES = 2
MOST = 2000  # pictures that can have been saved since a job was begun
APART = (Txt2ImgRequest, Img2ImgRequest, InpaintRequest)  # picture k has the seed + k


def newest(outputs_dir: Path) -> str:
    """Return the newest picture's day and number, "" if there is none."""
    latest = list_outputs(outputs_dir, 1)
    return _place(latest[0]) if latest else ""


def finished(stored: StoredJob, request: Any, outputs_dir: Path) -> tuple[Path, ...]:
    """Return the pictures of a cut-off job, those that were not written down included."""
    known = [path for path in (outputs_dir / name for name in stored.paths) if path.is_file()]
    if not isinstance(request, Txt2ImgRequest) or request.seed is None:
        return tuple(known)
    later = [path for path in list_outputs(outputs_dir, MOST) if _place(path) > stored.after]
    for path in reversed([path for path in later if path not in known]):
        seed = request.seed + (len(known) if type(request) in APART else 0)
        is_next = len(known) < request.num_pictures and path.stem.partition("-")[2] == str(seed)
        if is_next and _says(path, request):
            known.append(path)
    return tuple(known)


def left_to_make(stored: StoredJob, request: Any, paths: tuple[Path, ...]) -> Any:
    """Return the request for what is missing, None if it is not to be made."""
    if stored.tries >= MAX_TRIES:
        return None
    if not paths:
        return request
    if type(request) not in APART or len(paths) >= request.num_images:
        return None
    return replace(request, seed=request.seed + len(paths), num_images=request.num_images - len(paths))


def _place(path: Path) -> str:
    number, _, _ = path.stem.partition("-")
    return f"{path.parent.name}/{number:>09}"


def _says(path: Path, request: Txt2ImgRequest) -> bool:
    """Tell whether a picture was made of a request's prompt."""
    if type(request) not in APART:
        return True
    infotext = read_infotext(path) or ""
    if request.is_template:
        return parse_infotext(infotext).fields.get("Template", request.prompt) == request.prompt
    return request.prompt.strip() in infotext
