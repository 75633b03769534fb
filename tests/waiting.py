"""Keeping the line of jobs busy, for tests of what waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from sd_app.queue import Job, JobQueue, Kind
from sd_app.requests import Step
from sd_app.ui.shared.studio_protocol import OnStep


def step(number: int = 1, num_steps: int = 1, **more: object) -> Step:
    """Return a sign of life of a job of one picture."""
    known: dict[str, object] = {"image_index": 0, "num_images": 1, "seconds": 0.0, **more}
    return Step(step=number, num_steps=num_steps, **known)  # type: ignore[arg-type]


@contextmanager
def busy(queue: JobQueue, owner: str = "somebody") -> Iterator[Job]:
    """Have a job run, deaf to everything, as long as the `with` lasts."""
    begun, leave = Event(), Event()

    def wait(request: object, on_step: OnStep) -> None:
        begun.set()
        assert leave.wait(60)

    queue.register(Kind(name="busy", make=wait))
    job = queue.submit(owner, "busy", None)
    assert begun.wait(60)
    try:
        yield job
    finally:
        leave.set()
        ended(queue, job)


def ended(queue: JobQueue, *jobs: Job) -> None:
    """Wait until jobs have ended."""
    until = time.monotonic() + 60
    while not all(job.ended for job in jobs):
        assert time.monotonic() < until, "a job does not end"
        time.sleep(0.002)
