"""Where the app that is open on a folder of outputs is reached, so that a command can join its line.

`.queue/app.json` in that folder says it, to nobody but the owner of the machine: it is written in local mode
alone, may be read and written by its owner alone, and leads nowhere but to this machine.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from .store import FOLDER

NAME = "app.json"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class OpenApp:
    """An app that runs: its address, and the settings it was started with, as texts."""

    url: str
    settings: Mapping[str, str]


@contextmanager
def announced(outputs_dir: Path, url: str, settings: Mapping[str, str]) -> Iterator[None]:
    """Say where this process's app is reached as long as the `with` lasts; not in another app's place."""
    path = outputs_dir / FOLDER / NAME
    pid = os.getpid()
    own = json.dumps({"url": url, "pid": pid, "begun": _begun(pid), "settings": dict(settings)})
    if find_open_app(outputs_dir) is None:
        with suppress(OSError):  # a folder that cannot be written: then nobody joins
            _write(path, own)
    try:
        yield
    finally:
        with suppress(OSError):
            if path.read_text("utf-8") == own:
                path.unlink()


def find_open_app(outputs_dir: Path) -> OpenApp | None:
    """Return the app that is open on a folder, None if there is none or nothing that can be trusted."""
    path = outputs_dir / FOLDER / NAME
    try:
        if not _is_ours(path.lstat()):
            return None
        held = json.loads(path.read_text("utf-8"))
        url, pid, settings = held["url"], held["pid"], held["settings"]
        local = urlsplit(url).scheme == "http" and urlsplit(url).hostname in LOOPBACK
        if not (local and type(pid) is int and pid > 0 and isinstance(settings, dict)):
            return None
        alive = _lives(pid, held["begun"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    texts = {str(name): str(value) for name, value in settings.items()}
    return OpenApp(url=url, settings=texts) if alive else None


def _begun(pid: int) -> float:
    """Return when a process began, in seconds since 1970; 0 if there is none of this number."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _lives(pid: int, begun: object) -> bool:
    """Tell whether a process is still the one that began then: numbers of killed ones come again."""
    # The system reckons the time back to its own start, and may correct that by seconds.
    return isinstance(begun, float) and begun > 0 and abs(_begun(pid) - begun) < 10


def _is_ours(status: os.stat_result) -> bool:
    """Tell a file that nobody else can have written. Windows has other rights, which a folder gives."""
    if not stat.S_ISREG(status.st_mode):
        return False
    return os.name == "nt" or (status.st_uid == os.getuid() and not status.st_mode & 0o077)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
