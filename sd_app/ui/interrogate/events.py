"""What the tab "Interrogate" does: searches, switches phrases, draws, and keeps what it holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr

from ...checkpoints.model_info import ModelInfo
from ...images import open_image
from ...queue import Job, JobQueue, Kind, work_of
from ...requests import InterrogateRequest, InterrogateResult, Score
from ..shared.browser_state import QUIET, RUN, TELLING, browser_state, keep_form, keep_pictures, read_pictures
from ..shared.canvas import Canvas, CanvasValue, upload_of
from ..shared.components import NamedFile, Notice, Updates, Values
from ..shared.controls import NO_NOTICE
from ..shared.errors import attempt, error_sentence
from ..shared.files import PictureFiles
from ..shared.job_events import Asked, job_events
from ..shared.scripts import function_of
from ..shared.studio_protocol import OnStep, PageStudio
from ..shared.tab_jobs import TabJobs
from ..shared.toasts import refusal
from ..shared.visitors import owner_of, page_of
from . import words
from .check_drawing import Checked, check_request
from .check_drawing import check as check_drawing
from .search_form import SearchForm
from .search_jobs import (
    CHECK,
    SEARCH,
    SWITCH,
    CheckAsked,
    CheckJob,
    SearchJob,
    Shown,
    SwitchAsked,
    SwitchJob,
    keep_checked,
    read_asked,
    show,
    summary_of,
)
from .search_results import SearchResults

NAME = "interrogate"


@dataclass(frozen=True, kw_only=True)
class SearchEvents:
    """The view "Find words", assembled."""

    studio: PageStudio
    queue: JobQueue
    files: PictureFiles
    results: SearchResults
    picker: gr.Dropdown  # the header's model picker: what "check by drawing" draws with
    search_form: SearchForm
    notice: gr.HTML  # what was put here from elsewhere
    canvas: Canvas
    go: gr.Button
    stop: gr.Button
    words: gr.HTML

    def wire(self, demo: gr.Blocks, line: gr.HTML) -> None:
        """Connect all events. Not inside gr.Tabs, which counts what the browser keeps as tabs.

        `line` is the line of jobs, which asks for one to be shown.
        """
        saved_words = browser_state(NAME, "results")
        self._wire_jobs(line, saved_words)
        self.search_form.wire()
        self._wire_canvas()
        self._wire_browser_state(demo, saved_words)

    # -- jobs

    def register_kinds(self) -> None:
        """Tell the queue how the view's jobs are run, and what is kept of their results."""
        studio = self.studio

        def keep_search(result: InterrogateResult, job: Job) -> Shown:
            return show(self.results.add(result, job.details["picture"], job.id))

        def again(request: InterrogateRequest, details: Mapping[str, Any]) -> Mapping[str, Any]:
            name = str(details["picture"]["name"])
            return {"picture": {"file": self.files.file(Path(str(request.image))), "name": name}}

        def switch(asked: SwitchAsked, on_step: OnStep) -> Score:
            return studio.score_phrases(asked.result, asked.on)

        def check(asked: CheckAsked, on_step: OnStep) -> Checked:
            draw, compare = studio.txt2img, studio.compare_pictures
            return check_drawing(draw, compare, asked.drawing, asked.image, asked.clip_model, on_step)

        def keep_check(checked: Checked, job: Job) -> str:
            return keep_checked(checked, job.details["token"], self.results, self.files)

        register = self.queue.register
        register(
            Kind(
                name=SEARCH,
                make=studio.interrogate,
                keep=keep_search,
                summary=summary_of,
                tab=NAME,
                request_type=InterrogateRequest,
                again=again,
            )
        )
        register(Kind(name=SWITCH, make=switch, tab=NAME, passing=True))
        register(Kind(name=CHECK, make=check, keep=keep_check, summary=str, tab=NAME))

    @cached_property
    def jobs(self) -> TabJobs[Shown]:
        """Return the view's jobs as its page shows them."""

        def view_of(job: Job | None) -> SearchJob | CheckJob:
            if job is not None and job.kind.name == CHECK:
                return CheckJob(token=job.details["token"], results=self.results)
            return SearchJob()

        return TabJobs(tab=NAME, queue=self.queue, mode=self.studio.settings.mode, view_of=view_of)

    def _wire_jobs(self, line: gr.HTML, saved_words: gr.BrowserState) -> None:
        outputs = [self.words, saved_words]
        self.register_kinds()

        def search(values: Values, browser: gr.Request) -> Iterator[Shown]:
            yield from self.jobs.ask(lambda: self.ask(values), browser)

        def toggle(value: object, browser: gr.Request) -> Iterator[Shown]:
            yield from self.toggle(value, owner_of(browser))

        def check(value: object, model: object, browser: gr.Request) -> Iterator[Shown]:
            yield from self.check(value, model, owner_of(browser), page_of(browser))

        def show(browser: gr.Request, event: gr.EventData) -> Iterator[Shown]:
            yield from self.jobs.show(browser, event)

        def stop(browser: gr.Request) -> None:
            self.queue.stop(owner_of(browser), tab=NAME)

        inputs = {*self.search_form.fields.values(), self.canvas.view}
        self.go.click(search, inputs=inputs, outputs=outputs, trigger_mode="multiple", **RUN)
        # Of several quick presses on phrases the last one counts.
        self.words.toggle(toggle, inputs=self.words, outputs=outputs, trigger_mode="always_last", **RUN)
        self.words.check(check, inputs=[self.words, self.picker], outputs=outputs, **RUN)
        line.show_interrogate(show, outputs=outputs, trigger_mode="multiple", **RUN)
        self.stop.click(stop, **QUIET)

    def ask(self, values: Values) -> Asked:
        """Read form and canvas as a search; raise ValueError for what cannot be run."""
        canvas_value = values[self.canvas.view]
        request = self.search_form.read(values, self.canvas.pictures(canvas_value)["image"])
        picture = self._entry(canvas_value)
        return Asked(kind=SEARCH, request=request, title=picture["name"], details={"picture": picture})

    def _entry(self, canvas_value: object) -> NamedFile:
        """Return name and file of the canvas's picture, and nothing else that the browser may have sent."""
        match canvas_value:
            case {"picture": {"file": {"path": path}, "name": str(name)}}:
                return {"file": self.files.file(self.files.uploaded(path)), "name": name}
        raise ValueError("image is missing (open, paste or drop one)")

    def toggle(self, value: object, owner: str) -> Iterator[Shown]:
        """Work out the prompt's cosine with the phrases that shall be on."""
        view = SwitchJob(asked=read_asked(value), results=self.results)
        return job_events(self.queue, owner, view.ask, view, self.studio.settings.mode)

    def check(self, value: object, model: object, owner: str, page: str = "") -> Iterator[Shown]:
        """Draw the prompt that is shown and compare the pictures with the person's own."""
        token = read_asked(value).token

        def ask() -> Asked:
            found = self.results.get(token)
            known = self._model(model)
            settings = self.studio.settings
            drawing = check_request(found.score.as_prompt, known, settings.max_images)
            path = self.files.uploaded(found.picture["file"]["path"])
            image = open_image(path, max_pixels=settings.max_pixels)
            asked = CheckAsked(drawing=drawing, image=image, clip_model=found.result.clip_model)
            return Asked(
                kind=CHECK,
                request=asked,
                title=drawing.prompt[:80],
                details={"token": token},
                work=work_of(drawing, known),
            )

        view = CheckJob(token=token, results=self.results)
        return self.jobs.events(ask, owner, page, view=view)

    def _model(self, name: object) -> ModelInfo:
        for model in self.studio.models():
            if model.name == name:
                return model
        raise ValueError("model is not here any more (choose another one above)")

    def _message(self, error: Exception) -> str:
        return error_sentence(error, self.studio.settings.mode)

    # -- pictures

    def _wire_canvas(self) -> None:
        view = self.canvas.view
        view.picked(self.take_picture, inputs=view, outputs=view, preprocess=False, **QUIET)
        self.notice.undo(
            fn=None, js=function_of("shared/controls.js", "same", NO_NOTICE), outputs=self.notice, **QUIET
        )

    def take_picture(self, value: object, event: gr.EventData) -> CanvasValue:
        """Put an uploaded picture on the canvas."""

        def failed(error: Exception) -> CanvasValue:
            return {**self.canvas.restore(value), "text": self._message(error)}

        return attempt(lambda: self.canvas.take(*upload_of(event)), failed)

    def wire_sender(self, result: gr.HTML) -> None:
        """Let a making tab's result block send the picture it shows here."""
        sent = result.send_interrogate(
            self.receive,
            js=function_of("shared/send_to.js", "sentImage"),
            inputs=result,
            outputs=[self.canvas.view, self.notice],
            preprocess=False,
            **TELLING,
        )
        opening = ("tab-interrogate-button", "view-words-button")
        sent.success(fn=None, js=function_of("shared/send_to.js", "openTabs", *opening), **QUIET)

    def receive(self, entry: object) -> tuple[CanvasValue, Notice]:
        """Take over a picture that another tab made."""
        match entry:
            case {"file": {"path": path}, "name": str(name)}:
                pass
            case _:
                raise refusal("There is no picture to send yet.")

        def end(error: Exception) -> NoReturn:
            raise refusal(self._message(error)) from error

        value = attempt(lambda: self.canvas.take(path, name), end)
        told = f"{name} is on the canvas. Undo there brings back what it held."
        return value, {"text": told, "before": None}

    # -- what the browser keeps

    def _wire_browser_state(self, demo: gr.Blocks, saved_words: gr.BrowserState) -> None:
        saved_form, saved_canvas = browser_state(NAME, "form"), browser_state(NAME, "canvas")
        form = self.search_form.fields
        keep_form(form, saved_form)
        keep_pictures(self.canvas.view, saved_canvas)

        def find(kept: object, browser: gr.Request) -> Iterator[Shown]:
            yield gr.skip(), gr.skip()  # a generator that yields nothing would empty its outputs
            token = kept.get("token") if isinstance(kept, dict) else None
            yield from self.jobs.find(browser, kept=token)

        restored = demo.load(
            self.restore,
            inputs=[saved_form, saved_words, saved_canvas],
            outputs=[*form.values(), self.words, self.canvas.view],
            **QUIET,
        )
        # After that, so that a job that runs stands over what the browser kept.
        restored.then(find, inputs=saved_words, outputs=[self.words, saved_words], **RUN)

    def restore(self, saved_form: object, saved_words: object, saved_canvas: object) -> Updates:
        """Return the updates that bring back what the browser kept. None of it is trusted."""
        updates: Updates = {
            self.words: gr.skip(),
            self.canvas.view: self.canvas.restore(read_pictures(saved_canvas)),
        }
        updates |= self.search_form.restore(saved_form)
        kept = words.restore(saved_words, self.files)
        if kept:
            try:
                updates[self.words] = words.finished(self.results.get(kept["token"]))
            except ValueError:
                updates[self.words] = kept  # shown as it was; a press on a phrase says what is missing
        return updates
