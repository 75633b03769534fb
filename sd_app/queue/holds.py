"""Owners who let their own jobs wait while everybody else's go on."""

import time
from collections.abc import Sequence

from .jobs import Job

HOLD_SECONDS = 3600.0  # the longest hold: held jobs take places in the line that others could have


class Holds:
    """Who holds their jobs. Used under the queue's lock."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # owner -> when the hold ends, by the monotonic clock

    def set(self, owner: str, *, held: bool) -> None:
        """Hold an owner's jobs, for HOLD_SECONDS at most, or let them go."""
        now = time.monotonic()
        self._until = {one: until for one, until in self._until.items() if until > now and one != owner}
        if held:
            self._until[owner] = now + HOLD_SECONDS

    def has(self, owner: str) -> bool:
        """Tell whether an owner's jobs are held."""
        return self._until.get(owner, 0.0) > time.monotonic()

    def next_of(self, line: Sequence[Job]) -> Job | None:
        """Return the first job that is not held."""
        return next((job for job in line if not self.has(job.owner)), None)

    def ahead_of(self, job: Job, line: Sequence[Job]) -> int:
        """Count the jobs that are before this one of a line. For others a held one does not count."""
        before = line[: line.index(job)]
        return len(before) if self.has(job.owner) else sum(not self.has(one.owner) for one in before)
