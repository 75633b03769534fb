"""The latest recordings: those of the last jobs, in memory, and those that were asked for, on disk."""

import secrets
import threading
import time
from collections import OrderedDict
from itertools import count
from pathlib import Path

from ..requests import KeptRecording, Txt2ImgRequest
from .recording import Recording
from .recording_file import load_recording, read_about, save_recording

MAX_MEMORY = 256 * 2**20  # bytes: 50 pictures of SD 1.5, 8 of SDXL
MOST_RECENT = 200  # pictures: as many as the page can ask for, some 60 MB of the embedded model
MAX_DISK = 2 * 10**9  # bytes of all recordings that are kept
FOLDER = "recordings"  # in cache_dir
SUFFIX = ".safetensors"


class RecentRecordings:
    """The recordings of the pictures made last, at most so many, within so many bytes.

    Safe to use from several threads.
    """

    def __init__(self, max_bytes: int = MAX_MEMORY, most: int = MOST_RECENT) -> None:
        self._max_bytes, self._most = max_bytes, most
        self._lock = threading.Lock()
        self._numbers = count()
        self._known: OrderedDict[int, tuple[Recording, int]] = OrderedDict()
        self.size_bytes = 0

    def add(self, recording: Recording) -> None:
        """Keep a recording; the oldest go where there is no room for all."""
        size = recording.num_bytes
        with self._lock:
            self._known[next(self._numbers)] = recording, size
            self.size_bytes += size
            while self.size_bytes > self._max_bytes or len(self._known) > self._most:
                _, (_, gone) = self._known.popitem(last=False)
                self.size_bytes -= gone

    def find(self, request: Txt2ImgRequest) -> Recording | None:
        """Return the latest recording of a picture's own request, None if it is not kept (any more)."""
        with self._lock:
            known = [recording for recording, _ in self._known.values()]
        return next((one for one in reversed(known) if one.request == request), None)

    def __len__(self) -> int:
        return len(self._known)


class RecordingFolder:
    """A folder of recordings: when one is saved, the oldest go until all have at most so many bytes."""

    def __init__(self, cache_dir: Path, max_bytes: int = MAX_DISK) -> None:
        self.folder = cache_dir / FOLDER
        self._max_bytes = max_bytes

    def save(self, recording: Recording) -> Path:
        """Save a recording and return its file. Raise OSError in words; then nothing was removed."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        path = self.folder / f"{stamp}-{recording.request.seed}-{secrets.token_hex(3)}{SUFFIX}"
        self.folder.mkdir(parents=True, exist_ok=True)
        save_recording(recording, path)
        self._prune(path)
        return path

    def paths(self) -> list[Path]:
        """List the recordings, the newest first."""
        return sorted(self.folder.glob(f"*{SUFFIX}"), key=_age)

    def load(self, name: str) -> Recording:
        """Return a recording by its file's name. Raise ValueError if it is not there or cannot be read."""
        return load_recording(self._find(name))

    def _find(self, name: str) -> Path:
        path = self.folder / name
        if path.parent != self.folder or path not in self.paths():
            raise ValueError("this recording is not kept any more (record the picture again)")
        return path

    def describe(self, name: str) -> KeptRecording:
        """Return what a list says of a recording. Raise ValueError if it is not there or cannot be read."""
        path = self._find(name)
        request = read_about(path)
        size = path.stat().st_size
        return KeptRecording(name=name, prompt=request.prompt, seed=request.seed, size_bytes=size)

    def _prune(self, newest: Path) -> None:
        left = self._max_bytes
        for path in [newest, *(path for path in self.paths() if path != newest)]:
            try:
                left -= path.stat().st_size
                if left < 0 and path != newest:
                    path.unlink()
            except OSError:  # somebody else removed it
                continue


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
