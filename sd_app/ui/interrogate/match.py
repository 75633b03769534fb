"""The matching matrix: which text belongs to which picture, the game CLIP was trained on.

The table is a job block as result.py's is (see job.js); its value is a MatchValue, which match.js draws.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import gradio as gr

from ...queue import Job, JobNow, JobQueue, Kind
from ...requests import MatchRequest, MatchResult, request_fields
from ..shared.browser_state import QUIET, RUN, browser_state, keep_form, keep_pictures, read_pictures
from ..shared.components import Form, NamedFile, Updates, Values
from ..shared.controls import go_row, part_title
from ..shared.errors import error_sentence
from ..shared.files import PictureFiles
from ..shared.form import build_request
from ..shared.job_events import Asked, JobView
from ..shared.result import duration, job_block
from ..shared.studio_protocol import PageStudio
from ..shared.tab_jobs import TabJobs
from ..shared.visitors import owner_of
from .kept_match import KeptMatch, keep_match, read_match
from .match_value import EMPTY, MatchValue
from .search_form import clip_picker
from .uploads import Uploads, UploadsValue, uploads_block
from .words import score_text, score_title

NAME = "match"
Shown = tuple[MatchValue, KeptMatch]  # the table, and what the browser keeps; either may be gr.skip()


@dataclass(kw_only=True)
class MatchJob(JobView[Shown]):
    """One press on Match."""

    def waiting(self, now: JobNow) -> Shown:
        return {**EMPTY, "phase": "waiting", "text": now.waiting_text}, gr.skip()

    def running(self, now: JobNow) -> Shown:
        return {**EMPTY, "phase": "running", "text": "Comparing"}, gr.skip()

    def finished(self, now: JobNow) -> Shown:
        drawn = cast(MatchValue, now.outcome)
        return drawn, keep_match(drawn)

    def stopped(self, now: JobNow) -> Shown:
        return {**EMPTY, "phase": "stopped", "text": "Stopped before it began"}, gr.skip()

    def failed(self, message: str, now: JobNow | None) -> Shown:
        return {**EMPTY, "phase": "error", "text": message}, gr.skip()


def match_value(result: MatchResult, pictures: list[NamedFile]) -> MatchValue:
    """Return what the table shows of a result; `pictures` are its rows."""
    count = len(pictures) * len(result.request.texts)
    return {
        **EMPTY,
        "phase": "done",
        "text": f"{count} pair{'' if count == 1 else 's'} in {duration(result.seconds)}",
        "fraction": 1,
        "pictures": pictures,
        "texts": list(result.request.texts),
        "tables": {
            "cosines": result.cosines,
            "by_text": result.text_chances,
            "by_image": result.image_chances,
        },
        "ranks": [[score_text(score)["rank"] for score in row] for row in result.scores],
        "titles": [[score_title(score) for score in row] for row in result.scores],
        "note": f"Cosines of {result.clip_model}, multiplied by {result.scale:.0f} before the softmax.",
    }


@dataclass(frozen=True, kw_only=True)
class MatchEvents:
    """The view "Match", assembled."""

    studio: PageStudio
    queue: JobQueue
    uploads: Uploads
    form: Form  # texts and clip_model
    go: gr.Button
    stop: gr.Button
    table: gr.HTML

    def wire(self, demo: gr.Blocks, line: gr.HTML) -> None:
        """Connect all events. Not inside gr.Tabs. `line` is the line of jobs."""
        self.register_kind()
        view = self.uploads.view

        saved_table = browser_state(NAME, "results")

        def ask(values: Values, browser: gr.Request) -> Iterator[Shown]:
            yield from self.jobs.ask(lambda: self.ask(values), browser)

        def stop(browser: gr.Request) -> None:
            self.queue.stop(owner_of(browser), tab=NAME)

        def find(browser: gr.Request) -> Iterator[Shown]:
            yield gr.skip(), gr.skip()  # a generator that yields nothing would empty its outputs
            yield from self.jobs.find(browser)

        def show(browser: gr.Request, event: gr.EventData) -> Iterator[Shown]:
            yield from self.jobs.show(browser, event)

        inputs = {*self.form.values(), view}
        outputs = [self.table, saved_table]
        self.go.click(ask, inputs=inputs, outputs=outputs, trigger_mode="multiple", **RUN)
        self.stop.click(stop, **QUIET)
        view.picked(self.take_pictures, inputs=view, outputs=view, preprocess=False, **QUIET)
        saved_form, saved_uploads = browser_state(NAME, "form"), browser_state(NAME, "uploads")
        keep_form(self.form, saved_form)
        keep_pictures(view, saved_uploads)
        restored = demo.load(
            self.restore,
            inputs=[saved_form, saved_uploads, saved_table],
            outputs=[*self.form.values(), view, self.table],
            **QUIET,
        )
        # After that, so that a job that runs stands over what the browser kept.
        restored.then(find, outputs=outputs, **RUN)
        line.show_match(show, outputs=outputs, trigger_mode="multiple", **RUN)

    def register_kind(self) -> None:
        """Tell the queue how a match is run, and what is kept of it."""

        def keep(result: MatchResult, job: Job) -> MatchValue:
            return match_value(result, job.details["pictures"])

        def again(request: MatchRequest, details: Mapping[str, Any]) -> Mapping[str, Any]:
            pairs = zip(request.images, details["pictures"], strict=True)
            files = self.uploads.files
            return {
                "pictures": [
                    {"file": files.file(Path(str(path))), "name": str(one["name"])} for path, one in pairs
                ]
            }

        self.queue.register(
            Kind(
                name=NAME,
                make=lambda request, on_step: self.studio.match(request),
                keep=keep,
                summary=lambda value: str(value["text"]),
                tab=NAME,
                request_type=MatchRequest,
                again=again,
            )
        )

    @cached_property
    def jobs(self) -> TabJobs[Shown]:
        """Return the view's jobs as its page shows them."""
        return TabJobs(
            tab=NAME, queue=self.queue, mode=self.studio.settings.mode, view_of=lambda _: MatchJob()
        )

    def ask(self, values: Values) -> Asked:
        """Read pictures and texts as a job; raise ValueError for what cannot be compared."""
        pictures = self.uploads.entries(values[self.uploads.view])
        request = self.read(values, pictures)
        return Asked(
            kind=NAME, request=request, title=", ".join(request.texts)[:80], details={"pictures": pictures}
        )

    def read(self, values: Values, pictures: list[NamedFile]) -> MatchRequest:
        """Build the request; each line is a text. Raise ValueError for a bad one."""
        if not pictures:
            raise ValueError("images must number 1 to 12, got none (add one)")
        lines = str(values[self.form["texts"]] or "").splitlines()
        texts = [line.strip() for line in lines if line.strip()]
        if not texts:
            raise ValueError("texts must number 1 to 12, got none (write one per line)")
        asked = {"images": self.uploads.paths(pictures), "texts": texts}
        return build_request({**asked, "clip_model": values[self.form["clip_model"]]}, MatchRequest)

    def take_pictures(self, value: object, event: gr.EventData) -> UploadsValue:
        """Add uploaded pictures."""
        files = event._data.get("files") if isinstance(event._data, dict) else None
        uploads, errors = self.uploads.add(value, files)
        return {**uploads, "text": " ".join(self._message(error) for error in errors)}

    def restore(self, saved_form: object, saved_uploads: object, saved_table: object = None) -> Updates:
        """Return the updates that bring back what the browser kept. None of it is trusted."""
        updates: Updates = {
            self.uploads.view: {"pictures": self.uploads.entries(read_pictures(saved_uploads)), "text": ""},
            self.table: read_match(saved_table, self.uploads.files) or gr.skip(),
        }
        saved = saved_form if isinstance(saved_form, dict) else {}
        for name, component in self.form.items():
            if isinstance(saved.get(name), str) and len(saved[name]) < 20_000:
                updates[component] = saved[name]
        return updates

    def _message(self, error: Exception) -> str:
        return error_sentence(error, self.studio.settings.mode)


def match_columns(studio: PageStudio, queue: JobQueue, files: PictureFiles) -> MatchEvents:
    """Build both sides of the view inside a row."""
    with gr.Column(elem_classes="ask", scale=0, min_width=320):
        part_title("Match pictures and texts")
        uploads = uploads_block(files, studio.settings.max_pixels)
        texts = gr.Textbox(
            label=request_fields(MatchRequest)["texts"].long_label,
            placeholder="a red house in a meadow\nan orange cat on the beach",
            lines=5,
            max_lines=14,
        )
        go, stop = go_row("Match")
        with gr.Group(elem_classes="panel"):
            clip_model = clip_picker(studio)
    with gr.Column(elem_classes="get", scale=1, min_width=320):
        table = job_block(NAME, EMPTY, "interrogate/match")
    return MatchEvents(
        studio=studio,
        queue=queue,
        uploads=uploads,
        form={"texts": texts, "clip_model": clip_model},
        go=go,
        stop=stop,
        table=table,
    )
