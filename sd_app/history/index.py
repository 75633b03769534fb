"""The index of an outputs folder: an SQLite file that mirrors the pictures, and can be thrown away.

The files are the truth. What is damaged, or of another version, is deleted and made anew. Every use opens a
connection of its own: so threads, and several apps on one folder, never share one, and an index that another
app has made anew is seen at once.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

VERSION = 1
PATIENCE = 20.0  # seconds that a writer waits for another one
WAL_PATIENCE = 2.0
SCHEMA = """
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE, -- bytes as the disk has them: a name need be no UTF-8
    folder BLOB NOT NULL,
    trashed INTEGER NOT NULL,
    made INTEGER NOT NULL, -- nanoseconds since 1970
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    negative_prompt TEXT NOT NULL,
    model TEXT NOT NULL,
    scheduler TEXT NOT NULL,
    seed TEXT NOT NULL,
    kind TEXT NOT NULL,
    program TEXT NOT NULL,
    name TEXT NOT NULL, -- the path as words
    companions TEXT NOT NULL -- JSON: names of files
);
CREATE INDEX newest ON pictures (trashed, made, path, width, height, kind, program, model);
CREATE INDEX in_folder ON pictures (folder);
CREATE INDEX by_seed ON pictures (seed);
CREATE TABLE others (path BLOB PRIMARY KEY, folder BLOB NOT NULL, size_bytes INTEGER, mtime_ns INTEGER);
CREATE INDEX others_in_folder ON others (folder);
CREATE TABLE folders (path BLOB PRIMARY KEY, mtime_ns INTEGER NOT NULL);
CREATE TABLE state (version INTEGER NOT NULL);
INSERT INTO state VALUES (0);
CREATE VIRTUAL TABLE words USING fts5 (
    prompt, negative_prompt, model, scheduler, name,
    content='pictures', content_rowid='id', tokenize='unicode61 remove_diacritics 2', prefix='2 3 4'
);
CREATE TRIGGER added AFTER INSERT ON pictures BEGIN
    INSERT INTO words (rowid, prompt, negative_prompt, model, scheduler, name)
    VALUES (new.id, new.prompt, new.negative_prompt, new.model, new.scheduler, new.name);
END;
CREATE TRIGGER removed AFTER DELETE ON pictures BEGIN
    INSERT INTO words (words, rowid, prompt, negative_prompt, model, scheduler, name)
    VALUES ('delete', old.id, old.prompt, old.negative_prompt, old.model, old.scheduler, old.name);
END;
"""  # a row that changes is deleted and added, never updated


class Index:
    """One index file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the index to read it, or to fill temporary tables. A damaged one is made anew, and empty.

        Raise OSError in words if that fails.
        """
        try:
            with closing(self._connect()) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            self._judge(error)
            raise IndexLost from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Do as `reading` for one transaction: all of it is kept, or, whatever happens, none."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("UPDATE state SET version = version + 1")
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def check(self) -> None:
        """Read all of the index once; delete it if it is damaged."""
        with suppress(IndexLost), self.reading() as connection:
            [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                self.delete()
                return
            connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")

    def delete(self) -> None:
        """Delete the index: the next use makes an empty one."""
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _explained(error.strerror or str(error)) from error
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            if _version(connection) != VERSION:
                _write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may cost a rebuild
            connection.execute("PRAGMA temp_store = MEMORY")
            self._make_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_schema(self, connection: sqlite3.Connection) -> None:
        if _version(connection) == VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")  # two apps may begin at once
        try:
            found = _version(connection)
            if found == 0:
                for statement in _statements(SCHEMA):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        if found not in (0, VERSION):
            raise sqlite3.DatabaseError("of another version")

    def _judge(self, error: sqlite3.DatabaseError) -> None:
        """Delete a damaged index. Raise OSError in words if it is the disk that fails."""
        code = getattr(error, "sqlite_errorname", "")
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")):
            raise _explained(str(error)) from error
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise _explained("another app is busy with it") from error
        if isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError) and self._is_sound():
            raise AssertionError(f"a wrong statement: {error}") from error
        try:
            self.delete()
        except OSError as failed:
            raise _explained(failed.strerror or str(failed)) from failed

    def _is_sound(self) -> bool:
        try:
            with closing(sqlite3.connect(self.path, timeout=PATIENCE)) as connection:
                names = {name for [name] in connection.execute("SELECT name FROM sqlite_master")}
                return {"pictures", "words", "folders", "others", "state"} <= names
        except sqlite3.Error:
            return False


class IndexLost(Exception):  # noqa: N818  # nothing failed: it is made anew
    """The index was damaged and deleted. Do it again."""


def as_bytes(name: str) -> bytes:
    """Return a name as the index keeps it."""
    return os.fsencode(name)


def as_name(path: bytes) -> str:
    """Return a name of the index as Python writes it."""
    return os.fsdecode(path)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers read while somebody writes; the file remembers it. It works without, where it must."""
    until = time.monotonic() + WAL_PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:  # SQLite itself does not wait here
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            if time.monotonic() > until:
                return
            time.sleep(0.02)
        else:
            return


def _statements(script: str) -> Iterator[str]:
    """Cut a script into its statements; executescript would end the transaction around it."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _explained(reason: str) -> OSError:
    return OSError(
        f"the index of the history cannot be used: {reason} (see whether the cache folder's disk is full)"
    )
