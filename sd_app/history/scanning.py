"""Bring the index up to what lies in the outputs folder, a folder at a time."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path

from .facts import Facts, read_facts
from .index import Index, as_bytes, as_name
from .places import companions_of, is_picture_name, is_trashed, made_at, picture_of_companion

BATCH = 100  # files that are read between two transactions
RACY_NS = 2 * 10**9  # a folder that changed so short a time ago may change again within the same tick
MAX_DEPTH = 12  # folders in each other

_INSERT = (
    "INSERT INTO pictures (path, folder, trashed, made, size_bytes, mtime_ns, companions, name, width,"
    " height, prompt, negative_prompt, model, scheduler, seed, kind, program) VALUES ("
    + ", ".join("?" * 17)
    + ")"
)


@dataclass(kw_only=True)
class Progress:
    """How far a scan is: files to be read in the folders seen so far, and those that were."""

    done: int = 0
    total: int = 0
    changed: bool = False
    gone: dict[str, tuple[int, int]] = field(default_factory=dict)  # marked pictures: bytes and time


@dataclass(frozen=True, kw_only=True)
class _File:
    name: str
    size: int
    mtime_ns: int


@dataclass(kw_only=True)
class _Folder:
    """A folder as it is on disk: its pictures, and what stands with each of them."""

    name: str  # relative to the outputs folder, "" for itself
    mtime_ns: int
    names: set[str] = field(default_factory=set)
    files: dict[str, _File] = field(default_factory=dict)  # by path relative to the outputs folder
    companions: dict[str, str] = field(default_factory=dict)


def scan(
    outputs_dir: Path,
    index: Index,
    progress: Progress,
    *,
    full: bool,
    is_marked: Callable[[str], bool],
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Read what is new or changed, and forget what is gone. The newest folders come first.

    Unless it is `full`, a folder that has not changed since is passed over: what was written into a file
    itself is then not seen. Raise OSError in words if the index cannot be written.
    """
    began = time.time_ns()
    with index.reading() as connection:
        seen = dict(connection.execute("SELECT path, mtime_ns FROM folders"))
    folders = sorted(
        _walk(outputs_dir), key=lambda found: (not is_trashed(f"{found[0]}/"), found[0]), reverse=True
    )
    if not folders:  # it is not there just now, a disk that is not mounted, say: nothing is forgotten
        return
    changed = [(name, mtime) for name, mtime in folders if full or seen.get(as_bytes(name)) != mtime]
    _forget_folders(outputs_dir, index, {as_bytes(name) for name, _ in folders}, progress, is_marked)
    for name, mtime in changed:
        folder = _list(outputs_dir, name, mtime)
        if folder is None:
            continue
        unread = _compare(outputs_dir, index, folder, progress, is_marked)
        progress.total += len(unread)
        for start in range(0, len(unread), BATCH):
            if not goes_on():
                return
            _read(outputs_dir, index, folder, unread[start : start + BATCH])
            progress.done += len(unread[start : start + BATCH])
            progress.changed = True
        if seen.get(as_bytes(name)) != mtime and mtime < began - RACY_NS:
            with index.writing() as connection:
                connection.execute("REPLACE INTO folders VALUES (?, ?)", (as_bytes(name), mtime))


