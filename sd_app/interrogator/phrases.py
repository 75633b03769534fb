"""The phrase lists: clip-interrogator's own, those a CLIP folder ships with, and a user's text files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from unicodedata import category

from ..checks import shown
from ..settings import Settings

PACKAGE = "clip-interrogator"  # only its data files are read; none of its code is imported
FOLDER = "phrases"  # of text files, in models_dir and in a CLIP's folder
NEGATIVE = "negative"  # the list that only negative mode uses

MAX_FILE_BYTES = 50_000_000
MAX_LINES = 500_000
MAX_LINE = 500  # characters: far more than 77 tokens hold

_SITES = (
    *("Artstation", "behance", "cg society", "cgsociety", "deviantart", "dribble", "flickr", "instagram"),
    *("pexels", "pinterest", "pixabay", "pixiv", "polycount", "reddit", "shutterstock", "tumblr", "unsplash"),
    "zbrush central",
)


@dataclass(frozen=True, kw_only=True)
class PhraseGroup:
    """One list of phrases, without doubles and blanks, in the order of its file."""

    name: str
    phrases: tuple[str, ...]


def load_groups(
    settings: Settings, clip_folder: Path | None, names: Sequence[str] | None, *, negative: bool = False
) -> tuple[PhraseGroup, ...]:
    """Return the named lists, or without names a CLIP's default ones and the user's own.

    A CLIP folder with lists of its own has those as its default, any other CLIP the package's. The package's
    negative list belongs to the default with `negative` only. Raise ValueError for an unknown name, a file
    that cannot be used, or nothing to search.
    """
    sources = list_groups(settings, clip_folder)
    if names is None:
        names = default_names(settings, clip_folder, negative=negative)
    unknown = [name for name in names if name not in sources]
    if unknown:
        raise ValueError(f"groups must be among {', '.join(sources)}; got {shown(unknown[0])}")
    groups = tuple(_load(name, sources[name]) for name in names)
    if not any(group.phrases for group in groups):
        raise ValueError(f"groups must hold a phrase, {', '.join(names)} are empty (add lines, or a group)")
    return groups


def list_groups(settings: Settings, clip_folder: Path | None) -> dict[str, Path]:
    """Return the file of each list there is, by name: the CLIP's own, the package's, the user's.

    A user's file goes before one of the same name.
    """
    own = _files(clip_folder / FOLDER) if clip_folder else {}
    return own | package_files() | _files(settings.models_dir / FOLDER)


def default_names(settings: Settings, clip_folder: Path | None, *, negative: bool = False) -> tuple[str, ...]:
    """Return the lists that are searched when none are named."""
    own = _files(clip_folder / FOLDER) if clip_folder else {}
    user = _files(settings.models_dir / FOLDER)
    if own:
        return tuple(own | user)
    theirs = ("flavors", NEGATIVE) if negative else tuple(n for n in package_files() if n != NEGATIVE)
    return tuple(dict.fromkeys([*theirs, *(name for name in user if name != NEGATIVE)]))


def package_files() -> dict[str, Path]:
    """Return clip-interrogator's lists by name, without importing it. Raise OSError if it is missing."""
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise OSError(f"{PACKAGE} is not installed (pip install -r requirements.txt)") from error
    folder = Path(str(found.locate_file("clip_interrogator/data")))
    files = _files(folder)
    names = ("artists", "flavors", "mediums", "movements", "trending", NEGATIVE)
    return {name: files.get(name, folder / f"{name}.txt") for name in names}


def read_phrases(path: Path) -> tuple[str, ...]:
    """Read one phrase a line: UTF-8, blank lines and doubles left out, white space made single.

    Raise ValueError naming file and line for other bytes and for a line of more than MAX_LINE characters, or
    if the file is far too large; OSError when it cannot be read.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} must have at most {MAX_FILE_BYTES:,} bytes (divide it)")
    phrases: dict[str, None] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number > MAX_LINES:
                raise ValueError(f"{path.name} must have at most {MAX_LINES:,} lines (divide it)")
            if phrase := _clean(line, path.name, number):
                phrases[phrase] = None
    return tuple(phrases)


def _clean(line: bytes, name: str, number: int) -> str:
    """Return the phrase of a line of a file."""
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be UTF-8, line {number} is not (save it as UTF-8)") from error
    # Control characters part words like white space; clip-interrogator's list has some.
    text = " ".join("".join(" " if category(char) == "Cc" else char for char in text).split())
    if len(text) > MAX_LINE:
        raise ValueError(
            f"{name} must hold a phrase of at most {MAX_LINE} characters a line,"
            f" line {number} has {len(text):,} (shorten or divide it)"
        )
    return text


def _load(name: str, path: Path) -> PhraseGroup:
    is_package = path == package_files().get(name)
    if is_package and name == "trending":
        phrases: Iterable[str] = _trending()
    elif is_package and name == "artists":
        artists = read_phrases(path)
        phrases = [f"{word} {artist}" for word in ("by", "inspired by") for artist in artists]
    else:
        phrases = read_phrases(path)
    return PhraseGroup(name=name, phrases=tuple(dict.fromkeys(phrases)))


def _trending() -> list[str]:
    """Return the sites' phrases, which the package builds in code."""
    patterns = ("{}", "trending on {}", "featured on {}", "{} contest winner")
    return [pattern.format(site) for pattern in patterns for site in _SITES]


def _files(folder: Path) -> dict[str, Path]:
    """Return the text files of a folder by name, in the order of names; nothing if there is no folder."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return {}
    return {
        path.stem: path
        for path in files
        if path.suffix == ".txt" and not path.name.startswith(".") and path.is_file()
    }
