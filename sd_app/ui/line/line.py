"""The line of jobs on the page: what runs, what waits, and what became of the last ones.

Its value is a LineValue, which line.js draws.
"""

from collections.abc import Mapping
from typing import TypedDict

import gradio as gr

from ...queue import FAILED, RUNNING, STOPPED, WAITING, JobNow, JobQueue
from ..shared.browser_state import QUIET
from ..shared.errors import sentence
from ..shared.result import progress_detail
from ..shared.scripts import UI, script_of
from ..shared.visitors import owner_of

SECONDS = 1.5  # between two looks at the line
MAX_SHOWN = 50  # rows; the others are counted
MAX_ENDED = 6

# A kind of job, and what people call it.
WHAT = {
    "txt2img": "Text to image",
    "img2img": "Image to image",
    "inpaint": "Inpaint",
    "blend": "Blend",
    "walk": "Walk",
    "plane": "Plane",
    "interrogate": "Interrogate",
    "check": "Check by drawing",
    "match": "Match",
    "switch": "Phrases off and on",
    "numbers": "Numbers of a prompt",
    "look_up": "Nearest words",
    "inside": "Look inside",
    "look": "Look inside",
}
TABS = ("txt2img", "img2img", "inpaint", "interrogate", "match", "embeddings", "inside")


class Row(TypedDict):
    """One job of the line."""

    id: str
    what: str
    title: str
    text: str
    state: str
    tab: str  # where it can be shown; "" nowhere
    fraction: float
    first: bool  # cannot be moved up
    last: bool


class LineValue(TypedDict):
    """What the page shows of the line."""

    jobs: list[Row]  # the running one, then what waits, in order
    more: int  # jobs that wait behind those
    ended: list[Row]
    paused: bool  # the line stands still, or the viewer holds their jobs
    own_line: bool  # all of the line is the viewer's, as on one's own machine
    note: str  # what became of the last press
    warning: str  # what the owner should know of how the line is kept


def line_block(queue: JobQueue, *, own_line: bool) -> gr.HTML:
    """Make the line. It triggers `act`, and `show_TAB` for each of TABS."""
    return gr.HTML(
        value=line_value(queue, "", own_line=own_line),
        html_template=(UI / "line/line.html").read_text(encoding="utf-8"),
        js_on_load=script_of("line/line.js", "act", *(f"show_{tab}" for tab in TABS)),
        apply_default_css=False,
        elem_id="line",
    )


def wire_line(view: gr.HTML, queue: JobQueue, demo: gr.Blocks, *, own_line: bool) -> None:
    """Keep it true, and do what its buttons say."""

    def refresh(shown: object, browser: gr.Request) -> object:
        now = line_value(queue, owner_of(browser), own_line=own_line)
        noted = shown if isinstance(shown, dict) else {}
        return gr.skip() if {**now, "note": noted.get("note", "")} == shown else now

    for event in (demo.load, gr.Timer(SECONDS).tick):
        event(refresh, inputs=view, outputs=view, preprocess=False, **QUIET)

    def act(browser: gr.Request, event: gr.EventData) -> LineValue:
        asked = event._data if isinstance(event._data, dict) else {}
        viewer = owner_of(browser)
        note = do(queue, viewer, asked, own_line=own_line)
        return {**line_value(queue, viewer, own_line=own_line), "note": note}

    view.act(act, outputs=view, trigger_mode="multiple", **QUIET)


def do(queue: JobQueue, viewer: str, asked: Mapping[str, object], *, own_line: bool) -> str:
    """Do what a button says; return what became of it, in words."""
    action, job_id = asked.get("do"), str(asked.get("id"))
    if action in ("up", "down"):
        moved = queue.move(job_id, viewer, -1 if action == "up" else 1)
        return f"Moved {action}." if moved else "It is not there to be moved any more."
    if action == "place":
        after = asked.get("after")
        place = queue.place(job_id, viewer, after if isinstance(after, str) else None)
        return f"Moved: number {place} of what waits." if place else "It is not there to be moved any more."
    if action == "remove":
        return "Removed." if queue.stop(viewer, job_id=job_id) else "It is over already."
    if action == "clear":
        count = queue.clear(viewer)
        return f"{count} job{'' if count == 1 else 's'} removed."
    if action in ("pause", "resume"):
        return pause(queue, viewer, action == "pause", own_line=own_line)
    return ""


def pause(queue: JobQueue, viewer: str, paused: bool, *, own_line: bool) -> str:
    """Let the line stand still or go on; where it is not the viewer's alone, only what is theirs."""
    if not own_line:
        queue.hold(viewer, held=paused)
        if paused:
            return "Yours that wait are held, for an hour at most. What runs is finished; others' go on."
        return "Yours take their turns again."
    if paused:
        queue.pause()
        return "Paused. The pictures that are being made together are finished first."
    queue.resume()
    return "The line goes on."


def line_value(queue: JobQueue, viewer: str, *, own_line: bool) -> LineValue:
    """Return what a viewer is shown of the line."""
    jobs = queue.jobs(viewer)
    alive = [now for now in jobs if not now.ended]
    ended = [now for now in jobs if now.ended and now.tab][:MAX_ENDED]
    waiting = [now.id for now in alive if now.state == WAITING]
    ends = (waiting[0], waiting[-1]) if waiting else ("", "")
    return {
        "jobs": [_row(now, ends) for now in alive[:MAX_SHOWN]],
        "more": max(0, len(alive) - MAX_SHOWN),
        "ended": [_row(now, ends) for now in ended],
        "paused": queue.paused if own_line else queue.is_held(viewer),
        "own_line": own_line,
        "note": "",
        "warning": queue.note if own_line else "",
    }


def _row(now: JobNow, ends: tuple[str, str]) -> Row:
    what = WHAT.get(now.kind.removeprefix("http "), "Job")
    return {
        "id": now.id,
        "what": what if now.tab else f"{what}, over HTTP",
        "title": now.title,
        "text": _text(now),
        "state": now.state,
        "tab": now.tab if now.tab in TABS and not _nothing_to_show(now) else "",
        "fraction": round(now.step.fraction, 3) if now.step else 0,
        "first": now.id == ends[0],
        "last": now.id == ends[1],
    }


def _nothing_to_show(now: JobNow) -> bool:
    return now.state == STOPPED and now.outcome is None


def _text(now: JobNow) -> str:
    """Say how far a job is, or what became of it."""
    if now.held:
        return "Held"
    if now.state == WAITING:
        return "Next" if not now.ahead else f"{now.ahead} before it"
    if now.state == FAILED:
        return sentence(now.failure)
    if now.state != RUNNING:
        return now.summary or ("Stopped" if now.state == STOPPED else "Done")
    if now.stopping:
        return "Stopping…"
    if now.step is None:
        return "Starting"
    if now.rests:
        return "Paused"
    detail = progress_detail(now.step)
    return f"{now.step.text} · {detail}" if detail else now.step.text
