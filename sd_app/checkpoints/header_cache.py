"""What headers have told, kept in a file between starts: one takes milliseconds, and there are thousands."""

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..user_files import read_object
from .file_facts import FileFacts, Stamp, found_broken, inspect, may_be_checkpoint, stamps_of

NAME = "checkpoints.json"  # in cache_dir; may be deleted
WORTH = 20  # headers read anew from which on it is written

Entry = tuple[tuple[Stamp, ...], FileFacts]  # what the file and those beside it were like, and what it told


class HeaderCache:
    """The facts of the checkpoint files that were looked at, by path."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._found = _read(self._file)
        self._fresh = 0

    def inspect(self, path: Path) -> FileFacts:
        """Describe a checkpoint file; its header is read only if something of it has changed.

        Raise ValueError saying what is wrong with it, OSError if it cannot be read.
        """
        stamps = stamps_of(path)
        known = self._found.get(str(path))
        if reason := found_broken(path):
            raise ValueError(reason)
        if known is not None and known[0] == stamps:
            return known[1]
        if not may_be_checkpoint(path):
            raise ValueError("its header names no U-Net")
        facts = inspect(path)
        self._found[str(path)] = (stamps, facts)
        self._fresh += 1
        return facts

    def save(self) -> None:
        """Write them down if that spares the next start something; a folder that takes no file is let be."""
        if self._fresh < WORTH:
            return
        self._fresh = 0
        found = self._found.copy().items()
        files = {path: _pack(entry) for path, entry in found if stamps_of(Path(path)) == entry[0]}
        unfinished = self._file.with_name(f"{NAME}.{os.getpid()}-{threading.get_ident()}.partial")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished.write_text(json.dumps({"code": _code(), "files": files}), encoding="utf-8")
                unfinished.replace(self._file)
            finally:
                unfinished.unlink(missing_ok=True)


@lru_cache(maxsize=8)
def open_header_cache(folder: Path) -> HeaderCache:
    """Return the header cache of a folder; its file is read once."""
    return HeaderCache(folder)


@lru_cache(maxsize=1)
def _code() -> str:
    """Return the hash of the code that reads headers: what other code has found does not count."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _read(file: Path) -> dict[str, Entry]:
    kept = read_object(file)
    if kept.get("code") != _code():
        return {}
    files = kept.get("files")
    if not isinstance(files, dict):
        return {}
    with suppress(TypeError, ValueError, KeyError, AttributeError):  # somebody has written into it
        return {path: _unpack(Path(path), *entry) for path, entry in files.items()}
    return {}


def _pack(entry: Entry) -> tuple[tuple[Stamp, ...], dict[str, object]]:
    stamps, facts = entry
    return stamps, {name: value for name, value in asdict(facts).items() if name != "path"}


def _unpack(path: Path, stamps: list[list[int]], facts: dict[str, Any]) -> Entry:
    return tuple((modified, size) for modified, size in stamps), FileFacts(path=path, **facts)
