"""The interrogate command: python -m sd_app interrogate a.png --mode true; whole folders into a CSV file."""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from ..requests import Cancelled, InterrogateRequest, InterrogateResult, Step, make_request
from ..studio import Studio
from ..user_files import spreadsheet_cell
from .flags import FlagOptions, given_fields
from .picture_folders import list_pictures
from .progress import FAILED, INTERRUPTED, progress_bar, stop_on_ctrl_c
from .running import run_as_job

SUMMARY = "find the words for a picture"
DESCRIPTION = "Find the words that fit a picture, as CLIP reads it, not what a model makes of them."
SCORES = ("prompt", "caption", "similarity", "percentile", "chance", "clip_model", "seconds")
COLUMNS = ("file", "mode", *SCORES, "disagrees", "error")
POSITIONAL: dict[str, FlagOptions] = {"image": {"nargs": "+", "type": Path, "metavar": "PICTURE"}}


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the flag of the CSV file."""
    parser.add_argument(
        "--output", "-o", type=Path, metavar="PATH", help="write a row a picture to this .csv file"
    )


def run(studio: Studio, options: argparse.Namespace) -> int:
    """Interrogate every picture; print each prompt. A picture that fails does not stop the others."""
    given = given_fields(options, InterrogateRequest)
    paths = find_pictures(options.image)
    check_output(options.output)
    requests = [make_request(InterrogateRequest, given | {"image": path}) for path in paths]
    failed, told = 0, ""
    with progress_bar() as show, stop_on_ctrl_c() as check, _rows(options.output) as write:
        for index, request in enumerate(requests):

            def show_all(step: Step, index: int = index) -> None:
                show(replace(step, image_index=index, num_images=len(requests)))

            try:
                check()
                result = run_as_job(studio.interrogate, request, show=show_all, check=check)
            except Cancelled:
                return _stopped(index, len(requests))
            except (ValueError, OSError) as error:
                if len(requests) == 1:
                    raise
                failed += 1
                _say(f"{paths[index]}: error: {error}", file=sys.stderr)
                write({"file": str(paths[index]), "error": str(error)})
                continue
            write(row_of(paths[index], result))
            _say(f"{paths[index]}: {result.prompt}" if len(requests) > 1 else result.prompt)
            for line in remarks_of(result):
                if line != told:  # what holds for all pictures is said once
                    _say(line, file=sys.stderr)
            told = result.notice or told
            if result.stopped:
                return _stopped(index + 1, len(requests))
    return FAILED if failed else 0


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """Return the pictures given, with those of folders in the order of their names.

    Raise ValueError for a path that is not there and if there is no picture.
    """
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            paths += _pictures_of(path)
        elif path.exists():
            paths.append(path)
        else:
            raise ValueError(f"image must be a picture or a folder, {path} is not there (check its name)")
    if not paths:
        raise ValueError(f"image must name a picture, {given[0]} holds none (PNG, JPEG, WebP, ...)")
    return paths


def _pictures_of(folder: Path) -> list[Path]:
    try:
        return list_pictures(folder)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ValueError(
            f"image must be a folder that can be read, {folder} cannot: {reason} (check its permissions)"
        ) from error


def check_output(output: Path | None) -> None:
    """Refuse a file that cannot be written, before any work is done."""
    if output is None:
        return
    if output.suffix.lower() != ".csv":
        raise ValueError(f"output must end in .csv, got {output.name} (try {output.stem or 'out'}.csv)")
    if not output.parent.is_dir():
        raise ValueError(f"output must lie in a folder that exists, got {output.parent} (make it first)")


def row_of(path: Path, result: InterrogateResult) -> dict[str, object]:
    """Return a picture's row of the CSV file."""
    scores = {name: getattr(result, name) for name in SCORES}
    disagrees = "; ".join(finding.phrase for finding in result.disagreements)
    return {"file": str(path), "mode": result.request.mode, **scores, "disagrees": disagrees}


def remarks_of(result: InterrogateResult) -> list[str]:
    """Return what to say beside the prompt: where CLIP disagrees with the caption, and the notice."""
    against = [
        f"CLIP disagrees with the caption: {finding.phrase} (it reads the caption as: {finding.against})"
        for finding in result.disagreements
    ]
    return [*against, *([result.notice] if result.notice else [])]


@contextmanager
def _rows(output: Path | None) -> Iterator[Callable[[dict[str, object]], None]]:
    """Yield what writes a row at once, so that a stop keeps what is done; without a file it does nothing."""
    if output is None:
        yield lambda row: None
        return
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()

        def write(row: dict[str, object]) -> None:
            writer.writerow({name: spreadsheet_cell(value) for name, value in row.items()})
            file.flush()

        yield write


def _say(text: str, file: TextIO | None = None) -> None:
    """Print a line above the progress bar, if there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=file or sys.stdout)


def _stopped(done: int, wanted: int) -> int:
    _say(f"stopped: {done} of {wanted} pictures, the last with the best so far", file=sys.stderr)
    return INTERRUPTED
