"""The folder for Gradio's copies of pictures: one a run, gone with it, also if it was killed."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..metadata.leftovers import Swept, sweep_leftovers
from ..requests import format_bytes

try:
    import fcntl
except ImportError:  # Windows: nothing tells there whether a run lives, so nothing is swept
    fcntl = None  # type: ignore[assignment]

PREFIX = "sd_app-"
LOCK = ".lock"
UNLOCKED_AGE = 7 * 24 * 3600  # seconds; earlier versions held no lock


@contextmanager
def temp_folder() -> Iterator[Path]:
    """Make the folder of this run, tell Gradio of it, and remove it at the end.

    A lock in it is held as long as the process lives, whatever ends it.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        with (folder / LOCK).open("w") as lock:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(outputs_dir: Path, cache_dir: Path) -> str:
    """Remove what runs that were killed left behind; return a sentence that says so, "" for nothing."""
    swept = sweep_leftovers(outputs_dir, cache_dir) + sweep_temp_folders()
    if not swept.files:
        return ""
    files = "1 file" if swept.files == 1 else f"{swept.files:,} files"
    size = format_bytes(swept.size_bytes)
    return f"Removed {files} ({size}) that runs had left behind when they were killed."


def sweep_temp_folders() -> Swept:
    """Remove the folders of runs that were killed: those of this user whose lock nobody holds."""
    if fcntl is None:
        return Swept()
    files = size = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or not _is_abandoned(folder):
                continue
            held = [path.lstat() for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
            shutil.rmtree(folder)
            files, size = files + max(1, len(held)), size + sum(one.st_size for one in held)
    return Swept(files, size)


def _is_abandoned(folder: Path) -> bool:
    """Tell whether no living run holds the lock of a folder; one without a lock must be a week old."""
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return time.time() - folder.lstat().st_mtime > UNLOCKED_AGE
    except OSError:  # a living run has it
        return False
