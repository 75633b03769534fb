"""The queue: jobs wait in one line, one runs at a time, and whoever may see a job can follow it by its id."""

import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from threading import Condition, Thread
from typing import Any

from ..requests import Cancelled, Step
from . import order
from .holds import Holds
from .jobs import DONE, FAILED, RUNNING, STOPPED, WAITING, Job, JobNow, Kind, Listener, Request
from .kept_line import KeptLine, arriving, pictures_of
from .limits import OWNER, Limits

PULSE_SECONDS = 0.5  # the longest silence of a follower, so that it can notice that nobody listens
FRAME_SECONDS = 0.1  # the shortest time between two steps worth drawing
CLOSING_SECONDS = 5.0  # that the running job has to hear that the app ends
REMEMBERED = 20  # ended jobs of one owner that can be found again
REMEMBERED_OF_ALL = 500


class JobQueue:
    """The one line of jobs of an app. Safe to use from several threads at once.

    `private`: each owner sees, stops and moves their own jobs only; otherwise everybody all, as on the
    machine of one person. `say` puts what a job died of into words, and may log it.
    """

    def __init__(
        self,
        *,
        private: bool = False,
        limits: Limits = OWNER,
        say: Callable[[Exception], str] = str,
        kept: KeptLine | None = None,
    ) -> None:
        """With a `kept` line, call `restore` once all kinds are registered, and `close` at the end."""
        self._private = private
        self._limits = limits
        self._say = say
        self._kept = kept
        self._kinds: dict[str, Kind] = {}
        self._line: list[Job] = []
        self._running: Job | None = None
        self._ended: list[Job] = []  # the oldest first
        self._paused = False
        self._holds = Holds()
        self._works = False  # whether the worker's thread is there
        self._changed = Condition()

    # -- asking

    def register(self, kind: Kind) -> None:
        """Make a kind of job known, so that jobs of it can be asked for by its name."""
        self._kinds[kind.name] = kind

    def submit(
        self,
        owner: str,
        kind: str,
        request: Request,
        *,
        title: str = "",
        details: Mapping[str, Any] | None = None,
        keep: bool | None = None,
        work: int = 0,
    ) -> Job:
        """Put a job into the line; raise ValueError if that is too much.

        It runs to its end with nobody there if `keep`, which is what its kind says unless it is given.
        """
        known = self._kinds[kind]
        keep = not known.passing if keep is None else keep
        job = Job(
            owner=owner,
            kind=known,
            request=self._kept.storable(request) if self._kept and keep and known.request_type else request,
            title=title,
            details=details or {},
            keep=keep,
            work=work,
        )
        with self._changed, arriving(self._kept, job.request):
            self._limits.check(self._line, job)
            self._line.insert(order.place_for(self._line, self._running, job), job)
            self._tell_line()
            self._start_worker()
        return job

    def restore(self) -> None:
        """Take up what waited when the app ended, and what is missing of the job that ran."""
        if self._kept is None:
            return
        jobs = self._kept.restore(self._kinds, self._say)
        with self._changed:
            self._ended += [job for job in jobs if job.ended]
            self._line += [job for job in jobs if not job.ended]
            self._tell_line()
            self._kept.sweep()
            self._start_worker()

    def close(self) -> None:
        """End in order: nothing new begins, and what waits or runs is there at the next start."""
        with self._changed:
            self._paused = True
            if self._running is not None:
                self._running.tries -= 1  # it was not this job that ended the app
            self._write()
            if self._kept is not None:
                self._kept.close()
            if self._running is not None:
                # A process that ends in the middle of a library's work would be aborted.
                self._running.stopping = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._running is None, CLOSING_SECONDS)

    @property
    def note(self) -> str:
        """Return what the owner should know of how the line is kept; "" for nothing."""
        return self._kept.note if self._kept else ""

    # -- looking

    def jobs(self, viewer: str) -> list[JobNow]:
        """Return what a viewer may see: the running job, the line in its order, then what has ended, newest
        first.
        """
        with self._changed:
            self._start_worker()  # a hold may have ended meanwhile
            return [self._now(job) for job in self._seen(viewer)]

    def find(self, job_id: str, viewer: str) -> Job:
        """Return a job by its id; raise ValueError if it is not there, or not the viewer's."""
        with self._changed:
            for job in self._seen(viewer):
                if job.id == job_id:
                    return job
        raise ValueError("there is no such job any more (ask for it again)")

    def of_tab(self, tab: str, viewer: str) -> Job | None:
        """Return the job that a tab should show: the running one, else the next, else the last that ended."""
        with self._changed:
            seen = self._seen(viewer)
            return next((job for job in seen if job.kind.tab == tab and job.keep), None)

    def now(self, job: Job) -> JobNow:
        """Return how a job stands."""
        with self._changed:
            return self._now(job)

    @property
    def paused(self) -> bool:
        return self._paused

    def follow(self, job: Job) -> Generator[JobNow | None, None, None]:
        """Yield how a job stands, whenever that changes, until it has ended; any number may follow.

        Steps come at most every FRAME_SECONDS, the newest with the latest preview. None is yielded when
        nothing happened for PULSE_SECONDS, so that the caller can close the generator. Closing it ends a job
        that is not to be kept, within a step; the others go on.
        """
        seen, shown_at = -1, 0.0
        try:
            while True:
                with self._changed:
                    self._start_worker()  # as in `jobs`
                    self._changed.wait_for(partial(_has_changed, job, seen), PULSE_SECONDS)
                    frame = shown_at + FRAME_SECONDS - time.monotonic()
                    if frame > 0:
                        self._changed.wait_for(lambda: job.ended, frame)
                    now = self._now(job) if job.version != seen else None
                    seen = job.version
                if now is not None and now.state == WAITING and not (now.ahead or now.paused or now.held):
                    continue  # it begins at once
                shown_at = time.monotonic()
                yield now
                if now is not None and now.ended:
                    return
        finally:
            if not job.keep:
                self._stop([job])

    def told(self, job: Job) -> None:
        """Note that somebody was shown how a job ended."""
        job.told = True

    # -- changing

    def stop(self, viewer: str, *, job_id: str | None = None, tab: str | None = None) -> int:
        """Stop what a viewer may: all, the job of an id, or what a tab shows: its running job, else the next.

        Return how many there were.
        """
        with self._changed:
            jobs = [job for job in self._seen(viewer) if not job.ended]
            if job_id is not None:
                jobs = [job for job in jobs if job.id == job_id]
            if tab is not None:
                jobs = [job for job in jobs if job.kind.tab == tab][:1]
            self._stop(jobs)
            return len(jobs)

    def clear(self, viewer: str) -> int:
        """Take all that waits out of the line, of what a viewer sees; return how many there were."""
        with self._changed:
            jobs = self._movable(viewer)
            self._stop(jobs)
            return len(jobs)

    def move(self, job_id: str, viewer: str, by: int) -> bool:
        """Let a waiting job change places with the viewer's one before it (-1) or after it (1)."""
        with self._changed:
            ids = [job.id for job in self._movable(viewer)]
            there = ids.index(job_id) + by if job_id in ids else -1
            if not 0 <= there < len(ids):
                return False
            ids.remove(job_id)
            return bool(self.place(job_id, viewer, ids[there - 1] if there else None))

    def place(self, job_id: str, viewer: str, after: str | None) -> int:
        """Put a waiting job right after another of the viewer's, or first; return its place, 0 if it is gone.

        The place counts what the viewer sees waiting, from 1. A job to stand after that waits no more makes
        this one the first.
        """
        with self._changed:
            movable = self._movable(viewer)
            by_id = {job.id: job for job in movable}
            job, before = by_id.get(job_id), by_id.get(after or "")
            if job is None or job is before:
                return 0
            there = order.place(self._line, job, before, movable)
            self._tell_line()
            return there + 1

    def pause(self) -> None:
        """Let nothing new begin, neither a job nor, of the running one, the next pictures."""
        self._set_paused(True)

    def resume(self) -> None:
        self._set_paused(False)

    def hold(self, owner: str, *, held: bool) -> None:
        """Let no job of an owner begin, for an hour at most, or let them; others' go on, and what runs."""
        with self._changed:
            self._holds.set(owner, held=held)
            self._tell_line()
            self._start_worker()

    def is_held(self, owner: str) -> bool:
        """Tell whether an owner's jobs wait because they wanted it so."""
        with self._changed:
            return self._holds.has(owner)

    # -- inside; all of it under the lock but the work itself

    def _set_paused(self, paused: bool) -> None:
        with self._changed:
            self._paused = paused
            self._tell_line()
            self._start_worker()

    def _sees(self, viewer: str, job: Job) -> bool:
        return not self._private or job.owner == viewer

    def _seen(self, viewer: str) -> list[Job]:
        running = [self._running] if self._running else []
        return [job for job in (*running, *self._line, *reversed(self._ended)) if self._sees(viewer, job)]

    def _movable(self, viewer: str) -> list[Job]:
        return [job for job in self._line if self._sees(viewer, job)]

    def _now(self, job: Job) -> JobNow:
        waits = job in self._line
        ahead = self._holds.ahead_of(job, self._line) + bool(self._running) if waits else 0
        return job.now(ahead, paused=self._paused, held=waits and self._holds.has(job.owner))

    def _tell(self, job: Job) -> None:
        job.version += 1
        self._changed.notify_all()

    def _tell_line(self) -> None:
        for job in (*self._line, *([self._running] if self._running else [])):
            job.version += 1
        self._write()
        self._changed.notify_all()

    def _stop(self, jobs: list[Job]) -> None:
        with self._changed:
            for job in jobs:
                if job in self._line:
                    self._line.remove(job)
                    self._end(job, STOPPED)
                elif job is self._running:
                    job.stopping = True
                    self._tell(job)
            self._tell_line()

    def _end(self, job: Job, state: str) -> None:
        """Mark a job as ended, and let go of what it does not need any more."""
        if state == STOPPED and job.outcome is None and job.paths and job.kind.lost:
            job.outcome = job.kind.lost(job.paths, f"Stopped. {pictures_of(job.paths)} finished before", job)
            job.summary = job.kind.summary(job.outcome)
        job.state, job.step, job.preview, job.request, job.context = state, None, None, None, None
        if job.keep:
            self._ended.append(job)
            own = [ended for ended in self._ended if ended.owner == job.owner]
            forgotten = set(own[:-REMEMBERED])
            left = [ended for ended in self._ended if ended not in forgotten]
            self._ended = left[-REMEMBERED_OF_ALL:]
        self._tell(job)

    def _write(self) -> None:
        if self._kept is not None:
            # A job that is being stopped is not wanted any more.
            running = [self._running] if self._running and not self._running.stopping else []
            self._kept.write([*running, *self._line])

    def _start_worker(self) -> None:
        if not self._works and self._next() is not None:
            self._works = True
            # A daemon, so that closing the app does not wait for a long job.
            Thread(target=self._work, name="jobs", daemon=True).start()

    def _next(self) -> Job | None:
        """Return the job that may begin next."""
        return None if self._paused else self._holds.next_of(self._line)

    def _work(self) -> None:
        """Run one job after the other; the thread ends when nothing waits."""
        while True:
            try:
                if not self._work_once():
                    return
            except Exception as error:  # noqa: BLE001  # a fault of the line: the next one runs
                self._give_up(error)

    def _work_once(self) -> bool:
        """Run the next job; return whether there was one."""
        with self._changed:
            self._running = None
            job = self._next()
            if job is None:
                self._works = False
                self._tell_line()
                return False
            self._line.remove(job)
            self._running = job
            job.state, job.tries = RUNNING, job.tries + 1
            job.after = self._kept.newest() if self._kept else ""
            self._tell_line()
        assert job.context is not None
        state, outcome, failure = job.context.run(self._run, job)
        with self._changed:
            job.outcome, job.failure = outcome, failure
            job.summary = "" if outcome is None else job.kind.summary(outcome)
            self._running = None
            self._end(job, state)
        return True

    def _give_up(self, error: Exception) -> None:
        """End the running job, which could not be begun, or not be ended as it came."""
        with self._changed:
            job, self._running = self._running, None
            if job is not None and not job.ended:
                job.failure = self._say(error)
                self._end(job, FAILED)

    def _run(self, job: Job) -> tuple[str, object, str]:
        """Run one job; return its last state, what is kept of its result, and why it failed."""
        try:
            on_step = Listener(listen=partial(self._on_step, job), paused=lambda: self._paused)
            result = job.kind.make(job.request, on_step)
            state = STOPPED if getattr(result, "stopped", False) else DONE
            return state, job.kind.keep(result, job), ""
        except Cancelled:
            return STOPPED, None, ""
        except BaseException as error:  # noqa: BLE001  # whatever a job dies of, it is said, the next one runs
            known = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            return FAILED, None, self._say(known)

    def _on_step(self, job: Job, step: Step) -> None:
        with self._changed:
            job.preview = step.preview or job.preview
            paths = (*job.earlier, *step.paths)
            new, job.step, job.paths = len(paths) > len(job.paths), step, paths
            if new:
                self._write()
            job.rests = self._paused and not step.step  # between two pictures
            self._tell(job)
            if job.rests:
                self._changed.wait_for(lambda: job.stopping or not self._paused)
                job.rests = False
            if job.stopping:
                raise Cancelled


def _has_changed(job: Job, seen: int) -> bool:
    return job.version != seen
