"""Add a model: look a hub id up, download it while jobs go on, delete it. In local mode only.

A download belongs to the app and not to the page that began it: a reload finds it running. The component's
value is an AddModelValue, which add_model.js draws.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TypedDict

import gradio as gr

from ...requests import Cancelled, DownloadPlan, DownloadProgress, format_bytes
from ..shared.browser_state import QUIET, RUN, TELLING
from ..shared.errors import attempt, error_sentence
from ..shared.result import download_text
from ..shared.scripts import script_of
from ..shared.studio_protocol import PageStudio

ASSETS = Path(__file__).parent
EVENTS = ("opened", "look_up_model", "leave", "begin", "cancel", "remove", "added")
PULSE_SECONDS = 0.3  # between two looks at a download


class PlanValue(TypedDict):
    """What a plan would fetch, in words."""

    hub_id: str
    title: str
    facts: list[list[str]]  # name and text
    label: str  # of the button that begins
    can_begin: bool


class CuratedValue(TypedDict):
    """A model of the hub to begin with."""

    hub_id: str
    title: str
    line: str
    here: bool


class HereValue(TypedDict):
    """A model that was downloaded."""

    hub_id: str
    folder: str
    size: str


class AddModelValue(TypedDict):
    """What the window shows."""

    phase: str  # idle, planned, running, done, stopped or error
    text: str  # what is to be said
    plan: PlanValue | None
    hub_id: str  # the model being downloaded, or the finished one
    fraction: float  # how far it is
    words: str  # the same in words
    stopping: bool
    curated: list[CuratedValue]
    here: list[HereValue]
    foot: str  # where own files go


Shown = tuple[AddModelValue, object]  # and what becomes of the header's model picker


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a download."""

    phase: str
    text: str
    hub_id: str = ""


class ModelDownloads:
    """Looks up and downloads one model at a time. Safe to use from several threads."""

    def __init__(self, studio: PageStudio) -> None:
        self.studio = studio
        self._lock = Lock()
        self._plan: DownloadPlan | None = None
        self._stop = Event()
        self._left = Event()  # the window of the last lookup was closed
        self._running = ""  # the hub id on its way
        self._progress: DownloadProgress | None = None
        self._outcome: Outcome | None = None

    @property
    def running(self) -> bool:
        return bool(self._running)

    def look_up(self, hub_id: str) -> AddModelValue | None:
        """Find out what adding a model would fetch; None if nobody waits for it any more."""
        left = self._left = Event()

        def waiting() -> None:
            if left.is_set():
                raise Cancelled

        def look_up() -> AddModelValue | None:
            try:
                self._plan = self.studio.plan_download(hub_id, waiting)
            except Cancelled:
                return None
            return {**self._value("planned"), "plan": draw_plan(self._plan)}

        return attempt(look_up, self._failed)

    def leave(self) -> None:
        """End the running lookup."""
        self._left.set()

    def begin(self, hub_id: str) -> None:
        """Start the download that was looked up, unless one is running."""
        with self._lock:
            if self._running or not hub_id:
                return
            self._running, self._progress, self._outcome = hub_id, None, None
            self._stop.clear()
        plan = self._plan  # another window may have looked up another one since
        wanted = plan if plan is not None and plan.hub_id == hub_id else hub_id
        Thread(target=self._work, args=(wanted,), daemon=True).start()

    def cancel_download(self) -> None:
        """Stop the download; what has come is kept."""
        self._stop.set()

    def remove(self, hub_id: str) -> AddModelValue:
        """Delete a downloaded model."""

        def remove() -> AddModelValue:
            freed = self.studio.remove_download(hub_id)
            text = f"{hub_id} was deleted, {format_bytes(freed)} freed."
            return {**self._value("idle"), "text": text}

        return attempt(remove, self._failed)

    def _failed(self, error: Exception) -> AddModelValue:
        return {**self._value("error"), "text": self._message(error)}

    def follow(self) -> Iterator[AddModelValue]:
        """Yield how far the running download is, and at last what became of it."""
        while self._running:
            yield self.now()
            time.sleep(PULSE_SECONDS)
        outcome = self._outcome
        yield (
            {**self._value(outcome.phase), "text": outcome.text, "hub_id": outcome.hub_id}
            if outcome
            else self.now()
        )

    def now(self) -> AddModelValue:
        """Return what the page shows on opening."""
        hub_id, progress = self._running, self._progress
        if not hub_id:
            return self._value("idle")
        return {
            **self._value("running"),
            "hub_id": hub_id,
            "fraction": round(progress.fraction, 4) if progress else 0,
            "words": download_text(progress) if progress else "Connecting…",
            "stopping": self._stop.is_set(),
        }

    def _work(self, wanted: DownloadPlan | str) -> None:
        def on_progress(progress: DownloadProgress) -> None:
            self._progress = progress
            if self._stop.is_set():
                raise Cancelled

        def download() -> Outcome:
            try:
                hub_id = self.studio.download(wanted, on_progress, bar=True).name
            except Cancelled:
                text = "Stopped. What was downloaded is kept: look it up again to continue."
                return Outcome(phase="stopped", text=text)
            return Outcome(phase="done", text=f"{hub_id} is ready and selected.", hub_id=hub_id)

        self._outcome = attempt(download, lambda error: Outcome(phase="error", text=self._message(error)))
        self._running = ""

    def _value(self, phase: str) -> AddModelValue:
        here = self.studio.downloaded()
        ids = [model.hub_id for model in here]
        return {
            "phase": phase,
            "text": "",
            "plan": None,
            "hub_id": "",
            "fraction": 0,
            "words": "",
            "stopping": False,
            "curated": [
                {"hub_id": m.hub_id, "title": m.title, "line": m.line, "here": m.hub_id in ids}
                for m in self.studio.curated_models()
            ],
            "here": [
                {"hub_id": m.hub_id, "folder": str(m.folder), "size": format_bytes(m.size_bytes)}
                for m in here
            ],
            "foot": "To use a model file or folder that you already have, put it into"
            f" {self.studio.settings.models_folder}.",
        }

    def _message(self, error: Exception) -> str:
        return error_sentence(error, self.studio.settings.mode)


