"""From a job of the queue to what a block of the page shows of it: waiting, its steps, its end."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ...queue import DONE, FAILED, STOPPED, WAITING, Job, JobNow, JobQueue
from .errors import error_sentence, sentence

ShownT = TypeVar("ShownT")  # an event's outputs: the value of a block, or a tuple of such values
ShownT_co = TypeVar("ShownT_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one press asks for; see JobQueue.submit."""

    kind: str
    request: Any
    title: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    work: int = 0


class JobView(Protocol[ShownT_co]):
    """A job as a block of the page shows it. Made anew for each press, and each time a page finds the job."""

    def begun(self) -> ShownT_co | None:
        """Show that the request was read, before the job gets its place in the line; None: nothing."""
        return None

    def waiting(self, now: JobNow) -> ShownT_co:
        """Show how many jobs are before this one."""

    def running(self, now: JobNow) -> ShownT_co:
        """Show how far the job is."""

    def finished(self, now: JobNow) -> ShownT_co:
        """Show what was kept of the result, which may be that of a job stopped on its way."""

    def stopped(self, now: JobNow) -> ShownT_co:
        """Show that the job was stopped before there was a result."""

    def failed(self, message: str, now: JobNow | None) -> ShownT_co:
        """Show what went wrong; `now` is None if that was before it became a job."""


def job_events(
    queue: JobQueue, owner: str, ask: Callable[[], Asked], view: JobView[ShownT], mode: str
) -> Generator[ShownT, None, None]:
    """Put what is asked into the line and show it to its end. It never raises: errors become words.

    Closing the generator ends the job only if it is of a passing kind. `mode` decides what an error may tell;
    see error_text.
    """
    try:
        asked = ask()
        begun = view.begun()
        if begun is not None:
            yield begun
        job = queue.submit(
            owner,
            asked.kind,
            asked.request,
            title=asked.title,
            details=asked.details,
            work=asked.work,
        )
    except Exception as error:  # noqa: BLE001  # whatever is wrong with what was asked, the page says so
        yield view.failed(error_sentence(error, mode), None)
        return
    yield from show_job(queue, job, view)


def show_job(queue: JobQueue, job: Job, view: JobView[ShownT]) -> Generator[ShownT, None, None]:
    """Yield what the page shows of a job from now to its end; any number of pages may."""
    drawn = draw_job(view, queue.now(job))
    events = queue.follow(job)
    try:
        for now in events:
            if now is not None:
                drawn = draw_job(view, now)
            yield drawn  # also when nothing is new: a tab that is just being opened may lose what comes first
        queue.told(job)
    finally:
        events.close()


def draw_job(view: JobView[ShownT], now: JobNow) -> ShownT:
    """Return what a view shows of a job as it stands."""
    if now.state == WAITING:
        return view.waiting(now)
    if now.state == FAILED:
        return view.failed(sentence(now.failure), now)
    if now.state == STOPPED and now.outcome is None:
        return view.stopped(now)
    return view.finished(now) if now.state in (DONE, STOPPED) else view.running(now)
