"""What all readers of a person's files share: endings, small JSON files, reasons in words, near names."""

import codecs
import errno
import json
import stat
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

JsonObject = dict[str, object]  # as somebody wrote it: every value is checked where it is used

SUFFIX = ".safetensors"
PICKLES = (".ckpt", ".pt", ".pth", ".bin")  # formats whose reading can run code
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what formulas begin with
MAX_NAMED = 8  # names in an error
MAX_NAME = 200  # bytes of a file's name; disks take 255 with the ending
MAX_REASON = 300  # characters


def read_object(path: Path) -> JsonObject:
    """Return the JSON object in a file; an empty one if the file holds none or cannot be read."""
    try:
        value = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_text(path: Path) -> str:
    """Return the text of a small file: UTF-8 with or without a mark, UTF-16 with one, else Windows'.

    Raise OSError if it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would be to wait for its writer
        raise OSError(errno.EINVAL, "it is not a plain file", path.name)
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def reason_of(error: Exception, path: Path) -> str:
    """Say in words why a file cannot be read; its folder is nobody's business."""
    known = error.strerror if isinstance(error, OSError) else None
    text = readable(known or str(error))
    return text.replace(str(path), path.name).replace(str(path.parent), "")[:MAX_REASON]


def spreadsheet_cell(value: object) -> object:
    """Return a value as a cell of a CSV file: a text that a spreadsheet would take for a formula is quoted.

    An apostrophe in front says in all of them that what follows is text.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def may_be_file(name: str) -> bool:
    """Tell whether a disk can have a file of this name, with an ending behind it."""
    return len(name.encode(errors="replace")) <= MAX_NAME


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Return at most 8 of the names that are much like this one, the nearest first."""
    return get_close_matches(name, list(names), MAX_NAMED, 0.5)


def one_line(text: str) -> str:
    """Return a text as one line of a terminal: letters that would steer it become question marks."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def readable(text: str) -> str:
    """Return a text without halves of surrogate pairs, which no page and no picture file can carry."""
    return text.encode(errors="ignore").decode()
