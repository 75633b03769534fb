"""The jobs of a tab on its page: one press is a job, and a page that is opened anew finds it again."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic

import gradio as gr

from ...queue import Job, JobQueue
from .errors import error_sentence
from .job_events import Asked, JobView, ShownT, draw_job, show_job
from .toasts import tell, warn
from .visitors import owner_of, page_of


@dataclass(frozen=True, kw_only=True)
class TabJobs(Generic[ShownT]):
    """What a tab shows of its jobs, one after the other. A page shows one at a time."""

    tab: str
    queue: JobQueue
    mode: str
    view_of: Callable[[Job | None], JobView[ShownT]]  # None: nothing was asked for yet
    _shows: dict[str, object] = field(default_factory=dict)  # page -> what stands for its running event
    _lock: Lock = field(default_factory=Lock)

    def ask(self, ask: Callable[[], Asked], browser: gr.Request) -> Generator[ShownT, None, None]:
        """Put what a press asks for into the line, and show the tab's jobs until none is left."""
        yield from self.events(ask, owner_of(browser), page_of(browser))

    def events(
        self, ask: Callable[[], Asked], owner: str, page: str = "", *, view: JobView[ShownT] | None = None
    ) -> Generator[ShownT, None, None]:
        """Do so for an owner, on a page. It never raises: errors become words, in `view` if it is given.

        The page has no job on its way, so what still shows one there has lost its connection, and ends.
        """
        try:
            self._submit(ask(), owner)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with what was asked, the page says so
            yield (view or self.view_of(None)).failed(error_sentence(error, self.mode), None)
            return
        yield from self._show(owner, page, self._claim(page))

    def add(self, ask: Callable[[], Asked], browser: gr.Request) -> Generator[ShownT, None, None]:
        """Put one more job into the line while the page shows another; that comes to this one in its turn."""
        yield from self.added(ask, owner_of(browser), page_of(browser))

    def added(self, ask: Callable[[], Asked], owner: str, page: str = "") -> Generator[ShownT, None, None]:
        """Do so for an owner, on a page."""
        try:
            asked = ask()
            with self._lock:
                job = self._submit(asked, owner)
                ticket = None if page in self._shows else self._claim(page)
        except Exception as error:  # noqa: BLE001  # as above; what is shown stays
            warn(error_sentence(error, self.mode))
            return
        tell(f"Added to the line. {self.queue.now(job).waiting_text}.")
        if ticket is not None:
            yield from self._show(owner, page, ticket)

    def _submit(self, asked: Asked, owner: str) -> Job:
        return self.queue.submit(
            owner, asked.kind, asked.request, title=asked.title, details=asked.details, work=asked.work
        )

    def find(self, browser: gr.Request, *, kept: object = None) -> Generator[ShownT, None, None]:
        """Show the tab's job to a page that was opened anew: one that is alive, or what one's own came to.

        `kept` is the id of the job whose result the browser kept: that stands on the page already.
        """
        yield from self.found(owner_of(browser), page_of(browser), kept=kept)

    def found(self, owner: str, page: str = "", *, kept: object = None) -> Generator[ShownT, None, None]:
        """Do so for an owner, on a page."""
        with self._lock:
            job = self.queue.of_tab(self.tab, owner)
            if job is None or page in self._shows:
                return
            if job.ended and (job.owner != owner or job.id == kept or (job.told and job.outcome is None)):
                return
            ticket = self._claim(page)
        yield from self._show(owner, page, ticket)

    def show(self, browser: gr.Request, event: gr.EventData) -> Generator[ShownT, None, None]:
        """Show the job that a press in the line asks for, or what the tab should show.

        An event that shows jobs on this page already ends: it may have lost its connection.
        """
        asked = event._data.get("id") if isinstance(event._data, dict) else None
        yield from self.shown(asked, owner_of(browser), page_of(browser))

    def shown(self, job_id: object, owner: str, page: str = "") -> Generator[ShownT, None, None]:
        """Do so for an owner, on a page."""
        try:
            job = self.queue.find(job_id, owner) if isinstance(job_id, str) else None
        except ValueError as error:
            warn(error_sentence(error, self.mode))
            return
        if job is not None and job.ended:
            now = self.queue.now(job)
            if now.tab == self.tab and page not in self._shows:
                yield draw_job(self.view_of(job), now)
            return
        with self._lock:
            ticket = self._claim(page)
        yield from self._show(owner, page, ticket)

    def _claim(self, page: str) -> object:
        """Begin to show jobs on a page; what showed them before ends."""
        ticket = self._shows[page] = object()
        return ticket

    def _show(self, owner: str, page: str, ticket: object) -> Generator[ShownT, None, None]:
        """Show what is alive of the tab's jobs, one after the other, and what one's quick ones came to."""
        seen: list[Job] = []
        try:
            while True:
                with self._lock:
                    job = self.queue.of_tab(self.tab, owner)
                    if job is None or job in seen or (job.ended and job.owner != owner):
                        self._release(page, ticket)
                        return
                seen.append(job)
                for drawn in show_job(self.queue, job, self.view_of(job)):
                    if self._shows.get(page) is not ticket:
                        return
                    yield drawn
        finally:
            self._release(page, ticket)

    def _release(self, page: str, ticket: object) -> None:
        if self._shows.get(page) is ticket:
            del self._shows[page]
