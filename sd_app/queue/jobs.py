"""One job: what it does, who asked for it, where it stands."""

import contextvars
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..requests import Step

WAITING, RUNNING, DONE, STOPPED, FAILED = "waiting", "running", "done", "stopped", "failed"
ENDED = (DONE, STOPPED, FAILED)

# Whose types each kind decides: a request, its result, and what is kept of that.
Request = Any
Result = Any
OnStep = Callable[[Step], None]


def as_it_is(result: Result, job: "Job") -> object:
    """Keep a result as it comes."""
    return result


@dataclass(frozen=True, kw_only=True)
class Listener:
    """The on_step of a running job, which also knows whether the line is paused.

    Then it holds the job up between two pictures, and who makes them has saved them all before it is told.
    """

    listen: OnStep
    paused: Callable[[], bool]

    def __call__(self, step: Step) -> None:
        self.listen(step)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of job: how it is run, and what is left of it."""

    name: str
    make: Callable[[Request, OnStep], Result]  # on_step may raise Cancelled, which stops it
    # What is left of a result, for everybody who looks: small values and paths, no pictures.
    keep: Callable[[Result, "Job"], object] = as_it_is
    summary: Callable[[Any], str] = lambda kept: ""  # what the line says of what is left of a result
    tab: str = ""  # where the page shows it; "" for jobs of other programs
    # Jobs of a request class are kept on disk while they wait; None: they are not.
    request_type: type | None = None
    # Makes of a stored job's details what they were: (request, details) -> details.
    again: Callable[[Request, Mapping[str, Any]], Mapping[str, Any]] = lambda request, details: details
    # What is kept of a job that was cut off: (its pictures, what happened, job) -> as `keep` returns.
    lost: Callable[[tuple[Path, ...], str, "Job"], object] | None = None
    passing: bool = False  # ends with who asked for it, and is forgotten then: answers to a press


@dataclass(frozen=True, kw_only=True)
class JobNow:
    """A job as it stands at one moment."""

    id: str
    owner: str
    kind: str
    tab: str
    title: str
    state: str  # waiting, running, done, stopped or failed
    ahead: int  # jobs before it while it waits, the running one included
    paused: bool  # whether the line stands still
    rests: bool  # it stands between two of its pictures until the line goes on
    held: bool  # it waits since its owner holds their jobs and lets others' go first
    stopping: bool  # it was asked to stop and has not heard it yet
    request: Request  # None once it has ended
    details: Mapping[str, Any]
    step: Step | None  # the newest, while it runs
    paths: tuple[Path, ...]  # files of the pictures finished so far
    outcome: object  # what was kept of the result; None if there is none
    summary: str  # the outcome in a few words
    failure: str  # why it failed, in words

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def waiting_text(self) -> str:
        """Say for how many it waits."""
        if self.held:
            return "Held (Resume is under Jobs)"
        jobs = "1 job" if self.ahead == 1 else f"{self.ahead} jobs"
        words = f"Waiting for {jobs} before you" if self.ahead else "Next in the line"
        return f"{words}; the line is paused" if self.paused else words


@dataclass(eq=False, kw_only=True)
class Job:
    """One job from asking to its end. Only the queue changes it, under its lock."""

    owner: str  # who asked: a visitor, a client
    kind: Kind
    request: Request
    title: str = ""  # what the line calls it
    details: Mapping[str, Any] = field(default_factory=dict)  # small values that `keep` or the page needs
    keep: bool = True  # goes on without anybody who follows, and can be found again after its end
    work: int = 0  # pixels x steps of all its pictures
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    # As it was asked from: on a Space that says who borrows the GPU.
    context: contextvars.Context | None = field(default_factory=contextvars.copy_context)
    state: str = WAITING
    stopping: bool = False
    rests: bool = False  # it waits between two pictures for the line to go on
    step: Step | None = None
    preview: Image.Image | None = None
    paths: tuple[Path, ...] = ()
    outcome: object = None
    summary: str = ""
    failure: str = ""
    earlier: tuple[Path, ...] = ()  # pictures that were finished before the app ended and began again
    tries: int = 0  # how often it was begun
    after: str = ""  # the newest picture in the outputs folder when it was begun
    told: bool = False  # somebody was shown how it ended
    version: int = 0  # counts changes

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def now(self, ahead: int, *, paused: bool, held: bool) -> JobNow:
        """Return how it stands, of which the line knows how many are before it."""
        step = self.step
        if step is not None and step.preview is None and self.preview is not None:
            step = replace(step, preview=self.preview)
        return JobNow(
            id=self.id,
            owner=self.owner,
            kind=self.kind.name,
            tab=self.kind.tab,
            title=self.title,
            state=self.state,
            ahead=ahead,
            paused=paused and not self.ended,
            rests=self.rests,
            held=held,
            stopping=self.stopping,
            request=self.request,
            details=self.details,
            step=step,
            paths=self.paths,
            outcome=self.outcome,
            summary=self.summary,
            failure=self.failure,
        )
