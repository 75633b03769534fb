"""Whether the client of a call is still there.

Gradio tells a generator that its client has dropped the connection or cancelled the call, but not a function.
What it knows of the call says so: the event is no longer among the running ones, or marked as not alive. Two
ways of leaving it does not hear of: a call that is taken back while it is being sent, of which the client
tells /reset, where Gradio does nothing; and a call whose answer nobody comes to fetch.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from gradio.context import LocalContext
from gradio.data_classes import ResetBody
from gradio.server_messages import ProcessCompletedMessage
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

GRACE = 30.0  # seconds in which a client that has sent a call must begin to listen for its answer
RESET = "/gradio_api/reset"
DATA = "/gradio_api/queue/data"
CALL = "/gradio_api/call/"


def client_of_event() -> Callable[[], bool]:
    """Return what tells whether the client of the running event is still there; yes, if nobody knows."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if blocks is None or event_id is None:
        return lambda: True
    listeners: Counter[str] | None = getattr(blocks.app.state, "listeners", None)
    heard = time.monotonic()

    def is_here() -> bool:
        nonlocal heard
        running = [event for events in blocks._queue.active_jobs for event in events or ()]
        mine = next((event for event in running if event._id == event_id and event.alive), None)
        if mine is None:
            return False
        now = time.monotonic()
        if listeners is None or listeners[mine.session_hash]:
            heard = now
        return now - heard < GRACE

    return is_here


class ClientsMiddleware:
    """Count who listens for answers, and end the calls that are taken back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope["app"].state
        if not hasattr(state, "listeners"):
            state.listeners = Counter()
        path = scope["path"].removeprefix(scope.get("root_path") or "").rstrip("/")
        if scope["method"] == "POST" and path == RESET:
            await end_call(scope["app"].get_blocks(), await Request(scope, receive).body())
            await JSONResponse({"success": True})(scope, receive, send)
            return
        session = _session(scope, path) if scope["method"] == "GET" else ""
        if not session:
            await self.app(scope, receive, send)
            return
        state.listeners[session] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            state.listeners[session] -= 1
            if not state.listeners[session]:
                del state.listeners[session]


async def end_call(blocks: gr.Blocks, body: bytes) -> None:
    """End the call of {"event_id": ...}, waiting or running, as /cancel does; who listens is told its end.

    Ids are random and known to the client alone. Anything else in the body ends nothing.
    """
    try:
        event_id = str(ResetBody.model_validate_json(body).event_id)
    except ValidationError:
        return
    queue: Any = blocks._queue
    event = queue.event_ids_to_events.get(event_id)
    if event is None:
        return
    session = event.session_hash
    if event_id in queue.pending_event_ids_session.get(session, ()):
        queue.send_message(event, ProcessCompletedMessage(output={}, success=True, event_id=event_id))
    await queue.clean_events(event_id=event_id)


def _session(scope: Scope, path: str) -> str:
    """Return whose answers are listened for; empty if none are."""
    if path == DATA:
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
    if not path.startswith(CALL):
        return ""
    event_id = path.rpartition("/")[2]
    event = scope["app"].get_blocks()._queue.event_ids_to_events.get(event_id)
    return str(event.session_hash) if event else event_id
