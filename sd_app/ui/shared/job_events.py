"""From a job to what a block of the page shows of it: waiting, its steps, its result, its failure."""

from collections.abc import Generator
from typing import Protocol, TypeVar

from ...requests import Step
from .errors import error_sentence
from .job_queue import JobQueue, ResultT, Run, Waiting, stream

ShownT = TypeVar("ShownT")  # an event's outputs: the value of a block, or a tuple of such values
ShownT_co = TypeVar("ShownT_co", covariant=True)


class JobView(Protocol[ShownT_co, ResultT]):
    """One job as a block of the page shows it. What it needs from one event to the next, it keeps."""

    @property
    def unchanged(self) -> ShownT_co:
        """Leave everything on the page as it is."""

    def start(self) -> Run[ResultT]:
        """Read what is asked and return the job; raise ValueError for what cannot be run."""

    def begun(self) -> ShownT_co | None:
        """Show that the request was read, before the job gets its place in the queue; None: nothing."""
        return None

    def waiting(self, event: Waiting) -> ShownT_co:
        """Show how many jobs are before this one."""

    def step(self, step: Step) -> ShownT_co:
        """Show how far the job is."""
        return self.unchanged

    def finished(self, result: ResultT) -> ShownT_co:
        """Show the result, which may be that of a job stopped on its way."""

    def stopped(self) -> ShownT_co:
        """Show that the job was stopped before it began."""

    def failed(self, message: str) -> ShownT_co:
        """Show what went wrong, also while the result was being shown."""


def job_events(
    queue: JobQueue, owner: str, view: JobView[ShownT, ResultT], mode: str
) -> Generator[ShownT, None, None]:
    """Run a view's job in the queue; yield what the page shows of it. It never raises: errors become words.

    Closing the generator stops the job. `mode` decides what an error may tell; see error_text.
    """
    try:
        run = view.start()
        begun = view.begun()
        if begun is not None:
            yield begun
        for event in stream(queue, owner, run):
            match event:
                case None:
                    yield view.unchanged
                case Waiting():
                    yield view.waiting(event)
                case Step():
                    yield view.step(event)
                case _:
                    yield view.finished(event)
                    return
        yield view.stopped()
    except Exception as error:  # noqa: BLE001  # whatever a job dies of, the page says so and lives
        yield view.failed(error_sentence(error, mode))


def result_of(queue: JobQueue, owner: str, run: Run[ResultT]) -> ResultT | None:
    """Run a job in the queue for a client that hears nothing on the way; None if stopped before it began."""
    for event in stream(queue, owner, run):
        if event is not None and not isinstance(event, Waiting | Step):
            return event
    return None
