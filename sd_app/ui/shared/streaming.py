"""A call that tells its steps, as a generator of them: what a lent GPU's process hands back."""

import contextvars
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from ...queue import FRAME_SECONDS, PULSE_SECONDS
from ...requests import Cancelled, Step

ResultT = TypeVar("ResultT")
Run = Callable[[Callable[[Step], None]], ResultT]  # takes on_step, returns a result


def stream(run: Run[ResultT]) -> Iterator[Step | ResultT | None]:
    """Run in a thread of its own; yield the newest step now and then, and at last the result.

    None is yielded when nothing happened for PULSE_SECONDS, so that the caller can close the generator.
    Closing it stops the run. Raise what run raises.
    """
    steps: SimpleQueue[Step | None] = SimpleQueue()
    future: Future[ResultT] = Future()
    stop = Event()

    def on_step(step: Step) -> None:
        if stop.is_set():
            raise Cancelled
        steps.put(step)

    def work() -> None:
        try:
            future.set_result(run(on_step))
        except BaseException as error:  # noqa: BLE001  # handed over: result() raises it for the caller
            future.set_exception(error)
        finally:
            steps.put(None)

    Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    try:
        yield from _newest(steps)
        yield future.result()
    finally:
        stop.set()


def _newest(steps: SimpleQueue[Step | None]) -> Iterator[Step | None]:
    """Yield the newest step at most every FRAME_SECONDS, with the last preview, until None arrives."""
    while True:
        try:
            step = steps.get(timeout=PULSE_SECONDS)
        except Empty:
            yield None
            continue
        preview = None
        until = time.monotonic() + FRAME_SECONDS
        while step is not None:
            preview = step.preview or preview
            newest = step
            try:
                step = steps.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
        else:
            return
        yield newest if newest.preview or preview is None else replace(newest, preview=preview)
