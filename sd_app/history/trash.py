"""The trash: a folder inside the outputs folder that has the same folders, so that what is in it finds back.

A picture is moved first and what belongs to it afterwards, and no file is ever put over another. Where a
crash came between, the place of the picture says where its companions belong: `heal` brings them there.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ..metadata.listing import next_number
from .places import TRASH, companions_of, is_picture_name

_AGAIN = re.compile(
    r"~\d+\Z"
)  # behind a folder's name in the trash: a picture of that name was there already
_OURS = re.compile(r"\d{5,}(-\d+\.png)")


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Where a picture was and is now, by names relative to the outputs folder."""

    old: str
    new: str


def throw_away(outputs_dir: Path, name: str) -> Moved:
    """Move a picture and what belongs to it into the trash.

    Raise LookupError if it is not there, OSError in words if it cannot be moved: then it is where it was.
    """
    folder, _, file = name.rpartition("/")
    for number in count(1):
        aside = f"{TRASH}/{folder}" if number == 1 else f"{TRASH}/{folder}~{number}"
        new = f"{aside}/{file}" if folder or number > 1 else f"{TRASH}/{file}"
        if _is_free(outputs_dir, new) and _move(outputs_dir, name, new):
            return Moved(old=name, new=new)
    raise AssertionError("numbers do not end")


def put_back(outputs_dir: Path, name: str) -> Moved:
    """Move a picture and what belongs to it out of the trash, to where it was.

    If its name was given to another one since, it gets the next number. Raise as throw_away does.
    """
    folder, _, file = name.removeprefix(f"{TRASH}/").rpartition("/")
    folder = _AGAIN.sub("", folder)
    for number in count(1):
        new = f"{folder}/{file}" if folder else file
        if _is_free(outputs_dir, new) and _move(outputs_dir, name, new):
            return Moved(old=name, new=new)
        ours = _OURS.fullmatch(Path(name).name)
        file = (
            f"{next_number(outputs_dir / folder):05}{ours[1]}"
            if ours
            else f"{Path(name).stem} ({number + 1}){Path(name).suffix}"
        )
    raise AssertionError("numbers do not end")


def heal(outputs_dir: Path) -> None:
    """Finish what a killed app began to move. What cannot be moved stays, without a word."""
    for trashed in _folders(outputs_dir / TRASH):
        inner = trashed.relative_to(outputs_dir / TRASH).as_posix()
        home = outputs_dir / ("" if inner == "." else _AGAIN.sub("", inner))
        there, here = _names(trashed), _names(home)
        for name in filter(is_picture_name, sorted(there & here)):
            with suppress(OSError):
                if (trashed / name).samefile(home / name):  # linked there, not yet gone here: it stays
                    (trashed / name).unlink()
                    there.discard(name)
        for name in filter(is_picture_name, sorted(there - here)):
            for one in companions_of(name, here):
                _rename(home / one, trashed / one)
        for name in filter(is_picture_name, sorted(here - there)):
            for one in companions_of(name, there):
                _rename(trashed / one, home / one)


def _is_free(outputs_dir: Path, new: str) -> bool:
    """Tell whether nothing has this name, nor anything that would belong to it."""
    names = _names((outputs_dir / new).parent)
    name = Path(new).name
    return name not in names and not companions_of(name, names)


def _move(outputs_dir: Path, old: str, new: str) -> bool:
    """Move a picture with its companions; False if the name was taken meanwhile."""
    source, target = outputs_dir / old, outputs_dir / new
    names = _names(source.parent)
    beside = companions_of(source.name, names)
    if source.name not in names:
        raise LookupError(f"{_shown(source.name)} is not there any more (it was moved or deleted since)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _rename(source, target, strict=True):
            return False
        for name in beside:
            _rename(
                source.with_name(name),
                target.with_name(target.stem + name.removeprefix(source.stem)),
                strict=True,
            )
    except FileNotFoundError as error:
        raise LookupError(
            f"{_shown(source.name)} is not there any more (it was moved or deleted since)"
        ) from error
    except OSError as error:
        explained = OSError(
            f"{_shown(source.name)} cannot be moved: {error.strerror or error} (see whose file it is)"
        )
        explained.errno = error.errno
        raise explained from error
    return True


def _rename(source: Path, target: Path, *, strict: bool = False) -> bool:
    """Give a file another name, never over another file; False if that name is taken.

    Raise OSError if it fails, and `strict`.
    """
    try:
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise
            source.rename(target)  # a disk without links
            return True
        source.unlink()
    except OSError:
        if strict:
            raise
        return False
    return True


def _folders(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder):
        yield Path(path)


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208  # a Path for each of thousands would be slow
    except OSError:
        return set()


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")
