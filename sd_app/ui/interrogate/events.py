"""What the tab "Interrogate" does: searches, switches phrases, draws, and keeps what it holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from ...checkpoints.model_info import ModelInfo
from ...images import open_image
from ...requests import InterrogateResult, InterrogateStep, Score, Step
from ..shared.browser_state import QUIET, RUN, TELLING, browser_state, keep_form, keep_pictures, read_pictures
from ..shared.canvas import Canvas, upload_of
from ..shared.controls import NO_NOTICE
from ..shared.errors import sentence
from ..shared.errors import words as words_of
from ..shared.files import PictureFiles
from ..shared.gpu import borrow_call, borrow_gpu
from ..shared.job_queue import JobQueue, Waiting, stream
from ..shared.making_events import make_run
from ..shared.result import duration, preview_url, progress_detail
from ..shared.scripts import function_of
from . import check_drawing as checking
from . import words
from .search_form import SearchForm
from .search_results import SearchResult, SearchResults

NAME = "interrogate"


@dataclass(frozen=True, kw_only=True)
class SearchEvents:
    """The view "Find words", assembled."""

    studio: Any
    queue: JobQueue
    files: PictureFiles
    results: SearchResults
    picker: Any  # the header's model picker: what "check by drawing" draws with
    search_form: SearchForm
    notice: Any  # what was put here from elsewhere
    canvas: Canvas
    go: Any
    stop: Any
    words: Any

    def wire(self, demo: Any) -> None:
        """Connect all events. Not inside gr.Tabs, which counts what the browser keeps as tabs."""
        saved_words = browser_state(NAME, "results")
        self._wire_search(saved_words)
        self.search_form.wire()
        self._wire_canvas()
        self._wire_browser_state(demo, saved_words)

    # -- the search

    def _wire_search(self, saved_words: Any) -> None:
        outputs = [self.words, saved_words]
        interrogate = borrow_gpu(self.studio, NAME)
        score = borrow_call(self.studio, "score_phrases")
        draw, compare = borrow_gpu(self.studio, "txt2img"), borrow_call(self.studio, "compare_pictures")

        def search(values: dict[Any, object], browser: gr.Request) -> Iterator[tuple[Any, Any]]:
            yield from self.search(values, interrogate, str(browser.session_hash))

        def toggle(value: object, browser: gr.Request) -> Iterator[tuple[Any, Any]]:
            yield from self.toggle(value, score, str(browser.session_hash))

        def check(value: object, model: object, browser: gr.Request) -> Iterator[tuple[Any, Any]]:
            yield from self.check(value, model, draw, compare, str(browser.session_hash))

        def stop(browser: gr.Request) -> None:
            self.queue.stop(str(browser.session_hash))

        inputs = {*self.search_form.form.values(), self.canvas.view}
        self.go.click(search, inputs=inputs, outputs=outputs, trigger_mode="multiple", **RUN)
        # Of several quick presses on phrases the last one counts.
        self.words.toggle(toggle, inputs=self.words, outputs=outputs, trigger_mode="always_last", **RUN)
        self.words.check(check, inputs=[self.words, self.picker], outputs=outputs, **RUN)
        self.stop.click(stop, **QUIET)

    def search(self, values: Mapping[Any, object], make: Any, owner: str) -> Iterator[tuple[Any, Any]]:
        """Run one search; yield what the words block shows, and at last what the browser keeps."""
        try:
            canvas_value = values[self.canvas.view]
            request = self.search_form.read(values, self.canvas.pictures(canvas_value)["image"])
            picture = self._entry(canvas_value)
            for event in stream(self.queue, owner, make_run(make, request)):
                match event:
                    case Waiting():
                        yield words.waiting(event), gr.skip()
                    case InterrogateStep():
                        yield words.running(event, request.mode), gr.skip()
                    case InterrogateResult():
                        yield self._drawn(self.results.add(event, picture))
                        return
                    case None:
                        yield gr.skip(), gr.skip()
            yield {**words.EMPTY, "phase": "stopped", "text": "Stopped before it began"}, gr.skip()
        except Exception as error:  # noqa: BLE001  # whatever a job dies of, the page says so and lives
            yield self._failed(words.EMPTY, error), gr.skip()

    def _entry(self, canvas_value: object) -> dict[str, Any]:
        """Return name and file of the canvas's picture, and nothing else that the browser may have sent."""
        match canvas_value:
            case {"picture": {"file": {"path": path}, "name": str(name)}}:
                return {"file": self.files.file(self.files.uploaded(path)), "name": name}
        raise ValueError("image is missing (open, paste or drop one)")

    def _drawn(self, found: SearchResult, **more: Any) -> tuple[Any, Any]:
        drawn = {**words.finished(found), **more}
        return drawn, words.note(drawn)

    def _failed(self, shown: Mapping[str, Any], error: Exception, turn: int = 0) -> dict[str, Any]:
        return {**shown, "phase": "error", "text": self._message(error), "turn": turn}

    def _message(self, error: Exception) -> str:
        return sentence(words_of(error, self.studio.settings.mode))

    # -- phrases off and on

    def toggle(self, value: object, score: Any, owner: str) -> Iterator[tuple[Any, Any]]:
        """Work out the prompt's cosine with the phrases that shall be on."""
        token, off, turn = _asked(value)
        shown: Mapping[str, Any] = words.EMPTY
        try:
            found = self.results.get(token)
            shown = words.finished(found)
            keep = [index for index in range(len(found.result.phrases)) if index not in off]
            for event in stream(self.queue, owner, lambda on_step: score(found.result, keep)):
                match event:
                    case Waiting():
                        yield {**shown, "text": event.text}, gr.skip()
                    case Score():
                        yield self._drawn(self.results.change(found.token, score=event, off=off), turn=turn)
                        return
                    case None:
                        yield gr.skip(), gr.skip()
            yield {**shown, "turn": turn}, gr.skip()
        except Exception as error:  # noqa: BLE001  # as in search
            yield self._failed(shown, error, turn), gr.skip()

    # -- check by drawing

    def check(
        self, value: object, model: object, draw: Any, compare: Any, owner: str
    ) -> Iterator[tuple[Any, Any]]:
        """Draw the prompt that is shown and compare the pictures with the person's own."""
        shown: Mapping[str, Any] = words.EMPTY
        try:
            found = self.results.get(_asked(value)[0])
            shown = words.finished(found)
            request = checking.check_request(
                found.score.prompt, self._model(model), self.studio.settings.max_images
            )
            run = checking.check_run(draw, compare, request, self._picture(found), found.result.clip_model)
            preview = None
            for event in stream(self.queue, owner, run):
                match event:
                    case Waiting():
                        yield {**shown, "phase": "waiting", "text": event.text}, gr.skip()
                    case Step():
                        preview = preview_url(event.preview) if event.preview else preview
                        yield _drawing(shown, event, found, preview), gr.skip()
                    case checking.Checked():
                        done = checking.drawn(event, found.picture, self.files)
                        took = f"Four pictures drawn in {duration(event.drawing.seconds)}"
                        text = "Stopped" if event.drawing.stopped else took
                        yield self._drawn(self.results.change(found.token, drawn=done), text=text)
                        return
                    case None:
                        yield gr.skip(), gr.skip()
            yield {**shown, "text": "Stopped before it began"}, gr.skip()
        except Exception as error:  # noqa: BLE001  # as in search
            yield self._failed(shown, error), gr.skip()

    def _model(self, name: object) -> ModelInfo:
        for model in self.studio.models():
            if model.name == name:
                return model
        raise ValueError("model is not here any more (choose another one above)")

    def _picture(self, found: SearchResult) -> Image.Image:
        path = self.files.uploaded(found.picture["file"]["path"])
        return open_image(path, max_pixels=self.studio.settings.max_pixels)

    # -- pictures

    def _wire_canvas(self) -> None:
        view = self.canvas.view
        view.picked(self.take_picture, inputs=view, outputs=view, preprocess=False, **QUIET)
        self.notice.undo(
            fn=None, js=function_of("shared/controls.js", "same", NO_NOTICE), outputs=self.notice, **QUIET
        )

    def take_picture(self, value: object, event: gr.EventData) -> dict[str, Any]:
        """Put an uploaded picture on the canvas."""
        try:
            return self.canvas.take(*upload_of(event))
        except (ValueError, OSError) as error:
            return {**self.canvas.restore(value), "text": self._message(error)}

    def wire_sender(self, result: Any) -> None:
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

    def receive(self, entry: object) -> tuple[Any, Any]:
        """Take over a picture that another tab made."""
        match entry:
            case {"file": {"path": path}, "name": str(name)}:
                pass
            case _:
                raise gr.Error("There is no picture to send yet.", print_exception=False)
        try:
            value = self.canvas.take(path, name)
        except (ValueError, OSError) as error:
            raise gr.Error(self._message(error), print_exception=False) from error
        told = f"{name} is on the canvas. Undo there brings back what it held."
        return value, {"text": told, "before": None}

    # -- what the browser keeps

    def _wire_browser_state(self, demo: Any, saved_words: Any) -> None:
        saved_form, saved_canvas = browser_state(NAME, "form"), browser_state(NAME, "canvas")
        form = self.search_form.form
        keep_form(form, saved_form)
        keep_pictures(self.canvas.view, saved_canvas)
        demo.load(
            self.restore,
            inputs=[saved_form, saved_words, saved_canvas],
            outputs=[*form.values(), self.words, self.canvas.view],
            **QUIET,
        )

    def restore(self, saved_form: object, saved_words: object, saved_canvas: object) -> dict[Any, Any]:
        """Return the updates that bring back what the browser kept. None of it is trusted."""
        updates: dict[Any, Any] = {
            self.words: gr.skip(),
            self.canvas.view: self.canvas.restore(read_pictures(saved_canvas)),
        }
        updates |= self.search_form.restore(saved_form)
        kept = words.restore(saved_words)
        if kept:
            try:
                updates[self.words] = words.finished(self.results.get(kept["token"]))
            except ValueError:
                updates[self.words] = kept  # shown as it was; a press on a phrase says what is missing
        return updates


def _asked(value: object) -> tuple[object, tuple[int, ...], int]:
    """Return token, phrases to switch off and number of the press from the block's value, as it came."""
    match value:
        case {"token": str(token), "asked": list(off), "turn": int(turn)}:
            return token, tuple(sorted({index for index in off if isinstance(index, int)})), abs(turn)
        case {"token": str(token)}:
            return token, (), 0
    return None, (), 0


def _drawing(
    shown: Mapping[str, Any], step: Step, found: SearchResult, preview: str | None
) -> dict[str, Any]:
    return {
        **shown,
        "phase": "running",
        "text": step.text,
        "detail": progress_detail(step),
        "fraction": round(step.fraction, 3),
        "drawn": checking.progress(step, found.picture, preview),
    }
