"""The history command: python -m sd_app history list "orange cat date:2026-11"."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ..history import MARKS, History, Kept
from ..history.export import export_zip
from ..studio import Studio
from ..user_files import one_line
from .flags import add_settings_flags
from .progress import FAILED

SUMMARY = "list, find, mark, throw away and export saved pictures"
DESCRIPTION = (
    "Look through the outputs folder. A search is words and fields: orange cat model:tiny-sd seed:7"
    " date:2026-11 size:512x768 kind:inpaint is:favourite -dog"
)
SHOWN_PROMPT = 60  # characters
PAGE = 200


def add_commands(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """Add the history's own commands."""
    acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    for name, text in (("list", "list pictures, newest first"), ("search", "the same: find pictures")):
        listing = acts.add_parser(name, help=text, description=f"{text.capitalize()}.")
        _add_search(listing)
        listing.add_argument(
            "--limit", type=int, default=20, metavar="N", help="show at most this many pictures (default: 20)"
        )
        add_settings_flags(listing, environ)
    trash = acts.add_parser("trash", help="move pictures into the trash", description="Move them there.")
    restore = acts.add_parser("restore", help="move them back", description="Move them out of the trash.")
    mark = acts.add_parser("mark", help="like, dislike or favour pictures", description="Mark pictures.")
    mark.add_argument("mark", choices=[*MARKS, "none"], help="none takes the mark away")
    for command in (trash, restore, mark):
        command.add_argument("names", nargs="+", metavar="NAME", help="as list prints it, or a path")
        add_settings_flags(command, environ)
    export = acts.add_parser("export", help="write pictures and a table as ZIP", description="Export.")
    _add_search(export)
    export.add_argument("--output", "-o", type=Path, metavar="FILE.zip", required=True, help="the file")
    add_settings_flags(export, environ)


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("search", nargs="*", metavar="WORD", help="words and fields that must be there")
    parser.add_argument("--trashed", action="store_true", help="look in the trash")


def run(studio: Studio, options: argparse.Namespace) -> int:
    """Run one of them."""
    settings = studio.settings
    if not settings.outputs_dir.is_dir():
        raise ValueError(f"there is no folder {settings.outputs_dir} (name it with --outputs-dir)")
    history = History(settings.outputs_dir, settings.cache_dir)
    history.scan()
    acts: dict[str, Callable[[History, argparse.Namespace], int]] = {
        "trash": _trash,
        "restore": _restore,
        "mark": _mark,
        "export": _export,
    }
    return acts.get(options.act, _list)(history, options)


def _list(history: History, options: argparse.Namespace) -> int:
    search = " ".join(options.search)
    if options.limit < 1:
        raise ValueError(f"limit must be at least 1, got {options.limit}")
    pictures = find_all(history, search, trashed=options.trashed, most=options.limit)
    for kept in pictures:
        print(line_of(kept))
    count = history.count(search, trashed=options.trashed)
    if count > len(pictures):
        print(f"{count - len(pictures)} more (--limit {count} lists all)", file=sys.stderr)
    if not count:
        print("There are none." if search else "There are no pictures yet.", file=sys.stderr)
    return 0


def find_all(history: History, search: str, *, trashed: bool, most: int) -> list[Kept]:
    """Return what a search finds, page by page, and tell remarks on it."""
    found: list[Kept] = []
    after = None
    while len(found) < most:
        page = history.page(search, after=after, limit=min(PAGE, most - len(found)), trashed=trashed)
        if not found:
            print(*page.remarks, sep="\n", end="\n" if page.remarks else "", file=sys.stderr)
        found += page.pictures
        after = page.after
        if after is None:
            break
    return found


def line_of(kept: Kept) -> str:
    """Return what the list says of a picture; its name stands first, as the other acts take it."""
    made = datetime.fromtimestamp(kept.made / 1e9).isoformat(" ", "minutes")
    mark = f"  [{kept.mark}]" if kept.mark else ""
    prompt = " ".join(kept.prompt.split())
    short = prompt if len(prompt) <= SHOWN_PROMPT else f"{prompt[: SHOWN_PROMPT - 1]}…"
    return one_line(f"{kept.shown_name}  {made}  {kept.width}x{kept.height}{mark}  {short}".rstrip())


def _named(history: History, names: Sequence[str]) -> list[str]:
    """Return pictures' names; each may be given as a path too."""
    found = []
    for name in names:
        inside = (history.outputs_dir / name).exists() or not Path(name).exists()
        found.append(history.marks.name_of(name if inside else Path(name).absolute()))
    return found


def _trash(history: History, options: argparse.Namespace) -> int:
    for name in _named(history, options.names):
        [moved] = history.throw_away([name])
        print(one_line(moved.new))
    return 0


def _restore(history: History, options: argparse.Namespace) -> int:
    for name in _named(history, options.names):
        [moved] = history.put_back([name])
        print(one_line(moved.new))
    return 0


def _mark(history: History, options: argparse.Namespace) -> int:
    history.mark(_named(history, options.names), None if options.mark == "none" else options.mark)
    return 0


def _export(history: History, options: argparse.Namespace) -> int:
    pictures = find_all(history, " ".join(options.search), trashed=options.trashed, most=1_001)
    if not pictures:
        print("There are none.", file=sys.stderr)
        return FAILED
    count = export_zip(history.outputs_dir, pictures, options.output)
    print(f"{options.output} ({count} picture{'' if count == 1 else 's'})")
    return 0
