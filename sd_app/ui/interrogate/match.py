"""The matching matrix: which text belongs to which picture, the game CLIP was trained on.

The table is a job block as result.py's is (see job.js); its value is a MatchValue, which match.js draws.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict, cast

import gradio as gr

from ...queue import Job, JobNow, JobQueue, Kind
from ...requests import MatchRequest, MatchResult, request_fields
from ..shared.browser_state import QUIET, RUN, browser_state, keep_form, keep_pictures, read_pictures
from ..shared.components import Form, NamedFile, Updates, Values
from ..shared.controls import go_row
from ..shared.errors import error_sentence
from ..shared.files import PictureFiles
from ..shared.form import build_request
from ..shared.job_events import Asked, JobView
from ..shared.result import duration, job_block
from ..shared.result_values import JobValue
from ..shared.studio_protocol import PageStudio
from ..shared.tab_jobs import TabJobs
from ..shared.visitors import owner_of
from .search_form import clip_picker
from .uploads import Uploads, UploadsValue, uploads_block
from .words import score_text, score_title

NAME = "match"


class Tables(TypedDict, total=False):
    """Rows of numbers, a row a picture and a column a text."""

    cosines: Sequence[Sequence[float]]
    by_text: Sequence[Sequence[float]]  # which text is the picture's
    by_image: Sequence[Sequence[float]]  # which picture is the text's


class MatchValue(JobValue):
    """What the table shows."""

    pictures: list[NamedFile]  # the rows
    texts: list[str]  # the columns
    tables: Tables
    ranks: list[list[str]]  # as cosines, in words: the percentile among random phrases, "" if not known
    titles: list[list[str]]  # as cosines: the whole of what is known of each, a sentence
    note: str  # which CLIP


EMPTY: MatchValue = {
    "phase": "empty",
    "text": "",
    "detail": "",
    "fraction": 0,
    "notice": "",
    "pictures": [],
    "texts": [],
    "tables": {},
    "ranks": [],
    "titles": [],
    "note": "",
}


@dataclass(kw_only=True)
class MatchJob(JobView[MatchValue]):
    """One press on Match."""

    def waiting(self, now: JobNow) -> MatchValue:
        return {**EMPTY, "phase": "waiting", "text": now.waiting_text}

    def running(self, now: JobNow) -> MatchValue:
        return {**EMPTY, "phase": "running", "text": "Comparing"}

    def finished(self, now: JobNow) -> MatchValue:
        return cast(MatchValue, now.outcome)

    def stopped(self, now: JobNow) -> MatchValue:
        return {**EMPTY, "phase": "stopped", "text": "Stopped before it began"}

    def failed(self, message: str, now: JobNow | None) -> MatchValue:
        return {**EMPTY, "phase": "error", "text": message}


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

    def wire(self, demo: gr.Blocks) -> None:
        """Connect all events. Not inside gr.Tabs."""
        self.register_kind()
        view = self.uploads.view

        def ask(values: Values, browser: gr.Request) -> Iterator[MatchValue]:
            yield from self.jobs.ask(lambda: self.ask(values), browser)

        def stop(browser: gr.Request) -> None:
            self.queue.stop(owner_of(browser), tab=NAME)

        def find(browser: gr.Request) -> Iterator[MatchValue]:
            yield from self.jobs.find(browser)

        inputs = {*self.form.values(), view}
        self.go.click(ask, inputs=inputs, outputs=self.table, trigger_mode="multiple", **RUN)
        self.stop.click(stop, **QUIET)
        view.picked(self.take_pictures, inputs=view, outputs=view, preprocess=False, **QUIET)
        saved_form, saved_uploads = browser_state(NAME, "form"), browser_state(NAME, "uploads")
        keep_form(self.form, saved_form)
        keep_pictures(view, saved_uploads)
        demo.load(
            self.restore, inputs=[saved_form, saved_uploads], outputs=[*self.form.values(), view], **QUIET
        )
        demo.load(find, outputs=self.table, **RUN)

    def register_kind(self) -> None:
        """Tell the queue how a match is run, and what is kept of it."""

        def keep(result: MatchResult, job: Job) -> MatchValue:
            return match_value(result, job.details["pictures"])

        self.queue.register(
            Kind(name=NAME, make=lambda request, on_step: self.studio.match(request), keep=keep, tab=NAME)
        )

    @cached_property
    def jobs(self) -> TabJobs[MatchValue]:
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
            raise ValueError("images must be 1 to 12 of them, there is none (add one)")
        lines = str(values[self.form["texts"]] or "").splitlines()
        texts = [line.strip() for line in lines if line.strip()]
        if not texts:
            raise ValueError("texts must be 1 to 12 of them, there is none (write one a line)")
        asked = {"images": self.uploads.paths(pictures), "texts": texts}
        return build_request({**asked, "clip_model": values[self.form["clip_model"]]}, MatchRequest)

    def take_pictures(self, value: object, event: gr.EventData) -> UploadsValue:
        """Add uploaded pictures."""
        files = event._data.get("files") if isinstance(event._data, dict) else None
        uploads, errors = self.uploads.add(value, files)
        return {**uploads, "text": " ".join(self._message(error) for error in errors)}

    def restore(self, saved_form: object, saved_uploads: object) -> Updates:
        """Return the updates that bring back what the browser kept. None of it is trusted."""
        updates: Updates = {
            self.uploads.view: {"pictures": self.uploads.entries(read_pictures(saved_uploads)), "text": ""}
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
