"""The order of the line: fair between owners, and as people move it."""

from collections import Counter
from collections.abc import Sequence

from .jobs import Job


def place_for(line: Sequence[Job], running: Job | None, new: Job) -> int:
    """Return where a new job joins the line: round robin, each owner's first before anybody's second.

    The running job counts as its owner's first, so that who comes new waits for it alone.
    """
    served: Counter[str] = Counter([running.owner] if running else [])
    turn = served[new.owner] + sum(job.owner == new.owner for job in line)
    for place, job in enumerate(line):
        if served[job.owner] > turn:
            return place
        served[job.owner] += 1
    return len(line)


def move(line: list[Job], job: Job, by: int, movable: Sequence[Job]) -> bool:
    """Let a job change places with one before it (by -1) or after it (by 1); False at the end.

    `movable` are those that may be moved, in their order: whoever asks moves none of the others.
    """
    there = movable.index(job) + by
    if not 0 <= there < len(movable):
        return False
    here, other = line.index(job), line.index(movable[there])
    line[here], line[other] = line[other], line[here]
    return True
