"""The search field's small language, and what of the index it asks for.

    orange cat                  both words, or words that begin so: prompt, model, sampler, file name
    "orange cat"                one after the other
    -dog                        not this word
    prompt: negative: model: sampler: name: program:    only there
    seed:7                      exactly this seed
    date:2026-11-27             this day; date:2026-11, date:2026, date:today, date:yesterday,
                                date:2026-11-01..2026-11-15, either end may be left out
    size:512x768, size:512      both sides, or any side; width:>=1024, height:512..768
    kind:inpaint                txt2img, img2img, inpaint or embeddings
    is:favourite                favourite, like, dislike or marked; no mark: -is:marked

A minus in front turns any of them round. An unknown name with a colon is searched as it stands.
"""

import re
import unicodedata
from calendar import isleap, monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from difflib import get_close_matches

from .marks import MARKS

MAX_SEARCH = 1_000  # characters
MAX_TERMS = 40
KINDS = ("txt2img", "img2img", "inpaint", "embeddings")
_COLUMNS = {  # of the index, by the name in a search
    "prompt": "prompt",
    "negative": "negative_prompt",
    "model": "model",
    "sampler": "scheduler",
    "scheduler": "scheduler",
    "name": "name",
}
_PLAIN = ("prompt", "model", "scheduler", "name")
_TERM = re.compile(r'(-?)(?:([A-Za-z]+):(?:"([^"]*)"?|(\S*))|"([^"]*)"?|(\S+))')  # a last quote may lack
_SIDE = r"\d{1,6}"
_RANGE = re.compile(rf"(>=|<=|>|<|=)?({_SIDE})|({_SIDE})?\.\.({_SIDE})?")
_SIZE = re.compile(rf"({_SIDE})[x×*]({_SIDE})")
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_ALONE = ("Lo",)  # letters of scripts that put no blanks between words


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition of SQL, with its values."""

    sql: str
    values: tuple[object, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was asked for."""

    conditions: tuple[Condition, ...] = ()
    marks: tuple[tuple[str, bool], ...] = ()  # a mark, or "marked", and whether it must be there
    remarks: tuple[str, ...] = ()  # what was read otherwise than it may be meant, a sentence each


@dataclass(kw_only=True)
class _Found:
    conditions: list[Condition] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # of the full-text index, in its own language
    unwanted_words: list[str] = field(default_factory=list)
    marks: list[tuple[str, bool]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_search(text: str, today: date | None = None) -> Search:
    """Read a search. Raise ValueError in words for a value that a field cannot have."""
    if len(text) > MAX_SEARCH:
        raise ValueError(
            f"search must have at most {MAX_SEARCH:,} characters, got {len(text):,} (use fewer words)"
        )
    found = _Found()
    terms = list(_TERM.finditer(text.replace("\0", " ")))
    if len(terms) > MAX_TERMS:
        raise ValueError(f"search must have at most {MAX_TERMS} words, got {len(terms)} (use fewer words)")
    for match in terms:
        minus, name, *values = match.groups(default="")
        value = "".join(values)
        _read_term(found, name.lower(), value, today or date.today(), wanted=not minus)
    return Search(
        conditions=(*_in_words(found.words, found.unwanted_words), *found.conditions),
        marks=tuple(found.marks),
        remarks=tuple(found.remarks),
    )


def _read_term(found: _Found, name: str, value: str, today: date, *, wanted: bool) -> None:
    reader = _READERS.get(name)
    if name and not value.strip() and (reader or name in (*_COLUMNS, "is")):
        raise ValueError(
            f"search must say what {name} should be, got {name}: alone (write it behind the colon)"
        )
    if name == "is":
        found.marks.append((_mark(value), wanted))
    elif reader:
        found.conditions.append(_turned(reader(value, today), wanted=wanted))
    elif name in _COLUMNS:
        _read_words(found, value, (_COLUMNS[name],), wanted=wanted)
    elif name or value.strip():
        known = (*_COLUMNS, *_READERS, "is")
        if name and (near := get_close_matches(name, known, 1, 0.7)):
            found.remarks.append(
                f"There is no field {name}: it was searched as words. Did you mean {near[0]}: ?"
            )
        _read_words(found, f"{name} {value}".strip(), _PLAIN, wanted=wanted)


def _turned(condition: Condition, *, wanted: bool) -> Condition:
    return condition if wanted else Condition(sql=f"NOT ({condition.sql})", values=condition.values)


# -- words


def _read_words(found: _Found, value: str, columns: tuple[str, ...], *, wanted: bool) -> None:
    """Ask for words one after the other, the last of which may go on."""
    if not any(letter.isalnum() for letter in value) or any(map(_stands_alone, value)):
        # Signs are no words, and Chinese or Japanese has no blanks between them.
        pattern = "%" + re.sub(r"([%_\\])", r"\\\1", value) + "%"
        parts = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in columns)
        found.conditions.append(
            _turned(Condition(sql=f"({parts})", values=(pattern,) * len(columns)), wanted=wanted)
        )
        return
    quoted = value.replace('"', " ")
    words = found.words if wanted else found.unwanted_words
    words.append(f'({{{" ".join(columns)}}} : "{quoted}" *)')


