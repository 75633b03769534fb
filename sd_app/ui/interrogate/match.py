"""The matching matrix: which text belongs to which picture, the game CLIP was trained on.

The table is a job block as result.py's is (see job.js); its value is a MatchValue, which match.js draws.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import gradio as gr

from ...requests import MatchRequest, MatchResult, request_fields
from ..shared.browser_state import QUIET, RUN, browser_state, keep_form, keep_pictures, read_pictures
from ..shared.components import Form, NamedFile, Updates, Values
from ..shared.controls import go_row, part_title
from ..shared.errors import error_sentence
from ..shared.files import PictureFiles
from ..shared.form import build_request
from ..shared.job_events import JobView, job_events
from ..shared.job_queue import JobQueue, Run, Waiting
from ..shared.result import duration, job_block
from ..shared.studio_protocol import PageStudio
from .kept_match import KeptMatch, keep_match, read_match
from .match_value import EMPTY, MatchValue
from .search_form import clip_picker
from .uploads import Uploads, UploadsValue, uploads_block
from .words import score_text, score_title

NAME = "match"


Match = Callable[[MatchRequest], MatchResult]


@dataclass(kw_only=True)
class MatchJob(JobView[MatchValue, MatchResult]):
    """One press on Match."""

    read: Callable[[], tuple[MatchRequest, list[NamedFile]]]
    match: Match
    pictures: list[NamedFile] = field(default_factory=list)

    @property
    def unchanged(self) -> MatchValue:
        skipped: MatchValue = gr.skip()
        return skipped

    def start(self) -> Run[MatchResult]:
        request, self.pictures = self.read()
        return lambda on_step: self.match(request)

    def begun(self) -> MatchValue:
        return {**EMPTY, "phase": "running", "text": "Comparing"}

    def waiting(self, event: Waiting) -> MatchValue:
        return {**EMPTY, "phase": "waiting", "text": event.text}

    def finished(self, result: MatchResult) -> MatchValue:
        count = len(self.pictures) * len(result.request.texts)
        return {
            **EMPTY,
            "phase": "done",
            "text": f"{count} pair{'' if count == 1 else 's'} in {duration(result.seconds)}",
            "fraction": 1,
            "pictures": self.pictures,
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

    def stopped(self) -> MatchValue:
        return {**EMPTY, "phase": "stopped", "text": "Stopped before it began"}

    def failed(self, message: str) -> MatchValue:
        return {**EMPTY, "phase": "error", "text": message}


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
        view = self.uploads.view

        saved_table = browser_state(NAME, "results")

        def ask(values: Values, browser: gr.Request) -> Iterator[tuple[MatchValue, KeptMatch]]:
            for drawn in self.match(values, self.studio.match, str(browser.session_hash)):
                yield drawn, keep_match(drawn) if drawn.get("phase") == "done" else gr.skip()

        def stop(browser: gr.Request) -> None:
            self.queue.stop(str(browser.session_hash))

        inputs = {*self.form.values(), view}
        outputs = [self.table, saved_table]
        self.go.click(ask, inputs=inputs, outputs=outputs, trigger_mode="multiple", **RUN)
        self.stop.click(stop, **QUIET)
        view.picked(self.take_pictures, inputs=view, outputs=view, preprocess=False, **QUIET)
        saved_form, saved_uploads = browser_state(NAME, "form"), browser_state(NAME, "uploads")
        keep_form(self.form, saved_form)
        keep_pictures(view, saved_uploads)
        demo.load(
            self.restore,
            inputs=[saved_form, saved_uploads, saved_table],
            outputs=[*self.form.values(), view, self.table],
            **QUIET,
        )

    def match(self, values: Values, match: Match, owner: str) -> Iterator[MatchValue]:
        """Compare the uploaded pictures with the texts; yield what the table shows."""
        view = MatchJob(read=lambda: self._read(values), match=match)
        return job_events(self.queue, owner, view, self.studio.settings.mode)

    def _read(self, values: Values) -> tuple[MatchRequest, list[NamedFile]]:
        pictures = self.uploads.entries(values[self.uploads.view])
        return self.read(values, pictures), pictures

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