def draw_plan(plan: DownloadPlan) -> PlanValue:
    """Say what a plan would fetch."""
    missing, there = plan.missing_bytes, plan.total_bytes - plan.missing_bytes
    facts = [
        ["Kind", f"{plan.pipeline}, {plan.native_size} × {plan.native_size} pixels"],
        [
            "Download",
            format_bytes(missing) + (f", {format_bytes(there)} already downloaded" if there else ""),
        ],
        ["Disk", f"{format_bytes(plan.free_bytes)} free" + ("" if plan.fits else ": not enough")],
        ["License", plan.license or "not stated"],
        ["Folder", str(plan.folder)],
    ]
    if plan.gated:
        facts.insert(4, ["Terms", "its owner asks you to accept terms; your token has access"])
    return {
        "hub_id": plan.hub_id,
        "title": plan.hub_id,
        "facts": facts,
        "label": f"Download {format_bytes(missing)}" if missing else "Use it",
        "can_begin": plan.fits,
    }


def add_model_block(downloads: ModelDownloads) -> gr.HTML:
    """Make the button and its window.

    It triggers `opened`, `look_up_model`, `leave`, `begin`, `cancel`, `remove`, and after a download `added`.
    """
    return gr.HTML(
        value=downloads.now(),
        html_template=(ASSETS / "add_model.html").read_text(encoding="utf-8"),
        js_on_load=script_of("header/add_model.js", *EVENTS),
        apply_default_css=False,
        elem_id="add-model",
    )


def wire_add_model(view: gr.HTML, downloads: ModelDownloads, picker: gr.Dropdown, demo: gr.Blocks) -> None:
    """Connect the window's events. Only for local mode: what is not wired nobody can ask for."""

    def choices(chosen: str | None = None) -> object:
        names = [model.name for model in downloads.studio.models()]
        return gr.update(choices=names, value=chosen) if chosen in names else gr.update(choices=names)

    def follow() -> Iterator[Shown]:
        for drawn in downloads.follow():
            yield drawn, choices(drawn["hub_id"]) if drawn["phase"] == "done" else gr.skip()

    def join() -> Iterator[Shown]:
        yield gr.skip(), gr.skip()  # a generator that yields nothing would empty its outputs
        if downloads.running:
            yield from follow()

    def begin(event: gr.EventData) -> Iterator[Shown]:
        downloads.begin(named(event))
        yield from follow()

    def remove(chosen: object, event: gr.EventData) -> Shown:
        drawn = downloads.remove(named(event))
        names = [model.name for model in downloads.studio.models()]
        return drawn, choices() if chosen in names else choices(names[0] if names else None)

    def look_up(event: gr.EventData) -> object:
        return downloads.look_up(named(event)) or gr.skip()

    def opened() -> object:
        return gr.skip() if downloads.running else downloads.now()

    view.opened(opened, outputs=view, **QUIET)
    view.look_up_model(look_up, outputs=view, trigger_mode="multiple", **TELLING)
    view.leave(downloads.leave, **QUIET)
    view.begin(begin, outputs=[view, picker], trigger_mode="multiple", **RUN)
    view.cancel(downloads.cancel_download, **QUIET)
    view.remove(remove, inputs=picker, outputs=[view, picker], preprocess=False, **TELLING)
    demo.load(join, outputs=[view, picker], **RUN)


def named(event: gr.EventData) -> str:
    """Return the hub id that an event of the page names."""
    hub_id = event._data.get("id") if isinstance(event._data, dict) else None
    return hub_id[:200] if isinstance(hub_id, str) else ""
