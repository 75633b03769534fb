"""The line on disk, beside the outputs: what waits when the app ends is there when it starts again.

`.queue/jobs.json` is written whole or not at all, `.queue/pictures/` holds what its requests need, each under
the hash of its content. One app at a time keeps its line in a folder; another goes without.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, Any

from PIL import Image

from .stored import StoredJob, pictures_in, read_stored

VERSION = 1
FOLDER = ".queue"

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Coming:
    """The names of the pictures of one job that is on its way into the line. It may be refused there."""

    names: set[str] = field(default_factory=set)


class JobStore:
    """The file of one line. Call `open` first; used by one thread at a time."""

    def __init__(self, outputs_dir: Path) -> None:
        self.outputs_dir = outputs_dir
        self.folder = outputs_dir / FOLDER
        self.pictures = self.folder / "pictures"
        self._set_aside_note = ""  # what could not be read at the start
        self._unkept_note = ""  # why the line is not kept
        self._file = self.folder / "jobs.json"
        self._lock: IO[str] | None = None
        self._coming: list[Coming] = []  # whose pictures another job's end leaves
        self._pictures_lock = Lock()

    def open(self) -> list[StoredJob]:
        """Take the folder, and return what was kept in it. What cannot be read is set aside."""
        try:
            self.pictures.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder / "lock")
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return []
        if self._lock is None:
            self._give_up("another app that runs keeps its own in the same folder of outputs")
            return []
        for folder in (self.folder, self.pictures):  # what a killed app has left half written
            for partial in folder.glob(".*.partial"):
                with suppress(OSError):
                    partial.unlink()
        return self._read()

    @property
    def is_open(self) -> bool:
        return self._lock is not None

    @property
    def note(self) -> str:
        """Return what the owner should know, in a sentence or two; "" for nothing."""
        return " ".join(filter(None, [self._set_aside_note, self._unkept_note]))

    def close(self) -> None:
        """Let another app have the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write(self, jobs: Sequence[StoredJob]) -> None:
        """Write the whole line down. Where that fails, the line goes on in memory, and the note says so."""
        if self._lock is None:
            return
        text = json.dumps({"version": VERSION, "jobs": [asdict(job) for job in jobs]})
        try:
            write_whole(self._file, text.encode())
            self._unkept_note = ""
        except OSError as error:
            self._unkept_note = _not_kept(error.strerror or str(error))

    def expect(self) -> Coming:
        """Begin to keep the pictures of a job that is to come."""
        coming = Coming()
        with self._pictures_lock:
            self._coming.append(coming)
        return coming

    def arrived(self, coming: Coming) -> None:
        """From here on the line says who needs the pictures of a job."""
        with self._pictures_lock:
            self._coming = [one for one in self._coming if one is not coming]

    def keep_picture(self, coming: Coming, picture: Image.Image | str | Path) -> Path:
        """Keep a picture, or a file of one as it is; return where. Raise OSError if that fails."""
        if isinstance(picture, Image.Image):
            buffer = BytesIO()
            picture.save(buffer, "PNG", compress_level=1)
            data, ending = buffer.getvalue(), ".png"
        else:
            data, ending = Path(picture).read_bytes(), Path(picture).suffix.lower()[:5]
        path = self.pictures / f"{hashlib.sha256(data).hexdigest()}{ending}"
        with self._pictures_lock:
            coming.names.add(self._name(path))
        if not path.is_file():
            write_whole(path, data)
        return path

    def sweep(self, jobs: Iterable[StoredJob]) -> None:
        """Delete the pictures that no job needs."""
        with self._pictures_lock, suppress(OSError):
            needed = set().union(
                *(pictures_in(job.request) for job in jobs), *(c.names for c in self._coming)
            )
            for path in self.pictures.iterdir():
                if self._name(path) not in needed:
                    path.unlink(missing_ok=True)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _read(self) -> list[StoredJob]:
        try:
            text = self._file.read_text("utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeError):
            return self._set_aside("cannot be read")
        try:
            held = json.loads(text)
            version = held["version"] if isinstance(held, dict) else None
            entries = held["jobs"] if isinstance(held, dict) else None
        except (ValueError, KeyError, RecursionError):
            return self._set_aside("is damaged")
        if not isinstance(version, int) or isinstance(version, bool) or not isinstance(entries, list):
            return self._set_aside("is damaged")
        if version > VERSION:
            return self._set_aside("was written by a newer version of this app")
        return self._read_entries(entries)

    def _read_entries(self, entries: list[Any]) -> list[StoredJob]:
        jobs: list[StoredJob] = []
        for entry in entries:
            with suppress(ValueError):
                jobs.append(read_stored(entry))
        if len(jobs) < len(entries):
            self._set_aside("holds jobs that cannot be read; the others go on")
        return jobs

    def _set_aside(self, why: str) -> list[StoredJob]:
        """Rename the file, so that nothing of it is lost and nothing of it is met again."""
        number = 1
        while (aside := self.folder / f"jobs-{number}.json").exists():
            number += 1
        with suppress(OSError):
            self._file.replace(aside)
        self._set_aside_note = (
            f"The file of what waited {why}: it is now {FOLDER}/{aside.name} in the outputs folder."
        )
        log.warning(self._set_aside_note)
        return []

    def _give_up(self, why: str) -> None:
        self._unkept_note = _not_kept(why)
        log.warning(self._unkept_note)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _not_kept(why: str) -> str:
    return f"What waits is not kept for the next start: {why}."


def _locked(path: Path) -> IO[str] | None:
    """Return the open file that holds the lock, None if another process has it."""
    file = path.open("a")
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
