"""The header's badge: device, dtype and memory; behind it what is loaded, and the button that unloads it."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock, Thread
from typing import TypedDict

import gradio as gr

from ...requests import Status, format_bytes
from ..shared.browser_state import QUIET, RUN
from ..shared.errors import attempt, error_text
from ..shared.scripts import script_of
from ..shared.studio_protocol import PageStudio

ASSETS = Path(__file__).parent
SECONDS = 3.0  # between two looks at the memory
PULSE_SECONDS = 0.2  # the same while an unload waits
NOTE_SECONDS = 20.0  # that its outcome stays
GIGABYTE = 1e9


class BadgeValue(TypedDict):
    """What the badge shows."""

    words: list[str]  # device, dtype and memory in a few words; empty while starting
    facts: list[list[str]]  # name and text
    loaded: list[list[str]]  # model and size
    can_unload: bool  # whether the button is there
    waiting: bool  # whether an unload waits for the running job
    note: str  # what became of the last one


class Unloader:
    """Frees the weights after the running job, for everybody who looks at the page."""

    def __init__(self, studio: PageStudio) -> None:
        self._studio = studio
        self._lock = Lock()
        self._note = ""
        self._until = 0.0
        self.waiting = False

    @property
    def note(self) -> str:
        return self._note if self.waiting or time.monotonic() < self._until else ""

    def start(self) -> None:
        """Begin, unless one waits already."""
        with self._lock:
            if self.waiting:
                return
            self.waiting, self._note = True, "Freeing memory…"
        Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        def on_event(_: str) -> None:
            self._note = "Waiting for the running job to end…"

        before = sum(self._studio.status().loaded_bytes)

        def unload() -> str:
            self._studio.unload(on_event=on_event)
            return f"{format_bytes(before)} of weights freed. The next job loads its model again."

        note = attempt(unload, lambda error: error_text(error, self._studio.settings.mode))
        self._note, self._until, self.waiting = note, time.monotonic() + NOTE_SECONDS, False


def badge_block(studio: PageStudio) -> gr.HTML:
    """Make the badge. It triggers `free`."""
    return gr.HTML(
        value=badge_value(studio.status()),
        html_template=(ASSETS / "badge.html").read_text(encoding="utf-8"),
        js_on_load=script_of("header/badge.js", "free"),
        apply_default_css=False,
        elem_id="badge",
    )


def wire_badge(badge: gr.HTML, studio: PageStudio, demo: gr.Blocks) -> None:
    """Keep it true, and in local mode let it unload: visitors have no such event at all."""
    unloader = Unloader(studio) if studio.settings.mode == "local" else None

    def refresh(shown: object) -> object:
        now = badge_value(studio.status(), unloader)
        return gr.skip() if now == shown else now

    for event in (demo.load, gr.Timer(SECONDS).tick):  # a reload shows at once what is true now
        event(refresh, inputs=badge, outputs=badge, preprocess=False, **QUIET)
    if unloader is None:
        return

    def unload() -> Iterator[BadgeValue]:
        unloader.start()
        while unloader.waiting:
            yield badge_value(studio.status(), unloader)
            time.sleep(PULSE_SECONDS)
        yield badge_value(studio.status(), unloader)

    # Not called "unload": Gradio triggers that name whenever a page is closed.
    badge.free(unload, outputs=badge, **RUN)


def badge_value(status: Status, unloader: Unloader | None = None) -> BadgeValue:
    """Return what the badge shows; without an unloader it has no button."""
    value: BadgeValue = {
        "words": [],
        "facts": [],
        "loaded": [],
        "can_unload": unloader is not None,
        "waiting": bool(unloader and unloader.waiting),
        "note": unloader.note if unloader else "",
    }
    if status.device == "starting":
        return value
    facts = [
        ["Device", f"{status.device_name or status.device} ({status.device})"],
        ["Precision", status.dtype],
    ]
    short = [status.device.upper(), status.dtype]
    if status.memory_total:
        used, total = status.memory_used / GIGABYTE, status.memory_total / GIGABYTE
        short.append(f"{used:.1f} / {total:.0f} GB")
        facts.append(["Memory", f"{used:.1f} of {total:.1f} GB in use"])
    sizes = (*status.loaded_bytes, *[0] * (len(status.loaded) - len(status.loaded_bytes)))
    loaded = [[name, format_bytes(size)] for name, size in zip(status.loaded, sizes, strict=True)]
    facts.append(["Weights", format_bytes(sum(sizes))])
    if status.plan:
        facts.append(["Last job", status.plan])
    return {**value, "words": short, "facts": facts, "loaded": loaded}
