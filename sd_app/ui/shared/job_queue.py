"""Jobs of the page and the API: one runs at a time, the others wait, each can be stopped.

Gradio's own queue could do the waiting, but it tells a waiting page nothing it can show in its own words,
and a job that waits there cannot be stopped by its owner.
"""

import contextvars
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread
from typing import TypeVar

from PIL import Image

from ...requests import Cancelled, Step

MAX_WAITING = 32  # jobs in the queue before new ones are turned away
PULSE_SECONDS = 0.5  # the longest silence of a stream, so that a closed page is noticed
FRAME_SECONDS = 0.1  # the shortest time between two steps worth drawing

ResultT = TypeVar("ResultT")
RequestT = TypeVar("RequestT")
Run = Callable[[Callable[[Step], None]], ResultT]  # takes on_step, returns a result


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The job waits for others."""

    ahead: int  # jobs before it, the running one included

    @property
    def text(self) -> str:
        jobs = "1 job" if self.ahead == 1 else f"{self.ahead} jobs"
        return f"Waiting for {jobs} before you"


@dataclass(eq=False, kw_only=True)
class QueuedJob:
    """One job from joining the queue to its end."""

    owner: str  # a page or an API client
    stop: Event = field(default_factory=Event)


class JobQueue:
    """First come, first served. Safe to use from several threads at once."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._jobs: list[QueuedJob] = []
        self._changed = Condition()
        self._max_waiting = max_waiting

    def join(self, owner: str) -> QueuedJob:
        """Join the end of the queue; raise ValueError if it is too long."""
        with self._changed:
            if len(self._jobs) > self._max_waiting:
                raise ValueError(f"{self._max_waiting} jobs are waiting already (try again in a while)")
            job = QueuedJob(owner=owner)
            self._jobs.append(job)
            return job

    def leave(self, job: QueuedJob) -> None:
        """Make room for the next one. Leaving twice is fine."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._changed.notify_all()

    def ahead(self, job: QueuedJob) -> int:
        """Count the jobs before this one."""
        with self._changed:
            return self._jobs.index(job)

    def wait(self, seconds: float) -> None:
        """Sleep until the queue moves, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def stop(self, owner: str | None = None) -> int:
        """Ask the owner's jobs to stop (None: everybody's); return how many there were."""
        with self._changed:
            jobs = [job for job in self._jobs if owner in (None, job.owner)]
            for job in jobs:
                job.stop.set()
            self._changed.notify_all()
            return len(jobs)


def stream(queue: JobQueue, owner: str, run: Run[ResultT]) -> Iterator[Waiting | Step | ResultT | None]:
    """Wait in the queue, then run in a thread of its own; yield Waiting, Step, and at last run's result.

    None is yielded when nothing happened for PULSE_SECONDS, so that the caller can close the generator.
    Closing it stops the job. A job stopped while it waits ends without a result. Raise what run raises.
    """
    job = queue.join(owner)
    try:
        yield from _wait(queue, job)
    except GeneratorExit:
        queue.leave(job)
        raise
    if job.stop.is_set():
        queue.leave(job)
        return
    yield from _run(queue, job, run)


def _wait(queue: JobQueue, job: QueuedJob) -> Iterator[Waiting | None]:
    told = 0
    while (ahead := queue.ahead(job)) and not job.stop.is_set():
        yield Waiting(ahead=ahead) if ahead != told else None
        told = ahead
        queue.wait(PULSE_SECONDS)


def _run(queue: JobQueue, job: QueuedJob, run: Run[ResultT]) -> Iterator[Step | ResultT | None]:
    steps: SimpleQueue[Step | None] = SimpleQueue()
    future: Future[ResultT] = Future()

    def on_step(step: Step) -> None:
        if job.stop.is_set():
            raise Cancelled
        steps.put(step)

    def work() -> None:
        try:
            future.set_result(run(on_step))
        except BaseException as error:  # noqa: BLE001  # handed over: result() raises it for the caller
            future.set_exception(error)
        finally:
            queue.leave(job)  # here and not in the page's thread, which may be gone by now
            steps.put(None)

    # A daemon, so that closing the app does not wait for a long job.
    Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    try:
        yield from _newest(steps)
        yield future.result()
    finally:
        job.stop.set()


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
        yield newest if newest.preview else _with_preview(newest, preview)


def _with_preview(step: Step, preview: Image.Image | None) -> Step:
    return replace(step, preview=preview) if preview is not None else step


def make_run(make: Callable[[RequestT, Callable[[Step], None]], ResultT], request: RequestT) -> Run[ResultT]:
    """Return the job of one request."""
    return lambda on_step: make(request, on_step)
