"""What is looked at just now, bounded: a page holds a key, the desk what it opens.

A key is a long random word, told only to the page that opened it: who has it may look.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...queue import Job, JobQueue, Kind
from ...requests import Cancelled, LookAnswer, PanelShown, Step
from ..shared.errors import error_sentence
from ..shared.files import PictureFiles
from ..shared.studio_protocol import OnStep, PageStudio

ASK = "look"  # the kind of job, and what the line takes for its tab
FILES = "files"  # the action that every panel has: its files, to be saved
MOST_OPEN = 8  # recordings that are open, films of results among them
MOST_OF_ONE = 3  # of them a visitor's
MOST_BYTES = 2**30  # of them all: 25 of SD 1.5, 10 of SDXL
MOST_LISTED = 30  # recordings
MOST_NAMES = 100  # recordings of a visitor that are remembered as theirs
MOST_VISITORS = 300
GONE_SECONDS = 30.0  # after which what a page asked for is stopped, if it has not asked how far it is

CLOSED = "this was put away since (open it again)"
NO_FILM = (
    "the film of this picture is not in memory any more (press Look inside: the picture is then made again)"
)


@dataclass(kw_only=True)
class Ask:
    """One thing that a page asks of a panel, as a job of the line."""

    opened: "Opened"
    panel: str
    action: str
    given: Mapping[str, object]
    seen: float = field(default_factory=time.monotonic)  # when the page last asked how far it is


@dataclass(kw_only=True)
class Opened:
    """Something that is looked at, by its key."""

    key: str
    owner: str
    looked: Any  # what the studio's look or look_at_picture returned
    running: frozenset[tuple[str, str]]  # panel and action of what waits for its turn
    titles: Mapping[str, str]
    num_bytes: int = 0
    jobs: OrderedDict[str, Job] = field(default_factory=OrderedDict)


class Desk:
    """Safe to use from several threads."""

    def __init__(self, studio: PageStudio, queue: JobQueue, files: PictureFiles) -> None:
        self.studio, self.queue, self.files = studio, queue, files
        self._private = studio.settings.mode != "local"
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Opened] = OrderedDict()  # the one used last at the end
        self._names: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()  # by owner
        queue.register(Kind(name=ASK, make=self._run, tab=ASK, passing=True))

    # -- what is open

    def open(self, looked: Any, owner: str, *, key: str = "") -> Opened:
        """Put something on the desk; what was used longest ago makes room for it."""
        facts = self.studio.look_facts(looked)
        looked.list_others, looked.open_other = partial(self.kept, owner), partial(self.open_kept, owner)
        opened = Opened(
            key=key or secrets.token_urlsafe(16),
            owner=owner,
            looked=looked,
            running=frozenset((panel.name, action) for panel in facts.panels for action in panel.running),
            titles={panel.name: panel.title for panel in facts.panels},
            num_bytes=facts.num_bytes,
        )
        with self._lock:
            self._open[opened.key] = opened
            own = [one.key for one in self._open.values() if one.owner == owner]
            for gone in own[:-MOST_OF_ONE] if self._private else []:
                del self._open[gone]
            while len(self._open) > 1 and self._is_full():
                self._open.popitem(last=False)
        return opened

    def _is_full(self) -> bool:
        size = sum(one.num_bytes for one in self._open.values())
        return len(self._open) > MOST_OPEN or size > MOST_BYTES

    def find(self, key: object) -> Opened:
        """Return what a key, or a result's token, opens. Raise LookupError in words if there is nothing."""
        if not isinstance(key, str):
            raise LookupError(CLOSED)
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
        made = self.files.made.find(key)
        if made is None:
            raise LookupError(CLOSED)
        film = self.studio.film_of(made.request)
        if film is None:
            raise LookupError(NO_FILM)
        return self.open(self.studio.look(film), made.owner, key=key)

    # -- whose recordings these are

    def own(self, owner: str, name: str) -> None:
        """Remember that a recording is of a visitor's own picture."""
        with self._lock:
            names = self._names.setdefault(owner, OrderedDict())
            self._names.move_to_end(owner)
            names[name] = None
            if len(names) > MOST_NAMES:
                names.popitem(last=False)
            if len(self._names) > MOST_VISITORS:
                self._names.popitem(last=False)

    def may_open(self, owner: str, name: str) -> bool:
        """Tell whether a recording may be opened by somebody: on one's own machine everybody may."""
        with self._lock:
            return not self._private or name in self._names.get(owner, ())

    def kept(self, owner: str, *, damaged: bool = False) -> list[Mapping[str, object]]:
        """List the recordings that somebody may open, the newest first; with `damaged` others too."""
        kept: list[Mapping[str, object]] = []
        for name in self.studio.recordings():
            if len(kept) == MOST_LISTED:
                break
            if not self.may_open(owner, name):
                continue
            try:
                one = self.studio.describe_recording(name)
            except ValueError as error:  # damaged, of another version, or gone since: nothing can be opened
                if damaged:
                    problem = error_sentence(error, self.studio.settings.mode)
                    kept.append({"name": name, "problem": problem})
                continue
            kept.append({"name": name, "prompt": one.prompt, "seed": str(one.seed), "bytes": one.size_bytes})
        return kept

    def open_kept(self, owner: str, name: object) -> Any:
        """Return a recording that somebody may open, by its name. Raise ValueError in words."""
        if not isinstance(name, str) or not self.may_open(owner, name):
            raise ValueError("this recording is not kept any more (record the picture again)")
        return self.studio.open_recording(name)

    # -- what is done in a panel

    def waits(self, opened: Opened, panel: str, action: str) -> bool:
        """Tell whether something waits for its turn in the line."""
        return action == FILES or (panel, action) in opened.running

    def answer(
        self, opened: Opened, panel: str, action: str, given: Mapping[str, object]
    ) -> LookAnswer | PanelShown:
        """Answer at once. Raise ValueError in words."""
        if action == FILES:
            return self.studio.look_files(opened.looked, panel)
        return self.studio.look_answer(opened.looked, panel, action, given)

    def submit(self, opened: Opened, panel: str, action: str, given: Mapping[str, object]) -> Job:
        """Put it into the line. Raise ValueError if there is too much."""
        asked = Ask(opened=opened, panel=panel, action=action, given=given)
        title = opened.titles.get(panel, "Look inside")
        job = self.queue.submit(opened.owner, ASK, asked, title=title)
        with self._lock:
            opened.jobs[job.id] = job
            for known in [one for one in opened.jobs.values() if one.ended and one is not job][:-8]:
                del opened.jobs[known.id]
        return job

    def job(self, opened: Opened, job_id: object) -> Job:
        """Return a job that was put into the line for this key. Raise LookupError if there is none."""
        job = opened.jobs.get(job_id) if isinstance(job_id, str) else None
        if job is None:
            raise LookupError("this was stopped since (do it again)")
        if isinstance(asked := job.request, Ask):
            asked.seen = time.monotonic()
        return job

    def _run(self, asked: Ask, on_step: OnStep) -> LookAnswer | PanelShown:
        """Do what was asked, in its turn; it ends when the page is gone."""

        def heard(step: Step) -> None:
            if time.monotonic() - asked.seen > GONE_SECONDS:
                raise Cancelled
            on_step(step)

        looked = asked.opened.looked
        looked.on_step = heard
        try:
            return self.answer(asked.opened, asked.panel, asked.action, asked.given)
        finally:
            looked.on_step = None
