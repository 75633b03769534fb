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


def place(line: list[Job], job: Job, after: Job | None, movable: Sequence[Job]) -> int:
    """Put a job right after another, or first; return its place among the movable ones, 0-based.

    `movable` are those that whoever asks may move, in their order: their places in the line stay theirs, and
    they share them out anew.
    """
    others = [one for one in movable if one is not job]
    there = others.index(after) + 1 if after is not None else 0
    places = [line.index(one) for one in movable]
    for at, one in zip(places, [*others[:there], job, *others[there:]], strict=True):
        line[at] = one
    return there
