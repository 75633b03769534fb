"""Save pictures while the next ones are made."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

Save = Callable[[], Path]  # writes one picture whole, and returns where it is


class Saver:
    """Save pictures one after the other, in a thread of its own where that pays.

    Used in a `with`: when it is left, all pictures are on disk, also after an error or a stop. What one
    picture's saving raises comes out of check, wait or the end of the `with`; the others are saved anyway.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self._saves: list[Future[Path]] = []

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if error is None:
            self.check()

    @property
    def paths(self) -> list[Path]:
        """Return the files that are there, in the pictures' order."""
        return [save.result() for save in self._saves if save.done() and not save.exception()]

    def save(self, save: Save, *, behind: bool) -> None:
        """Save a picture: now, or behind the work that follows."""
        if behind:
            self._saves.append(self._thread.submit(save))
            return
        self.wait()
        saved: Future[Path] = Future()
        saved.set_result(save())
        self._saves.append(saved)

    def wait(self) -> None:
        """Wait until all is saved. Raise OSError as check does."""
        for save in self._saves:
            save.exception()
        self.check()

    def check(self) -> None:
        """Raise the OSError of the first picture that could not be saved, if there is one."""
        for save in self._saves:
            if save.done():
                save.result()
