"""The matching matrix: which text belongs to which picture, the game CLIP was trained on.

The table is a job block as result.py's is (see job.js); its value is a dict that match.js draws:

    phase, text, detail, fraction, notice   as result.py's
    pictures   list of {file, name}, the rows
    texts      the columns
    tables     {cosines, by_text, by_image}, each a list of rows of numbers
    ranks      as cosines, in words: the percentile among random phrases, "" if not known
    titles     as cosines: the whole of what is known of each, a sentence
    note       which CLIP
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...requests import MatchRequest, MatchResult, request_fields
from ..shared.browser_state import QUIET, RUN, browser_state, keep_form, keep_pictures, read_pictures
from ..shared.controls import go_row
from ..shared.errors import sentence, words
from ..shared.files import PictureFiles
from ..shared.form import Form
from ..shared.gpu import borrow_call
from ..shared.job_queue import JobQueue, Waiting, stream
from ..shared.result import duration, job_block
from .search_form import clip_picker
from .uploads import Uploads, uploads_block
from .words import score_text, score_title

NAME = "match"
EMPTY: dict[str, Any] = {
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


@dataclass(frozen=True, kw_only=True)
class MatchEvents:
    """The view "Match", assembled."""

    studio: Any
    queue: JobQueue
    uploads: Uploads
    form: Form  # texts and clip_model
    go: Any
    stop: Any
    table: Any

    def wire(self, demo: Any) -> None:
        """Connect all events. Not inside gr.Tabs."""
        match = borrow_call(self.studio, "match")
        view = self.uploads.view

        def ask(values: dict[Any, object], browser: gr.Request) -> Iterator[Any]:
            yield from self.match(values, match, str(browser.session_hash))

        def stop(browser: gr.Request) -> None:
            self.queue.stop(str(browser.session_hash))

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

    def match(self, values: Mapping[Any, object], match: Any, owner: str) -> Iterator[Any]:
        """Compare the uploaded pictures with the texts; yield what the table shows."""
        try:
            pictures = self.uploads.entries(values[self.uploads.view])
            request = self.read(values, pictures)
            yield {**EMPTY, "phase": "running", "text": "Comparing"}
            for event in stream(self.queue, owner, lambda on_step: match(request)):
                match_drawn = _drawn(event, pictures)
                yield gr.skip() if match_drawn is None else match_drawn
                if isinstance(event, MatchResult):
                    return
            yield {**EMPTY, "phase": "stopped", "text": "Stopped before it began"}
        except Exception as error:  # noqa: BLE001  # whatever a job dies of, the page says so and lives
            yield {**EMPTY, "phase": "error", "text": self._message(error)}

    def read(self, values: Mapping[Any, object], pictures: list[dict[str, Any]]) -> MatchRequest:
        """Build the request; each line is a text. Raise ValueError for a bad one."""
        if not pictures:
            raise ValueError("images must be 1 to 12 of them, there is none (add one)")
        lines = str(values[self.form["texts"]] or "").splitlines()
        texts = [line.strip() for line in lines if line.strip()]
        if not texts:
            raise ValueError("texts must be 1 to 12 of them, there is none (write one a line)")
        clip: Any = values[self.form["clip_model"]] or None
        return MatchRequest(images=self.uploads.paths(pictures), texts=texts, clip_model=clip)

    def take_pictures(self, value: object, event: gr.EventData) -> dict[str, Any]:
        """Add uploaded pictures."""
        files = event._data.get("files") if isinstance(event._data, dict) else None
        uploads, errors = self.uploads.add(value, files)
        return {**uploads, "text": " ".join(self._message(error) for error in errors)}

    def restore(self, saved_form: object, saved_uploads: object) -> dict[Any, Any]:
        """Return the updates that bring back what the browser kept. None of it is trusted."""
        updates: dict[Any, Any] = {
            self.uploads.view: {"pictures": self.uploads.entries(read_pictures(saved_uploads)), "text": ""}
        }
        saved = saved_form if isinstance(saved_form, dict) else {}
        for name, component in self.form.items():
            if isinstance(saved.get(name), str) and len(saved[name]) < 20_000:
                updates[component] = saved[name]
        return updates

    def _message(self, error: Exception) -> str:
        return sentence(words(error, self.studio.settings.mode))


def match_columns(studio: Any, queue: JobQueue, files: PictureFiles) -> MatchEvents:
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


def _drawn(event: object, pictures: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return what the table shows of an event, None for no news."""
    match event:
        case Waiting():
            return {**EMPTY, "phase": "waiting", "text": event.text}
        case MatchResult():
            count = len(pictures) * len(event.request.texts)
            return {
                **EMPTY,
                "phase": "done",
                "text": f"{count} pair{'' if count == 1 else 's'} in {duration(event.seconds)}",
                "fraction": 1,
                "pictures": pictures,
                "texts": list(event.request.texts),
                "tables": {
                    "cosines": event.cosines,
                    "by_text": event.text_chances,
                    "by_image": event.image_chances,
                },
                "ranks": [[score_text(score)["rank"] for score in row] for row in event.scores],
                "titles": [[score_title(score) for score in row] for row in event.scores],
                "note": f"Cosines of {event.clip_model}, multiplied by {event.scale:.0f} before the softmax.",
            }
    return None
