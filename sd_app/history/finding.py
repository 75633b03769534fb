"""A picture of the history, as the index returns it."""

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .index import as_bytes, as_name
from .marks import Mark
from .places import companion_kind

COLUMNS = (
    "path, made, size_bytes, mtime_ns, width, height, prompt, negative_prompt, model, scheduler, seed, kind,"
    " program, companions"
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A picture of the history. `name` is its path relative to the outputs folder, with forward slashes."""

    name: str
    made: int  # nanoseconds since 1970
    size_bytes: int
    mtime_ns: int
    width: int
    height: int
    prompt: str
    negative_prompt: str
    model: str
    scheduler: str
    seed: str
    kind: str
    program: str
    companions: Mapping[str, str]  # what it is (raw, film, ...) -> its name, as above
    mark: Mark | None

    @property
    def shown_name(self) -> str:
        """Return the name as text: bytes that are no UTF-8 become question marks."""
        return os.fsencode(self.name).decode(errors="replace")

    @property
    def cursor(self) -> tuple[int, str]:
        """Return what the next page begins behind."""
        return self.made, self.name


def fill_table(connection: sqlite3.Connection, table: str, names: Iterable[str]) -> None:
    """Make a temporary table of paths, to be compared with."""
    connection.execute(f"CREATE TEMP TABLE {table} (path BLOB PRIMARY KEY)")
    connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?)", [(as_bytes(name),) for name in names])


def kept_of(row: tuple[object, ...], marks: Mapping[str, Mark]) -> Kept:
    """Return the picture of a row of COLUMNS."""
    path, *values, companions = row
    assert isinstance(path, bytes)
    assert isinstance(companions, str)
    name = as_name(path)
    folder = name.rpartition("/")[0]
    names = COLUMNS.split(", ")[1:-1]
    beside = {companion_kind(one): f"{folder}/{one}" if folder else one for one in json.loads(companions)}
    known: dict[str, object] = dict(zip(names, values, strict=True))
    return Kept(name=name, companions=beside, mark=marks.get(name), **known)  # type: ignore[arg-type]
