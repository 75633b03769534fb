"""Fetch a hub model: several files at a time, one transfer however many wait for it, stopped at once."""

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Lock, Thread

from ..checkpoints.folders import why_unusable
from ..requests import DownloadPlan, DownloadProgress, HubFile, format_bytes
from .http_client import Stop, Stopped
from .hub_cache import find_snapshot, link, point_main
from .hub_errors import FileError
from .transfer import fetch_file

WORKERS = 4  # files at a time
PULSE_SECONDS = 0.2  # between two words to those who wait
SPEED_SECONDS = 5.0  # over which the speed is measured

OnProgress = Callable[[DownloadProgress], None]  # may raise Cancelled

_running: dict[str, "Transfer"] = {}  # hub id -> what fetches it in this process
_lock = Lock()


def download(plan: DownloadPlan, on_progress: OnProgress | None = None, *, bar: bool | None = None) -> Path:
    """Fetch what a plan says and return the model's folder.

    Whoever asks for a model that is on its way already waits for the same transfer. on_progress is called
    five times a second; what it raises comes out of here, and when nobody waits any more the transfer stops
    with its partial files kept. `bar` draws one in the terminal, by default only without on_progress. Raise
    ValueError or OSError in words.
    """
    check_room(plan)
    draw = on_progress is None if bar is None else bar
    with _join(plan) as transfer, _terminal_bar(plan.hub_id, show=draw) as show:
        while not transfer.wait(PULSE_SECONDS):
            for tell in filter(None, (show, on_progress)):
                tell(transfer.progress())
        show(transfer.progress())
        transfer.raise_error()
    if reason := why_unusable(plan.folder / "snapshots" / plan.revision):
        raise ValueError(f"{plan.hub_id} cannot be used: {reason}")
    return plan.folder / "snapshots" / plan.revision


def is_running(hub_id: str) -> bool:
    """Tell whether this process is fetching a model."""
    return hub_id in _running


def check_room(plan: DownloadPlan) -> None:
    """Refuse what the disk cannot hold. A visitor may read the words, so they name no path."""
    if not plan.fits:
        raise ValueError(
            f"{plan.hub_id} needs {format_bytes(plan.missing_bytes)} more, and the disk of Hugging Face's"
            f" download folder has {format_bytes(plan.free_bytes)} free (delete something, or set"
            " HF_HUB_CACHE to a folder on a larger disk)"
        )


class Transfer:
    """A model that is being fetched, by threads of its own."""

    def __init__(self, plan: DownloadPlan) -> None:
        self.plan = plan
        self.waiting = 0  # callers; when the last one leaves, it stops
        self._files: queue.SimpleQueue[HubFile] = queue.SimpleQueue()
        self._stop = Stop()
        self._changed = Condition()
        self._busy = WORKERS
        self._error: Exception | None = None
        self._done_bytes = plan.total_bytes - plan.missing_bytes
        self._started = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._started, 0)])
        self._fetched_bytes = 0

    def start(self) -> None:
        """Begin. Small files come first, so that the model can be described early."""
        # While nothing usable is there, the catalog shall find the configurations as they come.
        if find_snapshot(self.plan.hub_id) is None:
            point_main(self.plan.folder, self.plan.revision)
        for file in self.plan.files:
            self._files.put(file)
        for _ in range(WORKERS):
            Thread(target=self._work, daemon=True, name=f"download {self.plan.hub_id}").start()

    def stop(self) -> None:
        """Stop within a moment and keep what has come."""
        self._stop.ask()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; tell whether it is reached."""
        with self._changed:
            return self._changed.wait_for(lambda: self._busy == 0, seconds)

    def raise_error(self) -> None:
        """Raise what a worker died of."""
        if self._error:
            raise self._error

    def progress(self) -> DownloadProgress:
        """Tell how far it is."""
        now = time.monotonic()
        with self._changed:
            while len(self._samples) > 1 and now - self._samples[0][0] > SPEED_SECONDS:
                self._samples.popleft()
            since, before = self._samples[0]
            fetched = self._fetched_bytes - before
            return DownloadProgress(
                hub_id=self.plan.hub_id,
                done_bytes=self._done_bytes,
                total_bytes=self.plan.total_bytes,
                seconds=now - self._started,
                bytes_per_second=max(0, fetched) / (now - since)
                if self._fetched_bytes and now > since
                else None,
            )

    def _work(self) -> None:
        try:
            while self._error is None:
                try:
                    file = self._files.get_nowait()
                except queue.Empty:
                    break
                fetch_file(
                    self.plan.hub_id,
                    self.plan.revision,
                    file,
                    self.plan.folder,
                    stop=self._stop,
                    told=self._told,
                )
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001  # handed over: raise_error raises it for the callers
            self._error = self._error or error
            self._stop.ask()  # the others need not go on
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            if self._busy == 1 and self._error is None and self._files.empty():
                self._finish()
            self._busy -= 1
            self._changed.notify_all()

    def _finish(self) -> None:
        """Link what is there already and show the world the whole model."""
        try:
            self._stop.check()
            for file in self.plan.files:
                link(self.plan.folder, self.plan.revision, file.path, file.blob)
            point_main(self.plan.folder, self.plan.revision)
        except Stopped:
            pass
        except OSError as error:
            self._error = FileError(f"{self.plan.folder} cannot be written: {error.strerror or error}")

    def _told(self, count: int) -> None:
        with self._changed:
            self._done_bytes += count
            self._fetched_bytes += count
            now = time.monotonic()
            if now - self._samples[-1][0] > PULSE_SECONDS:
                self._samples.append((now, self._fetched_bytes))


@contextmanager
def _join(plan: DownloadPlan) -> Iterator[Transfer]:
    """Wait for the transfer of a model together with whoever waits for it already."""
    with _lock:
        transfer = _running.get(plan.hub_id)
        if transfer is None:
            transfer = Transfer(plan)
            _start(transfer)
            _running[plan.hub_id] = transfer
        transfer.waiting += 1
    try:
        yield transfer
    finally:
        with _lock:
            transfer.waiting -= 1
            if not transfer.waiting:
                del _running[plan.hub_id]
                transfer.stop()


def _start(transfer: Transfer) -> None:
    try:
        transfer.start()
    except OSError as error:
        folder = transfer.plan.folder
        raise FileError(f"{folder} cannot be written: {error.strerror or error}") from error


@contextmanager
def _terminal_bar(hub_id: str, *, show: bool) -> Iterator[OnProgress]:
    """Draw a bar on stderr if there is a terminal; yield what moves it."""
    if not show:
        yield lambda progress: None
        return
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}B of {total_fmt}B, {rate_fmt}, {remaining} left"
    with tqdm(
        total=0, desc=f"Downloading {hub_id}", bar_format=layout, unit="B", unit_scale=True, disable=None
    ) as bar:

        def move(progress: DownloadProgress) -> None:
            if not bar.total:  # what was there before counts for the length, not for the speed
                bar.reset(progress.total_bytes)
                bar.initial = bar.n = progress.done_bytes
            bar.n = progress.done_bytes
            bar.refresh()

        yield move
