"""The tab "Look inside": how any picture came about, panel by panel, on one clock."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypedDict

import gradio as gr

from ...queue import JobQueue, Kind, work_of
from ..shared.browser_state import QUIET, RUN, browser_state
from ..shared.controls import part_title
from ..shared.errors import attempt, error_sentence
from ..shared.files import PictureFiles
from ..shared.job_events import Asked
from ..shared.making_job import title_of
from ..shared.result import job_block
from ..shared.scripts import UI, function_of, script_of
from ..shared.studio_protocol import PageStudio
from ..shared.tab_jobs import TabJobs
from ..shared.visitors import owner_of
from .desk import Desk
from .recording_job import (
    EMPTY,
    MAX_NAME,
    NAME,
    RECORD,
    InsideValue,
    RecordAsked,
    RecordJob,
    keep,
    record,
    shown,
    summary_of,
)

KEPT = "This recording is kept on disk: nothing was run to open it."


class SourceValue(TypedDict):
    """What can be opened; source.js draws it."""

    kept: list[Mapping[str, object]]
    listed: bool  # whether the list was read
    text: str  # what went wrong


@dataclass(frozen=True, kw_only=True)
class InsideEvents:
    """The tab, assembled."""

    studio: PageStudio
    queue: JobQueue
    files: PictureFiles
    desk: Desk
    source: gr.HTML
    view: gr.HTML

    @cached_property
    def jobs(self) -> TabJobs[InsideValue]:
        """Return the tab's jobs as its page shows them."""
        return TabJobs(
            tab=NAME, queue=self.queue, mode=self.studio.settings.mode, view_of=lambda _: RecordJob()
        )

    @property
    def kind(self) -> Kind:
        """Return the kind of job that records a picture."""
        return Kind(
            name=RECORD,
            make=partial(record, self.studio),
            keep=partial(keep, self.desk),
            summary=summary_of,
            tab=NAME,
            request_type=RecordAsked,
        )

    def wire(self, demo: gr.Blocks, line: gr.HTML) -> None:
        """Connect all events. Not inside gr.Tabs. `line` is the line of jobs."""
        self.queue.register(self.kind)
        saved = browser_state(NAME, "open")

        def open_picture(browser: gr.Request, event: gr.EventData) -> Iterator[InsideValue]:
            yield from self.jobs.ask(lambda: self.ask_file(event._data), browser)

        def open_recording(browser: gr.Request, event: gr.EventData) -> InsideValue:
            return self.open_recording(event._data, owner_of(browser))

        def show(browser: gr.Request, event: gr.EventData) -> Iterator[InsideValue]:
            yield from self.jobs.show(browser, event)

        def find(saved: object, browser: gr.Request) -> Iterator[object]:
            yield gr.skip()  # a generator that yields nothing would empty its output
            job = self.queue.of_tab(NAME, owner_of(browser))
            if job is not None and not (job.ended and _name_in(saved)):
                yield from self.jobs.find(browser)

        def stop(browser: gr.Request) -> None:
            self.queue.stop(owner_of(browser), tab=NAME)

        def refresh(browser: gr.Request) -> SourceValue:
            return self.listed(owner_of(browser))

        many: dict[str, object] = {"outputs": self.view, "trigger_mode": "multiple", **RUN}
        self.source.open_picture(open_picture, **many)
        self.source.open_recording(open_recording, **many)
        self.source.refresh(refresh, outputs=self.source, **QUIET)
        self.view.open_recording(open_recording, **many)
        self.view.stop(stop, **QUIET)
        getattr(line, f"show_{NAME}")(show, **many)
        # What was opened from the list is noted in the browser; what was recorded the line remembers.
        self.view.noted(
            fn=None, js=function_of("inside/send.js", "nameOf"), inputs=self.view, outputs=saved, **QUIET
        ).then(refresh, outputs=self.source, **QUIET)
        restored = demo.load(self.restore, inputs=saved, outputs=self.view, preprocess=False, **QUIET)
        restored.then(find, inputs=saved, outputs=self.view, **RUN)

    def wire_sender(self, result: gr.HTML) -> None:
        """Let a result block's picture be looked into."""

        def look(entry: object, browser: gr.Request) -> Iterator[InsideValue]:
            yield from self.jobs.ask(lambda: self.ask_entry(entry), browser)

        result.look(
            look,
            js=function_of("shared/send_to.js", "lookedAt"),
            inputs=result,
            outputs=self.view,
            trigger_mode="multiple",
            **RUN,
        )

    # -- what is asked for

    def ask_entry(self, entry: object) -> Asked:
        """Read a result's picture as a job. Raise ValueError if it is not there."""
        match entry:
            case {"file": {"path": path}, "name": str(name), "look": token}:
                pass
            case {"file": {"path": path}, "name": str(name)}:
                token = ""
            case _:
                raise ValueError("there is no picture to look into yet (make one first)")
        made = self.files.made.find(token) if isinstance(token, str) else None
        if made is None:
            return self._asked(RecordAsked(picture=self.files.uploaded(path), title=name[:MAX_NAME]))
        request = made.request
        # The file that was handed out: the owner may have moved the saved one away.
        asked = RecordAsked(picture=self.files.uploaded(path), title=name[:MAX_NAME], request=request)
        model = next((model for model in self.studio.models() if model.name == request.model), None)
        return Asked(kind=RECORD, request=asked, title=title_of(request), work=work_of(request, model))

    def ask_file(self, data: object) -> Asked:
        """Read a file that was opened as a job. Raise ValueError if it was not uploaded."""
        given = data if isinstance(data, dict) else {}
        name = given.get("name")
        began, mask = (
            self._path(given[field]) if given.get(field) else None for field in ("init_image", "mask_image")
        )
        title = name[:MAX_NAME] if isinstance(name, str) and name else "this picture"
        path = self._path(given.get("picture"))
        return self._asked(RecordAsked(picture=path, title=title, init_image=began, mask_image=mask))

    def _asked(self, asked: RecordAsked) -> Asked:
        return Asked(kind=RECORD, request=asked, title=asked.title)

    def _path(self, path: object) -> Path:
        return self.files.uploaded(path)

    # -- what is kept

    def open_recording(self, data: object, owner: str) -> InsideValue:
        """Open a recording that is kept, by its name."""
        name = data.get("name") if isinstance(data, dict) else None

        def opened() -> InsideValue:
            looked = self.studio.look(self.desk.open_kept(owner, name))
            return shown(self.desk, looked, owner, sentence=KEPT, name=str(name))

        return attempt(opened, self._failed)

    def _failed(self, error: Exception) -> InsideValue:
        return {**EMPTY, "phase": "error", "text": error_sentence(error, self.studio.settings.mode)}

    def listed(self, owner: str) -> SourceValue:
        """Return the recordings that somebody may open, the newest first."""
        return {"kept": self.desk.kept(owner, damaged=True), "listed": True, "text": ""}

    def restore(self, saved: object) -> object:
        """Return what a reloaded page shows until its tab is opened; nothing kept is trusted."""
        name = _name_in(saved)
        return {**EMPTY, "phase": "kept", "name": name} if name else gr.skip()


def _name_in(saved: object) -> str:
    """Return the recording's name that the browser noted, "" for none."""
    name = saved.get("name") if isinstance(saved, dict) else None
    return name[:MAX_NAME] if isinstance(name, str) else ""


def inside_tab(studio: PageStudio, queue: JobQueue, files: PictureFiles, desk: Desk) -> InsideEvents:
    """Build the tab inside gr.Tabs."""
    with (
        gr.Tab("Look inside", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Row(elem_classes=["maker", "inside-tab"], equal_height=False),
    ):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            part_title("Look inside")
            source = gr.HTML(
                value={"kept": [], "listed": False, "text": ""},
                html_template=(UI / "inside/source.html").read_text(encoding="utf-8"),
                js_on_load=script_of("inside/source.js", "open_picture", "open_recording", "refresh"),
                apply_default_css=False,
            )
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            view = job_block(NAME, EMPTY, "inside/inside", "open_recording", "noted", "stop")
    return InsideEvents(studio=studio, queue=queue, files=files, desk=desk, source=source, view=view)
