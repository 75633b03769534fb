"""A job that makes pictures, as the result block shows it."""

from dataclasses import dataclass, field
from typing import cast

from ...queue import JobNow
from ...requests import BlendRequest, PlaneRequest, Txt2ImgRequest, WalkRequest
from . import result as drawing
from . import views
from .files import PictureFiles
from .job_events import JobView
from .result_values import ImageEntry, KeptResult, ResultValue

Shown = tuple[ResultValue, KeptResult | None]  # the block's value, and at last what the browser keeps
MAX_TITLE = 80  # characters


def title_of(request: Txt2ImgRequest) -> str:
    """Return what the line calls a request: its words, on one line."""
    text = request.prompt
    if isinstance(request, WalkRequest):
        text = f"{request.a} to {request.b}"
    elif isinstance(request, PlaneRequest):
        text = f"{request.a} to {request.b}, along {request.direction}"
    elif isinstance(request, BlendRequest):
        text = request.expression
    words = " ".join(text.split())
    return words if len(words) <= MAX_TITLE else f"{words[: MAX_TITLE - 1]}…"


def summary_of(shown: Shown) -> str:
    """Return what the line says of a result."""
    return shown[0]["text"]


def running_text(now: JobNow, text: str) -> str:
    """Return what a running job says of itself; `text` if it is neither stopping nor paused."""
    if now.stopping:
        return "Stopping…"
    if not now.paused:
        return text
    return "Paused (Resume is under Jobs)" if now.rests else f"{text}, then a pause"


@dataclass(kw_only=True)
class MakingJob(JobView[Shown]):
    """Pictures that are finished stand in the gallery while the job runs."""

    files: PictureFiles
    images: list[ImageEntry] = field(default_factory=list)
    preview: str | None = None
    preview_note: str = ""

    def waiting(self, now: JobNow) -> Shown:
        return {**drawing.waiting(now), "images": self._finished_images(now)}, None

    def running(self, now: JobNow) -> Shown:
        if now.step is None:
            return {**drawing.begun(), "images": self._finished_images(now)}, None
        if now.step.preview:
            self.preview = drawing.preview_url(now.step.preview)
            self.preview_note = drawing.preview_note(now.step)
        images = self._finished_images(now)
        drawn = drawing.running(now.step, now.request, images, self.preview, self.preview_note)
        return {**drawn, "text": running_text(now, drawn["text"])}, None

    def finished(self, now: JobNow) -> Shown:
        return cast(Shown, now.outcome)

    def stopped(self, now: JobNow) -> Shown:
        return {**drawing.EMPTY, "text": "Stopped before it began"}, None

    def failed(self, message: str, now: JobNow | None) -> Shown:
        images = self._finished_images(now) if now else []
        return {**drawing.EMPTY, "phase": "error", "text": message, "images": images}, None

    def _finished_images(self, now: JobNow) -> list[ImageEntry]:
        """Return the entries of the pictures that are finished; each file is read once."""
        self.images += [views.read_entry(path, self.files) for path in now.paths[len(self.images) :]]
        return list(self.images)
