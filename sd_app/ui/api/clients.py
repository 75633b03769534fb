"""Whether the client of a call is still there.

Gradio tells a generator that its client has dropped the connection or cancelled the call, but not a function.
What it knows of the call says so: the event is no longer among the running ones, or marked as not alive.
"""

from collections.abc import Callable

from gradio.context import LocalContext


def client_of_event() -> Callable[[], bool]:
    """Return what tells whether the client of the running event is still there; yes, if nobody knows."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if blocks is None or event_id is None:
        return lambda: True

    def is_here() -> bool:
        running = [event for events in blocks._queue.active_jobs for event in events or ()]
        return any(event._id == event_id and event.alive for event in running)

    return is_here
