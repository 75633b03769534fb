"""The line as it is kept on disk: what is written of its jobs, and what becomes of them at the next start."""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..requests import MAX_RANDOM_SEED, Txt2ImgRequest
from .jobs import DONE, FAILED, RUNNING, STOPPED, Job, Kind, Request
from .recovery import finished, left_to_make, newest
from .store import Coming, JobStore
from .stored import StoredJob, request_of, request_values, with_kept_pictures

TWICE = "the app ended twice while this job ran, so it is not begun again (ask for it again)"

log = logging.getLogger(__name__)


class KeptLine:
    """Keeps the jobs of a line in the outputs folder. All but `storable` is called under the queue's lock."""

    def __init__(self, outputs_dir: Path) -> None:
        self._outputs_dir = outputs_dir.resolve()
        self._store = JobStore(self._outputs_dir)
        self._written: list[StoredJob] = []
        self._coming: dict[int, tuple[Request, Coming]] = {}  # by the identity of the request

    @property
    def note(self) -> str:
        """Return what the owner should know of it; "" for nothing."""
        return self._store.note

    def newest(self) -> str:
        """Return what marks the newest picture in the outputs folder."""
        return newest(self._outputs_dir)

    def storable(self, request: Request) -> Request:
        """Return a request as it can be written down: its seed drawn, its pictures kept as files."""
        if not self._store.is_open:
            return request
        changed: dict[str, Any] = {}
        if isinstance(request, Txt2ImgRequest) and request.seed is None:
            changed["seed"] = secrets.randbelow(MAX_RANDOM_SEED - request.num_images + 2)
        coming = self._store.expect()
        try:
            changed |= with_kept_pictures(request, partial(self._store.keep_picture, coming))
        except OSError as error:  # it runs all the same, but is not there after a restart
            log.warning("A picture is not kept for the next start: %s", error.strerror or error)
        except BaseException:
            self._store.arrived(coming)
            raise
        kept = replace(request, **changed) if changed else request
        if coming.names:
            self._coming[id(kept)] = (kept, coming)
        else:
            self._store.arrived(coming)
        return kept

    def arrived(self, request: Request) -> None:
        """From here on the line says whether what `storable` returned needs its pictures."""
        _, coming = self._coming.pop(id(request), (None, None))
        if coming:
            self._store.arrived(coming)

    def write(self, jobs: Sequence[Job]) -> None:
        """Write down the jobs that are to be kept."""
        if not self._store.is_open:
            return
        had = {job.id for job in self._written}
        self._written = [stored for job in jobs if (stored := self._stored(job)) is not None]
        self._store.write(self._written)
        if not had <= {job.id for job in self._written}:
            self.sweep()

    def sweep(self) -> None:
        """Delete the pictures that no job needs any more."""
        if self._store.is_open:
            self._store.sweep(self._written)

    def close(self) -> None:
        self._store.close()

    def restore(self, kinds: Mapping[str, Kind], say: Callable[[Exception], str]) -> list[Job]:
        """Return the jobs that were kept, in their order; those that cannot go on have ended."""
        return [self._restored(one, kinds[one.kind], say) for one in self._store.open() if one.kind in kinds]

    def _stored(self, job: Job) -> StoredJob | None:
        if not (job.keep and job.kind.request_type):
            return None
        try:
            values = request_values(job.request, self._store.folder)
        except ValueError:  # its pictures could not be kept
            return None
        return StoredJob(
            id=job.id,
            owner=job.owner,
            kind=job.kind.name,
            title=job.title,
            request=values,
            details=dict(job.details),
            work=job.work,
            running=job.state == RUNNING,
            tries=job.tries,
            earlier=self._names(job.earlier),
            paths=self._names(job.paths[len(job.earlier) :]),
            after=job.after,
        )

    def _names(self, paths: Sequence[Path]) -> list[str]:
        return [path.resolve().relative_to(self._outputs_dir).as_posix() for path in paths]

    def _restored(self, stored: StoredJob, kind: Kind, say: Callable[[Exception], str]) -> Job:
        job = Job(
            id=stored.id,
            owner=stored.owner,
            kind=kind,
            request=None,
            title=stored.title,
            work=stored.work,
            tries=stored.tries,
        )
        earlier = [path for path in (self._outputs_dir / name for name in stored.earlier) if path.is_file()]
        try:
            assert kind.request_type
            request = request_of(kind.request_type, stored.request, self._store.folder)
            job.details = kind.again(request, stored.details)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, it is said; the others go on
            job.state, job.failure = FAILED, say(error)
            return job
        made = finished(stored, request, self._outputs_dir) if stored.running else ()
        job.earlier = job.paths = (*earlier, *made)
        job.request = left_to_make(stored, request, made) if stored.running else request
        if job.request is None:
            _cut_off(job, len(earlier) + getattr(request, "num_pictures", 0))
        return job


@contextmanager
def arriving(kept: KeptLine | None, request: Request) -> Iterator[None]:
    """While a request that was made storable is put into the line, or refused there."""
    try:
        yield
    finally:
        if kept is not None:
            kept.arrived(request)


def _cut_off(job: Job, total: int) -> None:
    """End a job that is not begun again: what there is of it is shown."""
    if not (job.paths and job.kind.lost):
        job.state, job.failure = FAILED, TWICE
        return
    all_there = len(job.paths) >= total
    text = "finished before the app ended" if all_there else f"of {total} finished when the app ended"
    job.state = DONE if all_there else STOPPED
    job.outcome = job.kind.lost(job.paths, f"{pictures_of(job.paths)} {text}", job)
    job.summary = job.kind.summary(job.outcome)


def pictures_of(paths: Sequence[Path]) -> str:
    """Return "1 picture", "3 pictures"."""
    return f"{len(paths)} picture{'' if len(paths) == 1 else 's'}"