def _walk(outputs_dir: Path, name: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield the folders and when each changed; hidden ones and links are not entered."""
    folder = outputs_dir / name
    try:
        mtime = folder.stat().st_mtime_ns
        with os.scandir(folder) as entries:
            inner = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return
    yield name, mtime
    for one in inner if depth < MAX_DEPTH else ():
        yield from _walk(outputs_dir, f"{name}/{one}" if name else one, depth + 1)


def _list(outputs_dir: Path, name: str, mtime_ns: int) -> _Folder | None:
    """Return what lies in a folder; None if it cannot be read."""
    try:
        with os.scandir(outputs_dir / name) as entries:
            found = {entry.name: entry for entry in entries if not entry.name.startswith(".")}
    except OSError:
        return None
    names = set(found)
    beside: dict[str, list[str]] = {}
    stems: dict[str, set[str]] = {}  # what could be a picture's own, by the beginning of its name
    for one in names:
        stem = one.rpartition(".")[0]
        for key in {stem, stem.rpartition("-")[0]}:
            stems.setdefault(key, set()).add(one)
    folder = _Folder(name=name, mtime_ns=mtime_ns, names=names)
    for one, entry in found.items():
        if not is_picture_name(one) or picture_of_companion(one, names):
            continue
        try:
            if not entry.is_file():  # a pipe would be waited for
                continue
            status = entry.stat()
        except OSError:
            continue
        path = f"{name}/{one}" if name else one
        folder.files[path] = _File(name=path, size=status.st_size, mtime_ns=status.st_mtime_ns)
        beside[path] = companions_of(one, stems.get(one.rpartition(".")[0], set()))
    folder.companions = {path: json.dumps(names) for path, names in beside.items()}
    return folder


def _compare(
    outputs_dir: Path, index: Index, folder: _Folder, progress: Progress, is_marked: Callable[[str], bool]
) -> list[_File]:
    """Forget what is gone from a folder or changed; return what is to be read, the newest first."""
    with index.reading() as connection:
        known, others = _known(connection, as_bytes(folder.name))
    unread, gone, new_companions = [], [], []
    for path, file in folder.files.items():
        size, mtime, companions = known.get(path, (None, None, None))
        if others.get(path) == (file.size, file.mtime_ns):
            continue
        if (size, mtime) != (file.size, file.mtime_ns):
            unread.append(file)
        elif companions != folder.companions[path]:
            new_companions.append((folder.companions[path], as_bytes(path)))
    for path in {*known, *others} - set(folder.files):
        if Path(path).name not in folder.names and os.path.lexists(outputs_dir / path):
            continue  # it was put there since the folder was listed
        gone.append((as_bytes(path),))
        if path in known and is_marked(path):
            progress.gone[path] = known[path][:2]
    if gone or new_companions:
        progress.changed = True
        with index.writing() as connection:
            connection.executemany("DELETE FROM pictures WHERE path = ?", gone)
            connection.executemany("DELETE FROM others WHERE path = ?", gone)
            connection.executemany("UPDATE pictures SET companions = ? WHERE path = ?", new_companions)
    return sorted(unread, key=lambda file: (file.mtime_ns, file.name), reverse=True)


def _known(
    connection: sqlite3.Connection, folder: bytes
) -> tuple[dict[str, tuple[int, int, str]], dict[str, tuple[int, int]]]:
    pictures = connection.execute(
        "SELECT path, size_bytes, mtime_ns, companions FROM pictures WHERE folder = ?", (folder,)
    )
    known = {as_name(path): (size, mtime, companions) for path, size, mtime, companions in pictures}
    others = connection.execute("SELECT path, size_bytes, mtime_ns FROM others WHERE folder = ?", (folder,))
    return known, {as_name(path): (size, mtime) for path, size, mtime in others}


def _read(outputs_dir: Path, index: Index, folder: _Folder, files: list[_File]) -> None:
    """Read some files, and put them into the index."""
    rows, others = [], []
    for file in files:
        try:
            facts = read_facts(outputs_dir / file.name)
        except (ValueError, OSError):
            if not os.path.lexists(outputs_dir / file.name):  # moved since the folder was listed
                continue
            others.append((as_bytes(file.name), as_bytes(folder.name), file.size, file.mtime_ns))
        else:
            rows.append(row_of(file.name, file.size, file.mtime_ns, facts, folder.companions[file.name]))
    with index.writing() as connection:
        paths = [(as_bytes(file.name),) for file in files]
        connection.executemany("DELETE FROM pictures WHERE path = ?", paths)
        connection.executemany("DELETE FROM others WHERE path = ?", paths)
        connection.executemany(_INSERT, rows)
        connection.executemany("INSERT INTO others VALUES (?, ?, ?, ?)", others)


def read_one(outputs_dir: Path, index: Index, name: str, *, instead_of: str) -> None:
    """Put a picture that was moved into the index. Raise ValueError or OSError if it cannot be read."""
    folder, _, file = name.rpartition("/")
    status = (outputs_dir / name).stat()
    facts = read_facts(outputs_dir / name)
    companions = companions_of(file, set(os.listdir(outputs_dir / folder)))  # noqa: PTH208  # names are enough
    row = row_of(name, status.st_size, status.st_mtime_ns, facts, json.dumps(companions))
    with index.writing() as connection:
        paths = [(as_bytes(name),), (as_bytes(instead_of),)]
        connection.executemany("DELETE FROM pictures WHERE path = ?", paths)
        connection.execute(_INSERT, row)


def row_of(name: str, size: int, mtime_ns: int, facts: Facts, companions: str) -> tuple[object, ...]:
    """Return a picture's row."""
    folder = name.rpartition("/")[0]
    shown = as_bytes(name).decode(errors="replace").replace("\0", "")
    return (
        as_bytes(name),
        as_bytes(folder),
        int(is_trashed(name)),
        made_at(name, mtime_ns),
        size,
        mtime_ns,
        companions,
        shown,
        *astuple(facts),
    )


def _forget_folders(
    outputs_dir: Path, index: Index, there: set[bytes], progress: Progress, is_marked: Callable[[str], bool]
) -> None:
    """Forget the pictures of folders that are gone."""
    with index.reading() as connection:
        known = {
            folder
            for table in ("pictures", "others")
            for [folder] in connection.execute(f"SELECT DISTINCT folder FROM {table}")
        }
        gone = {folder for folder in known - there if not (outputs_dir / as_name(folder)).is_dir()}
        for folder in gone:
            for path, (size, mtime, _) in _known(connection, folder)[0].items():
                if is_marked(path):
                    progress.gone[path] = (size, mtime)
    if not gone:
        return
    progress.changed = True
    with index.writing() as connection:
        for table in ("pictures", "others"):
            connection.executemany(
                f"DELETE FROM {table} WHERE folder = ?",
                [(folder,) for folder in gone],
            )
        connection.executemany("DELETE FROM folders WHERE path = ?", [(folder,) for folder in gone])
