"""The files beside the checkpoints, by the names people call them: loras/, embeddings/, vae/."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..checkpoints import Stamp, stamp
from ..user_files import MAX_NAMED, PICKLES, SUFFIX, nearest, readable

MAX_DEPTH = 8  # folders inside folders


@dataclass(frozen=True, kw_only=True)
class AddonFile:
    """A file and its name: without ending, or where two share that, its place in the folder with it."""

    name: str
    path: Path


def list_files(folder: Path) -> tuple[AddonFile, ...]:
    """List the .safetensors files of a folder and its subfolders by name. Nothing is opened."""
    bearers: dict[str, list[str]] = defaultdict(list)
    for place in scan(folder, (SUFFIX,)):
        bearers[_stem(place)].append(place)
    found = [
        AddonFile(name=stem if len(places) == 1 else place, path=folder / place)
        for stem, places in bearers.items()
        for place in places
    ]
    return tuple(sorted(found, key=lambda file: (file.name.lower(), file.name)))


def scan(folder: Path, suffixes: tuple[str, ...], *, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Yield the places of files with these endings, `sub/name.ending`, at most `depth` folders down.

    Links are followed; one that leads round in a circle, or nowhere, is left out, and so is a name that is
    no text.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [("", depth)]
    while waiting:
        place, left = waiting.pop()
        with suppress(OSError):  # a folder that is not there, or may not be read, holds nothing
            status = os.stat(folder / place)  # noqa: PTH116 - the same call for thousands of folders
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder / place) as entries:
                for entry in entries:
                    inside = f"{place}{entry.name}"
                    with suppress(OSError):
                        if entry.name.startswith(".") or readable(entry.name) != entry.name:
                            continue
                        if entry.name.lower().endswith(suffixes) and entry.is_file():
                            yield inside
                        elif left and entry.is_dir():
                            waiting.append((f"{inside}/", left - 1))


def stamp_files(path: Path) -> tuple[Stamp, ...]:
    """Return what tells a changed file, or folder of configuration and weights, from the same one."""
    places = sorted(scan(path, (SUFFIX, ".json"), depth=0))
    return stamp(path), *(stamp(path / place) for place in places)


def find_file(what: str, folder: Path, name: str) -> AddonFile:
    """Return the file of a folder by its name, with or without subfolder and ending; see pick_file."""
    return pick_file(what, list_files(folder), folder, name, field="prompt")


def pick_file(what: str, files: Sequence[AddonFile], folder: Path, name: str, *, field: str) -> AddonFile:
    """Return the file of that name. Raise ValueError naming the nearest ones, or those that share it."""
    called = [file for file in files if name in _names(file, folder)]
    if len(called) == 1:
        return called[0]
    if called:
        names = ", ".join(file.name for file in called[:MAX_NAMED])
        raise ValueError(
            f"{field} must name one {what}, and {len(called)} files are called {name} (write one of: {names})"
        )
    pickles = [place for place in scan(folder, PICKLES) if name in (_stem(place), place)]
    if pickles:
        raise ValueError(
            f"{field} must name a .safetensors file, and {pickles[0]} is refused: reading it can run code"
            " (get the .safetensors version)"
        )
    near = nearest(name, [file.name for file in files])
    some = ", ".join(near or [file.name for file in files[:MAX_NAMED]])
    hint = f"{'nearest' if near else 'there are'}: {some}" if some else f"{folder.name}/ is empty"
    raise ValueError(f"{field} must name a {what} that is there, got {name[:80]} ({hint})")


def _names(file: AddonFile, folder: Path) -> tuple[str, ...]:
    place = file.path.relative_to(folder).as_posix()
    return file.name, _stem(place), place, place[: -len(SUFFIX)]


def _stem(place: str) -> str:
    return place.rpartition("/")[2].rpartition(".")[0]
