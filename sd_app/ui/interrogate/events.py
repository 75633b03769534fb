"""What the tab "Interrogate" does: searches, switches phrases, draws, and keeps what it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import gradio as gr

from ...checkpoints.model_info import ModelInfo
from ...requests import InterrogateRequest
from ..shared.browser_state import QUIET, RUN, TELLING, browser_state, keep_form, keep_pictures, read_pictures
from ..shared.canvas import Canvas, CanvasValue, upload_of
from ..shared.components import NamedFile, Notice, Updates, Values
from ..shared.controls import NO_NOTICE
from ..shared.errors import attempt, error_sentence
from ..shared.files import PictureFiles
from ..shared.job_events import job_events
from ..shared.job_queue import JobQueue
from ..shared.scripts import function_of
from ..shared.studio_protocol import PageStudio
from ..shared.toasts import refusal
from . import words
from .check_drawing import Compare, Draw, check_request
from .search_form import SearchForm
from .search_jobs import CheckJob, Interrogate, ScorePhrases, SearchJob, Shown, SwitchJob, read_asked
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

    def wire(self, demo: gr.Blocks) -> None:
        """Connect all events. Not inside gr.Tabs, which counts what the browser keeps as tabs."""
        saved_words = browser_state(NAME, "results")
        self._wire_jobs(saved_words)
        self.search_form.wire()
        self._wire_canvas()
        self._wire_browser_state(demo, saved_words)

    # -- jobs

    def _wire_jobs(self, saved_words: gr.BrowserState) -> None:
        outputs = [self.words, saved_words]
        studio = self.studio

        def search(values: Values, browser: gr.Request) -> Iterator[Shown]:
            yield from self.search(values, studio.interrogate, str(browser.session_hash))

        def toggle(value: object, browser: gr.Request) -> Iterator[Shown]:
            yield from self.toggle(value, studio.score_phrases, str(browser.session_hash))

        def check(value: object, model: object, browser: gr.Request) -> Iterator[Shown]:
            owner = str(browser.session_hash)
            yield from self.check(value, model, studio.txt2img, studio.compare_pictures, owner)

        def stop(browser: gr.Request) -> None:
            self.queue.stop(str(browser.session_hash))

        inputs = {*self.search_form.fields.values(), self.canvas.view}
        self.go.click(search, inputs=inputs, outputs=outputs, trigger_mode="multiple", **RUN)
        # Of several quick presses on phrases the last one counts.
        self.words.toggle(toggle, inputs=self.words, outputs=outputs, trigger_mode="always_last", **RUN)
        self.words.check(check, inputs=[self.words, self.picker], outputs=outputs, **RUN)
        self.stop.click(stop, **QUIET)

    def search(self, values: Values, interrogate: Interrogate, owner: str) -> Iterator[Shown]:
        """Run one search; yield what the words block shows, and at last what the browser keeps."""
        view = SearchJob(read=lambda: self._read(values), interrogate=interrogate, results=self.results)
        return job_events(self.queue, owner, view, self.studio.settings.mode)

    def _read(self, values: Values) -> tuple[InterrogateRequest, NamedFile]:
        canvas_value = values[self.canvas.view]
        request = self.search_form.read(values, self.canvas.pictures(canvas_value)["image"])
        return request, self._entry(canvas_value)

    def _entry(self, canvas_value: object) -> NamedFile:
        """Return name and file of the canvas's picture, and nothing else that the browser may have sent."""
        match canvas_value:
            case {"picture": {"file": {"path": path}, "name": str(name)}}:
                return {"file": self.files.file(self.files.uploaded(path)), "name": name}
        raise ValueError("image is missing (open, paste or drop one)")

    def toggle(self, value: object, score: ScorePhrases, owner: str) -> Iterator[Shown]:
        """Work out the prompt's cosine with the phrases that shall be on."""
        view = SwitchJob(asked=read_asked(value), score=score, results=self.results)
        return job_events(self.queue, owner, view, self.studio.settings.mode)

    def check(
        self, value: object, model: object, draw: Draw, compare: Compare, owner: str
    ) -> Iterator[Shown]:
        """Draw the prompt that is shown and compare the pictures with the person's own."""
        settings = self.studio.settings
        view = CheckJob(
            asked=read_asked(value),
            ask=lambda prompt: check_request(prompt, self._model(model), settings.max_images),
            draw=draw,
            compare=compare,
            results=self.results,
            files=self.files,
            max_pixels=settings.max_pixels,
        )
        return job_events(self.queue, owner, view, settings.mode)

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
        demo.load(
            self.restore,
            inputs=[saved_form, saved_words, saved_canvas],
            outputs=[*form.values(), self.words, self.canvas.view],
            **QUIET,
        )

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
