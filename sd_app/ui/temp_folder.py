"""The folder for Gradio's copies of pictures: one for each run, gone with it, also with one that was killed."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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


def sweep_temp_folders() -> tuple[int, int]:
    """Remove the folders of runs that were killed; return how many files that were, and their bytes.

    Only folders of this user's count whose lock nobody holds.
    """
    if fcntl is None:
        return 0, 0
    files = size = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or not _is_abandoned(folder):
                continue
            held = [path.lstat() for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
            shutil.rmtree(folder)
            files, size = files + max(1, len(held)), size + sum(one.st_size for one in held)
    return files, size


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
