"""The jobs of a tab on its page: one press is a job, and a page that is opened anew finds it again."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic

import gradio as gr

from ...queue import Job, JobQueue
from .errors import error_sentence
from .job_events import Asked, JobView, ShownT, show_job
from .toasts import warn
from .visitors import owner_of, page_of


@dataclass(frozen=True, kw_only=True)
class TabJobs(Generic[ShownT]):
    """What a tab shows of the jobs that are shown in it, one after the other."""

    tab: str
    queue: JobQueue
    mode: str
    view_of: Callable[[Job | None], JobView[ShownT]]  # None: nothing was asked for yet
    _following: set[str] = field(default_factory=set)  # pages that show this tab's jobs as they run
    _lock: Lock = field(default_factory=Lock)

    def ask(self, ask: Callable[[], Asked], browser: gr.Request) -> Generator[ShownT, None, None]:
        """Put what a press asks for into the line, and show the tab's jobs until none is left."""
        yield from self.events(ask, owner_of(browser), page_of(browser))

    def events(
        self,
        ask: Callable[[], Asked],
        owner: str,
        page: str = "",
        *,
        view: JobView[ShownT] | None = None,
    ) -> Generator[ShownT, None, None]:
        """Do so for an owner, on a page. It never raises: errors become words, in `view` if it is given.

        If the page shows a job of this tab already, that goes on, and comes to this one when its turn is.
        """
        view = view or self.view_of(None)
        try:
            asked = ask()
            with self._lock:
                shown = page in self._following
                self.queue.submit(
                    owner,
                    asked.kind,
                    asked.request,
                    title=asked.title,
                    details=asked.details,
                    work=asked.work,
                )
                self._following.add(page)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with what was asked, the page says so
            message = error_sentence(error, self.mode)
            if page in self._following:
                warn(message)
            else:
                yield view.failed(message, None)
            return
        if not shown:
            yield from self._show(owner, page)

    def find(self, browser: gr.Request, *, kept: object = None) -> Generator[ShownT, None, None]:
        """Show the tab's job to a page that was opened anew: one that is alive, or what one's own came to.

        `kept` is the id of the job whose result the browser kept: that stands on the page already.
        """
        yield from self.found(owner_of(browser), page_of(browser), kept=kept)

    def found(self, owner: str, page: str = "", *, kept: object = None) -> Generator[ShownT, None, None]:
        """Do so for an owner, on a page."""
        with self._lock:
            job = self.queue.of_tab(self.tab, owner)
            if job is None or page in self._following:
                return
            if job.ended and (job.owner != owner or job.id == kept or (job.told and job.outcome is None)):
                return
            self._following.add(page)
        yield from self._show(owner, page)

    def _show(self, owner: str, page: str) -> Generator[ShownT, None, None]:
        """Show what is alive of the tab's jobs, one after the other, and what one's quick ones came to."""
        shown: list[Job] = []
        try:
            while True:
                with self._lock:
                    job = self.queue.of_tab(self.tab, owner)
                    if job is None or job in shown or (job.ended and job.owner != owner):
                        self._following.discard(page)
                        return
                shown.append(job)
                yield from show_job(self.queue, job, self.view_of(job))
        finally:
            self._following.discard(page)
