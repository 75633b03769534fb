"""Styles: named pieces of prompts in one CSV file, as AUTOMATIC1111 has them in styles.csv.

    name,prompt,negative_prompt
    Oil,"an oil painting of {prompt}, thick paint","photo, blurry"

`{prompt}` is where the prompt goes; a style without it is added behind the prompt, after ", ". The file is
the user's: what cannot be read of it is said line by line and stays in it, also when a style is saved.
"""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

from ..checks import check_text
from ..user_files import nearest, read_text, reason_of

STYLES = "styles.csv"
PLACE = "{prompt}"
COLUMNS = ("name", "prompt", "negative_prompt")
MAX_BYTES = 10_000_000  # of the file
MAX_NAME = 200  # characters
MAX_STYLE = 20_000  # of each of its prompts
_OLD = {"text": "prompt"}  # of the first version of the format
_BOM = "\ufeff"
_LIMIT = 10_000_000  # characters of one cell


@dataclass(frozen=True, kw_only=True)
class Style:
    """A named piece of a prompt and of a negative prompt."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True, kw_only=True)
class StyleFile:
    """What a file of styles holds. `problems` says in sentences what was not read, with the line."""

    styles: Mapping[str, Style]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Record:
    """One row, with the lines of the file that it was read from."""

    raw: str
    line: int  # the first of them, counted from 1
    cells: tuple[str, ...]


def read_styles(path: Path) -> StyleFile:
    """Read a file of styles; one that is not there has none. Raise ValueError if it cannot be read at all."""
    styles: dict[str, Style] = {}
    problems: list[str] = []
    header, records = _header_of(_records(_text_of(path)))
    for record in records:
        problem = _problem(header, record, styles)
        if problem:
            problems.append(f"Line {record.line} of {path.name} {problem}.")
        if style := _style_of(header, record):
            styles[style.name] = style
    return StyleFile(styles=styles, problems=tuple(problems))


def save_style(path: Path, style: Style, *, old_name: str = "") -> None:
    """Write a style into the file: in place of the one of its name, or of `old_name`, else behind the others.

    All other lines stay as they are, those too that cannot be read. Raise ValueError for a style that no file
    may hold, OSError if it cannot be written.
    """
    if not style.name.strip():
        raise ValueError("the style has no name (write one, by which it is chosen)")
    check_text("the style's name", style.name, MAX_NAME)
    if style.name != style.name.strip():
        raise ValueError("the style's name must not begin or end with a space (remove it)")
    for field in ("prompt", "negative_prompt"):
        check_text(f"the style's {field.replace('_', ' ')}", getattr(style, field), MAX_STYLE)
    _rewrite(path, {style.name, *filter(None, [old_name])}, style)


def delete_style(path: Path, name: str) -> None:
    """Take a style out of the file; all other lines stay. Raise ValueError if there is none of this name."""
    if name not in read_styles(path).styles:
        raise ValueError(f"there is no style {name} (reload the page)")
    _rewrite(path, {name}, None)


def apply_styles(
    prompt: str, negative_prompt: str, names: Sequence[str], styles: Mapping[str, Style]
) -> tuple[str, str]:
    """Return both prompts with styles applied, one after the other. Raise ValueError for an unknown name."""
    for name in names:
        if name not in styles:
            near = nearest(name, styles)
            remedy = f"there is {', '.join(near)}" if near else f"write it into {STYLES}"
            raise ValueError(f"styles must be names of styles that are here, got {name} ({remedy})")
        prompt = merge(styles[name].prompt, prompt)
        negative_prompt = merge(styles[name].negative_prompt, negative_prompt)
    return prompt, negative_prompt


def merge(style: str, prompt: str) -> str:
    """Return a prompt with a style around it, or behind it."""
    if PLACE in style:
        return style.replace(PLACE, prompt)
    return ", ".join(filter(None, (prompt.strip(), style.strip()))) if style.strip() else prompt


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            size = path.stat().st_size
            raise ValueError(
                f"{path.name} must have at most {MAX_BYTES:,} bytes, got {size:,} (cut it short)"
            )
        return read_text(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {reason_of(error, path)} (see the file)") from error


def _records(text: str) -> Iterator[_Record]:
    """Yield the rows of a CSV text, each with its own lines; a quote that stays open ends with its line."""
    lines = list(StringIO(text, newline=""))  # with their ends; a cell may hold other kinds of line breaks
    position = 0
    limit = csv.field_size_limit(_LIMIT)
    try:
        while position < len(lines):
            reader = csv.reader(islice(lines, position, None), skipinitialspace=True, strict=True)
            try:
                cells = next(reader)
                count = reader.line_num
            except (csv.Error, StopIteration):
                cells, count = [], 1  # broken: said by who reads it
            raw = "".join(lines[position : position + count])
            yield _Record(raw=raw, line=position + 1, cells=tuple(cells))
            position += count
    finally:
        csv.field_size_limit(limit)


def _header_of(records: Iterator[_Record]) -> tuple[tuple[str, ...], list[_Record]]:
    """Return the names of the columns and the rows below them; without a header the usual ones, all rows."""
    rows = list(records)
    for number, record in enumerate(rows):
        if not record.raw.strip():
            continue
        names = tuple(_OLD.get(cell.strip().lower(), cell.strip().lower()) for cell in record.cells)
        if "name" in names and "prompt" in names:
            return names, rows[number + 1 :]
        break
    return COLUMNS, rows


def _style_of(header: Sequence[str], record: _Record) -> Style | None:
    cells = dict(zip(header, record.cells, strict=False))
    name = cells.get("name", "").strip()
    if not name or len(record.cells) > len(header):
        return None
    return Style(name=name, prompt=cells.get("prompt", ""), negative_prompt=cells.get("negative_prompt", ""))


def _problem(header: Sequence[str], record: _Record, styles: Mapping[str, Style]) -> str:
    """Say what is wrong with a row, "" if nothing is."""
    if not record.raw.strip():
        return ""
    if not record.cells:
        return "is not read: a quotation mark in it is not closed, or stands within a cell"
    if len(record.cells) > len(header):
        return (
            f"is not read: it has {len(record.cells)} cells instead of {len(header)}; put a text with commas"
            " into quotation marks"
        )
    style = _style_of(header, record)
    if style is None:
        return "is not read: it has no name"
    if style.name in styles:
        return f"has the name {style.name} again, and the later one counts"
    return ""


def _rewrite(path: Path, names: set[str], style: Style | None) -> None:
    """Write the file again, whole or not at all, with a style in the place of those of these names."""
    text = _text_of(path)
    header, records = _header_of(_records(text))
    below = sum(len(record.raw) for record in records)
    head = text[: len(text) - below] or ",".join(COLUMNS) + "\r\n"
    row = _row(header, style) if style else ""
    kept: list[str] = []
    for record in records:
        found = _style_of(header, record)
        if found is None or found.name not in names:
            kept.append(record.raw)
        elif row:
            kept.append(row)
            row = ""
    if row:
        if kept and not kept[-1].endswith(("\n", "\r")):
            kept[-1] += "\r\n"
        kept.append(row)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes((_BOM + head + "".join(kept)).encode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _row(header: Sequence[str], style: Style) -> str:
    stream = StringIO(newline="")
    csv.writer(stream).writerow([getattr(style, name, "") if name in COLUMNS else "" for name in header])
    return stream.getvalue()
