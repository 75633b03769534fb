"""The info command: python -m sd_app info PICTURE ..., all that pictures' files say."""

import argparse
import json
import sys
from pathlib import Path

from ..metadata import InfoField, PictureInfo
from ..studio import Studio
from ..user_files import one_line
from .progress import FAILED

SUMMARY = "show all that pictures' files say of how they were made"
DESCRIPTION = "Show parameters and all other texts in PNG, JPEG, WebP, AVIF, GIF and TIFF files."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="picture files")
    parser.add_argument(
        "--json", action="store_true", help="print a list of JSON objects, all texts whole, instead of lines"
    )


def run(studio: Studio, options: argparse.Namespace) -> int:
    """Print what each file says. One that is no picture is a line on stderr; the others go on."""
    found: list[PictureInfo] = []
    for path in options.pictures:
        try:
            found.append(studio.picture_info(path))
        except ValueError as error:
            print(f"error: {one_line(str(error))}", file=sys.stderr)
    if options.json:
        print(json.dumps([info.as_json() for info in found], ensure_ascii=True, indent=2))
    else:
        print("\n\n".join("\n".join(lines_of(info)) for info in found))
    return 0 if len(found) == len(options.pictures) else FAILED


def lines_of(info: PictureInfo) -> list[str]:
    """Return what is printed of one picture; the file's texts as they are, each letter printable."""
    lines = [info.name, *(f"  {name}: {one_line(value)}" for name, value in info.facts)]
    if info.program:
        lines.append(f"  Made with: {one_line(info.program)}")
    lines += [f"  {_line_of(one)}" for one in info.fields]
    lines += [f"  {one_line(text)}" for text in (*info.remarks, *info.unread)]
    for carried in info.texts:
        lines.append(f"-- {one_line(carried.place)}")
        lines += [one_line(line) for line in carried.text.splitlines()]
    return lines if info.texts else [*lines, "  No text is stored in it."]


def _line_of(one: InfoField) -> str:
    state = f" ({one.reason})" if one.reason else ""
    return f"{one_line(one.name)}: {one_line(one.value)} [{one.state}{state}]"
