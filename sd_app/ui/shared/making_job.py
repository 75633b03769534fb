"""One press on Generate: the form's request as a job, and what the result block shows of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import gradio as gr

from ...requests import Step, Txt2ImgRequest, Txt2ImgResult
from . import result as drawing
from . import views
from .files import PictureFiles
from .job_events import JobView
from .job_queue import Run, Waiting
from .result_values import ImageEntry, KeptResult, ResultValue

Shown = tuple[ResultValue, KeptResult | None]  # the block's value, and at last what the browser keeps
MakeRun = Callable[[Txt2ImgRequest], Run[Txt2ImgResult]]


@dataclass(kw_only=True)
class MakingJob(JobView[Shown, Txt2ImgResult]):
    """A job that makes pictures; those that are finished stand in the gallery while it runs."""

    read: Callable[[], Txt2ImgRequest]
    make_run: MakeRun
    show_result: Callable[[Txt2ImgResult], Shown]
    files: PictureFiles
    images: list[ImageEntry] = field(default_factory=list)
    preview: str | None = None
    preview_note: str = ""
    request: Txt2ImgRequest | None = None

    @property
    def unchanged(self) -> Shown:
        return gr.skip(), None

    def start(self) -> Run[Txt2ImgResult]:
        self.request = self.read()
        return self.make_run(self.request)

    def waiting(self, event: Waiting) -> Shown:
        return drawing.waiting(event), None

    def step(self, step: Step) -> Shown:
        assert self.request
        if step.preview:
            self.preview, self.preview_note = drawing.preview_url(step.preview), drawing.preview_note(step)
        self.images += [views.read_entry(path, self.files) for path in step.paths[len(self.images) :]]
        shown = drawing.running(step, self.request, self.images, self.preview, self.preview_note)
        return shown, None

    def finished(self, result: Txt2ImgResult) -> Shown:
        return self.show_result(result)

    def stopped(self) -> Shown:
        return {**drawing.EMPTY, "text": "Stopped before it began"}, None

    def failed(self, message: str) -> Shown:
        return {**drawing.EMPTY, "phase": "error", "text": message, "images": self.images}, None
