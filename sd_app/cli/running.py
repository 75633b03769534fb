"""A command's work as a job of a line of its own: with the states, the stop and the end of any other job."""

from collections.abc import Callable
from typing import Any, TypeVar

from ..queue import FAILED, JobQueue, Kind
from ..requests import Cancelled, Step
from .progress import Check, Show

OWNER = "command line"

ResultT = TypeVar("ResultT")


def run_as_job(
    make: Callable[[Any, Callable[[Step], None]], ResultT], request: object, *, show: Show, check: Check
) -> ResultT:
    """Run `make(request, on_step)` as a job; return its result, also that of a stopped one.

    `show` is called with its steps, by who waits for them. Raise what the job failed of, and Cancelled if it
    was stopped before there was a result.
    """
    failures: list[Exception] = []
    steps: list[Step] = []

    def say(error: Exception) -> str:
        failures.append(error)
        return ""  # the command says it

    def checked(request: object, on_step: Callable[[Step], None]) -> ResultT:
        def told(step: Step) -> None:
            check()  # here, so that Ctrl+C is heard at this very step
            steps[:] = [step]
            on_step(step)

        return make(request, told)

    queue = JobQueue(say=say)
    queue.register(Kind(name="command", make=checked))
    job = queue.submit(OWNER, "command", request)
    try:
        for now in queue.follow(job):
            if now is not None and now.step is not None:
                show(now.step)
    except BaseException:
        queue.close()  # a second Ctrl+C: what a library is in the middle of ends first
        raise
    if job.state == FAILED:
        raise failures[0]
    if job.outcome is None:
        raise Cancelled
    if steps:
        show(steps[0])  # how far it came at last
    result: ResultT = job.outcome  # type: ignore[assignment]
    return result