def _in_words(wanted: list[str], unwanted: list[str]) -> list[Condition]:
    """Ask the full-text index once for all words: that is quicker than once for each."""
    if not wanted and not unwanted:
        return []
    text = " AND ".join(wanted) or " OR ".join(unwanted)
    if wanted and unwanted:
        text = f"({text}) NOT ({' OR '.join(unwanted)})"
    has = "IN" if wanted else "NOT IN"
    return [Condition(sql=f"id {has} (SELECT rowid FROM words WHERE words MATCH ?)", values=(text,))]


def _stands_alone(letter: str) -> bool:
    return letter > "\u2e7f" and unicodedata.category(letter) in _ALONE


# -- fields


def _mark(value: str) -> str:
    known = {"liked": "like", "disliked": "dislike", "favorite": "favourite", "starred": "favourite"}
    mark = known.get(value.lower(), value.lower())
    if mark not in (*MARKS, "marked"):
        raise ValueError(f"is must be one of {', '.join(MARKS)} or marked, got {value[:40]}")
    return mark


def _kind(value: str, _: date) -> Condition:
    if value.lower() not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {value[:40]}")
    return Condition(sql="kind = ?", values=(value.lower(),))


def _seed(value: str, _: date) -> Condition:
    if not (value.isascii() and value.isdecimal()):
        raise ValueError(f"seed must be a whole number, got {value[:40]} (write seed:7)")
    return Condition(sql="seed = ?", values=(value.lstrip("0") or "0",))


def _program(value: str, _: date) -> Condition:
    return Condition(sql="program LIKE ? ESCAPE '\\'", values=(re.sub(r"([%_\\])", r"\\\1", value) + "%",))


def _size(value: str, _: date) -> Condition:
    if match := _SIZE.fullmatch(value):
        return Condition(sql="(width = ? AND height = ?)", values=(int(match[1]), int(match[2])))
    width, height = (_range("size", side, value) for side in ("width", "height"))
    return Condition(sql=f"({width.sql} OR {height.sql})", values=(*width.values, *height.values))


def _side(name: str) -> Callable[[str, date], Condition]:
    return lambda value, _: _range(name, name, value)


def _range(name: str, column: str, value: str) -> Condition:
    match = _RANGE.fullmatch(value)
    if not match or value == "..":
        raise ValueError(
            f"{name} must be a number of pixels, got {value[:40]} (try 512, >=512 or ..768"
            f"{', or 512x768' if name == 'size' else ''})"
        )
    sign, number, low, high = match.groups()
    if number:
        return Condition(sql=f"{column} {sign or '='} ?", values=(int(number),))
    return Condition(sql=f"{column} BETWEEN ? AND ?", values=(int(low or 0), int(high or 10**6)))


def _made(value: str, today: date) -> Condition:
    first, dots, last = value.partition("..")
    start = _day(first, value, today)[0] if first else date.min
    end = _day(last, value, today)[1] if last else date.max
    if not dots:
        start, end = _day(value, value, today)
    if dots and (value == ".." or start >= end):
        raise ValueError(
            f"date must begin before it ends, got {value[:40]} (write the earlier day in front of the dots)"
        )
    return Condition(sql="(made >= ? AND made < ?)", values=(_nanoseconds(start), _nanoseconds(end)))


def _day(text: str, value: str, today: date) -> tuple[date, date]:
    """Return the first day of what a text names, and the day after the last."""
    named = {"today": today, "yesterday": today - timedelta(days=1)}.get(text.lower())
    if named:
        return named, named + timedelta(days=1)
    match = _DATE.fullmatch(text)
    try:
        if not match:
            raise ValueError
        year, month, day = (int(part) if part else 0 for part in match.groups())
        start = date(year, month or 1, day or 1)
        days = 1 if day else monthrange(year, month)[1] if month else 366 if isleap(year) else 365
        return start, start + timedelta(days=min(days, (date.max - start).days))
    except ValueError as error:
        raise ValueError(
            f"date must be a day, month or year such as 2026-11-27, 2026-11 or 2026, got {value[:40]}"
            " (or today, yesterday, 2026-11-01.. from that day on, ..2026-11-15 up to it)"
        ) from error


def _nanoseconds(day: date) -> int:
    """Return the start of a day here, in nanoseconds since 1970, as far as the index can count."""
    try:
        seconds = datetime.combine(day, datetime.min.time()).timestamp()
    except (OverflowError, OSError, ValueError):
        seconds = -1e12 if day.year < 1970 else 1e12
    return max(-(2**62), min(2**62, int(seconds) * 10**9))


_READERS: dict[str, Callable[[str, date], Condition]] = {
    "seed": _seed,
    "date": _made,
    "size": _size,
    "width": _side("width"),
    "height": _side("height"),
    "kind": _kind,
    "program": _program,
}
