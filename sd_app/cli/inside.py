"""The inside command: python -m sd_app inside picture.png --output folder."""

import argparse
import sys
from pathlib import Path

from ..metadata import write_bytes
from ..requests import Cancelled, InsideRequest, PanelShown, format_bytes, make_request
from ..studio import Studio
from .flags import FlagOptions, given_fields
from .progress import FAILED, INTERRUPTED, progress_bar, stop_on_ctrl_c
from .running import run_as_job

SUMMARY = "show how a picture came about"
DESCRIPTION = "Run a picture's request again with everything recorded, and write all panels as files."
POSITIONAL: dict[str, FlagOptions] = {"picture": {"type": Path, "metavar": "PICTURE"}}


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the flag of the folder."""
    parser.add_argument(
        "--output", "-o", type=Path, metavar="FOLDER", required=True, help="write the panels' files there"
    )


def run(studio: Studio, options: argparse.Namespace) -> int:
    """Look inside a picture; print what was found and every file."""
    request = make_request(InsideRequest, given_fields(options, InsideRequest))
    folder: Path = options.output
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output must be a folder, got the file {folder.name} (choose another name)")
    with progress_bar() as show, stop_on_ctrl_c() as check:
        try:
            result = run_as_job(studio.inside, request, show=show, check=check)
        except Cancelled:
            print("stopped: nothing was written", file=sys.stderr)
            return INTERRUPTED
    if result.recording:
        print(f"{result.sentence} (recording of {format_bytes(result.recording_bytes)})")
    else:
        print(result.sentence, file=sys.stderr)
    if result.notice:
        print(result.notice, file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    for panel in result.panels:
        write_panel(panel, folder)
    return 0 if any(panel.files for panel in result.panels) else FAILED


def write_panel(panel: PanelShown, folder: Path) -> None:
    """Write a panel's files, and print what it says and where they are."""
    if panel.why_not:
        print(f"{panel.title}: not shown: {panel.why_not}", file=sys.stderr)
        return
    print(f"{panel.title} ({panel.exactness})")
    for sentence in panel.said:
        print(f"  {sentence}")
    for name, data in panel.files.items():
        write_bytes(data, folder / name)
        print(f"  {folder / name}")
