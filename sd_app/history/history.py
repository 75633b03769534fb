"""The history of an outputs folder: what was made, newest first, found again, thrown away and put back."""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .finding import COLUMNS, Kept, fill_table, kept_of
from .index import Index, IndexLost, as_bytes
from .marks import Mark, Marks
from .owners import Owners
from .places import is_trashed
from .scanning import Progress, read_one, scan
from .search_text import Condition, Search, read_search
from .thumbnails import Thumbnails
from .trash import Moved, heal, put_back, throw_away

MAX_PAGE = 200  # pictures
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some pictures, newest first. `after` leads to the next ones, None if these were the last."""

    pictures: tuple[Kept, ...]
    after: tuple[int, str] | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ScanState:
    """Whether the folder is being read, how far that is, and what went wrong."""

    running: bool
    done: int
    total: int
    problem: str
    version: int  # another one when something changed


class History:
    """Safe to use from several threads; several processes may have the same outputs folder.

    `owner` of a method, where it is given, is the visitor who asks: only what is theirs is there for them.
    """

    def __init__(self, outputs_dir: Path, cache_dir: Path) -> None:
        self.outputs_dir = Path(outputs_dir)
        place = hashlib.sha256(os.fsencode(self.outputs_dir.resolve())).hexdigest()[:16]
        folder = Path(cache_dir) / "history" / place
        self.marks = Marks(self.outputs_dir)
        self.owners = Owners(self.outputs_dir)
        self._index = Index(folder / "index.sqlite")
        self._thumbnails = Thumbnails(folder / "thumbnails")
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._progress = Progress()
        self._problem = ""
        self._was_checked = False
        self._closing = False

    # -- keeping up with the folder

    def refresh(self, *, full: bool = False) -> None:
        """Begin to read what is new, in a thread, unless that is going on. See `state` for how far it is."""
        with self._lock:
            if self._closing or (self._thread and self._thread.is_alive()):
                return
            self._progress = Progress()
            self._thread = threading.Thread(target=self._refresh, args=(full,), name="history", daemon=True)
            self._thread.start()

    def scan(self, *, full: bool = True) -> None:
        """Read what is new, and wait for it. Raise OSError in words if the index cannot be written."""
        self._progress = progress = Progress()
        if not self._was_checked:
            self._index.check()
        if full or not self._was_checked:
            heal(self.outputs_dir)
        marks = self.marks.all()

        def read() -> None:
            scan(
                self.outputs_dir,
                self._index,
                progress,
                full=full or not self._was_checked,
                is_marked=marks.__contains__,
                goes_on=lambda: not self._closing,
            )

        self._again(read)
        self._was_checked = True
        self._keep_marks(progress)

    def wait(self, seconds: float) -> None:
        """Wait for a scan that is going on, no longer than that."""
        thread = self._thread
        if thread:
            thread.join(seconds)

    def close(self) -> None:
        """End a scan that is going on."""
        self._closing = True
        if self._thread:
            self._thread.join()

    def state(self) -> ScanState:
        """Tell how far the scan is."""
        problem, version = self._problem, 0

        def read_version() -> int:
            with self._index.reading() as connection:
                return int(connection.execute("SELECT version FROM state").fetchone()[0])

        try:
            version = self._again(read_version)
        except OSError as error:
            problem = str(error)
        running = bool(self._thread and self._thread.is_alive())
        progress = self._progress
        return ScanState(
            running=running, done=progress.done, total=progress.total, problem=problem, version=version
        )

    def _refresh(self, full: bool) -> None:
        try:
            self.scan(full=full)
            self._problem = ""
            if full:
                self._thumbnails.sweep()
        except OSError as error:
            self._problem = str(error)

    def _keep_marks(self, progress: Progress) -> None:
        """Let marked pictures keep their mark if they were only given another name."""
        for name, (size, mtime) in progress.gone.items():
            if (self.outputs_dir / name).exists():
                continue
            found = self._select(
                [Condition(sql="size_bytes = ? AND mtime_ns = ?", values=(size, mtime))],
                limit=2,
                trashed=None,
            )
            if len(found) == 1 and found[0].mark is None:
                self.marks.move(name, found[0].name)

    # -- finding

    def page(
        self,
        search: str | Search = "",
        *,
        after: tuple[int, str] | None = None,
        limit: int = 60,
        trashed: bool = False,
        owner: str | None = None,
    ) -> Page:
        """Return the pictures that a search finds, newest first. Raise ValueError in words for a bad one."""
        asked = read_search(search) if isinstance(search, str) else search
        conditions = [*asked.conditions]
        if after is not None:
            made, name = after
            conditions.append(Condition(sql="(made, path) < (?, ?)", values=(made, as_bytes(name))))
        limit = max(1, min(limit, MAX_PAGE))
        found = self._select(conditions, asked.marks, limit=limit + 1, trashed=trashed, owner=owner)
        more = len(found) > limit
        return Page(
            pictures=tuple(found[:limit]),
            after=found[limit - 1].cursor if more else None,
            remarks=asked.remarks,
        )

    def count(self, search: str | Search = "", *, trashed: bool = False, owner: str | None = None) -> int:
        """Return how many pictures a search finds."""
        asked = read_search(search) if isinstance(search, str) else search

        def read() -> int:
            with self._index.reading() as connection:
                sql, values = self._where(connection, asked.conditions, asked.marks, trashed, owner)
                return int(connection.execute(f"SELECT count(*) FROM pictures {sql}", values).fetchone()[0])

        return self._again(read)

    def find(self, name: str, *, owner: str | None = None) -> Kept:
        """Return a picture by its name, also one in the trash. Raise LookupError if it is not there."""
        condition = Condition(sql="path = ?", values=(as_bytes(name),))
        found = self._select([condition], limit=1, trashed=None, owner=owner)
        if not found:
            raise LookupError("this picture is not there any more (it was moved or deleted since)")
        return found[0]

    def models(self, *, owner: str | None = None) -> list[str]:
        """Return the models that pictures name, the most used first, at most 100."""

        def read() -> list[str]:
            with self._index.reading() as connection:
                sql, values = self._where(connection, [Condition(sql="model != ''")], (), False, owner)
                rows = connection.execute(
                    f"SELECT model FROM pictures {sql} GROUP BY model ORDER BY count(*) DESC LIMIT 100",
                    values,
                )
                return [model for [model] in rows]

        return self._again(read)

    def path_of(self, name: str, *, owner: str | None = None) -> Path:
        """Return where a picture lies. Raise LookupError if it is not in the index."""
        return self.outputs_dir / self.find(name, owner=owner).name

    def thumbnail(self, name: str, *, owner: str | None = None) -> bytes:
        """Return a picture's thumbnail, PNG or JPEG. Raise LookupError, or ValueError for a damaged one."""
        kept = self.find(name, owner=owner)
        return self._thumbnails.of(self.outputs_dir / name, kept.size_bytes, kept.mtime_ns)

    def _select(
        self,
        conditions: Iterable[Condition],
        marks: tuple[tuple[str, bool], ...] = (),
        *,
        limit: int,
        trashed: bool | None,
        owner: str | None = None,
    ) -> list[Kept]:
        known = self.marks.all()

        def read() -> list[Kept]:
            with self._index.reading() as connection:
                sql, values = self._where(connection, conditions, marks, trashed, owner)
                rows = connection.execute(
                    f"SELECT {COLUMNS} FROM pictures {sql} ORDER BY made DESC, path DESC LIMIT ?",
                    [*values, limit],
                )
                return [kept_of(row, known) for row in rows]

        return self._again(read)

    def _where(
        self,
        connection: sqlite3.Connection,
        conditions: Iterable[Condition],
        marks: tuple[tuple[str, bool], ...],
        trashed: bool | None,
        owner: str | None,
    ) -> tuple[str, list[object]]:
        """Return a WHERE and its values. What files say, marks and owners, comes as temporary tables."""
        found = list(conditions)
        if trashed is not None:
            found.insert(0, Condition(sql="trashed = ?", values=(int(trashed),)))
        known = self.marks.all() if marks else {}
        for number, (mark, wanted) in enumerate(marks):
            names = [name for name, one in known.items() if mark in (one, "marked")]
            fill_table(connection, f"marked{number}", names)
            found.append(
                Condition(sql=f"path {'IN' if wanted else 'NOT IN'} (SELECT path FROM marked{number})")
            )
        if owner is not None:
            fill_table(connection, "own", self.owners.names_of(owner))
            found.append(Condition(sql="path IN (SELECT path FROM own)"))
        sql = " AND ".join(condition.sql for condition in found)
        return f"WHERE {sql}" if sql else "", [value for one in found for value in one.values]

    def _again(self, act: Callable[[], ResultT]) -> ResultT:
        """Do something with the index; once more if it was damaged, and is read anew from the files then."""
        try:
            return act()
        except IndexLost:
            self._was_checked = False
            if threading.current_thread() is not self._thread:
                self.refresh(full=True)
        try:
            return act()
        except IndexLost as error:
            raise OSError(
                "the index of the history is damaged again and again (see whether the cache folder's disk is"
                " sound)"
            ) from error

    # -- changing

    def mark(self, names: Iterable[str], mark: Mark | None, *, owner: str | None = None) -> None:
        """Like, dislike or favour pictures; None takes their mark away. Raise as Marks.set and find do."""
        for name in names:
            self.marks.set(self.find(name, owner=owner).name, mark)

    def throw_away(self, names: Iterable[str], *, owner: str | None = None) -> list[Moved]:
        """Move pictures with what belongs to them into the trash; return what put_back takes.

        Raise LookupError or OSError in words if one cannot be moved; those before it are in the trash.
        """
        return [self._moved(throw_away(self.outputs_dir, name)) for name in self._there(names, owner, False)]

    def put_back(self, names: Iterable[str], *, owner: str | None = None) -> list[Moved]:
        """Move pictures out of the trash to where they were. Raise as throw_away does."""
        return [self._moved(put_back(self.outputs_dir, name)) for name in self._there(names, owner, True)]

    def note_owner(self, paths: Iterable[Path], owner: str) -> None:
        """Remember saved pictures as a visitor's. Raise OSError in words if that fails."""
        self.owners.note(owner, [self.marks.name_of(path) for path in paths])

    def _there(self, names: Iterable[str], owner: str | None, trashed: bool) -> list[str]:
        found = [self._existing(name, owner) for name in names]
        if any(is_trashed(name) != trashed for name in found):
            raise LookupError("this picture is not there any more (it was moved since)")
        return found

    def _existing(self, name: str, owner: str | None) -> str:
        """Return a picture's name as `find` does, also if it was moved so lately that no scan has seen it."""
        try:
            return self.find(name, owner=owner).name
        except LookupError:
            is_own = owner is None or name in self.owners.names_of(owner)
            if not (is_own and self.marks.is_name(name) and (self.outputs_dir / name).is_file()):
                raise
            return name

    def _moved(self, moved: Moved) -> Moved:
        """Let marks, owners and the index follow a picture to another place."""
        self.marks.move(moved.old, moved.new)
        self.owners.move(moved.old, moved.new)
        with suppress(IndexLost, OSError, ValueError):  # the next scan finds out otherwise
            read_one(self.outputs_dir, self._index, moved.new, instead_of=moved.old)
        return moved
