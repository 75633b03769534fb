"""Several pictures as one ZIP file, with a table of what each was made of."""

import csv
import io
import os
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ..metadata import read_infotext
from ..user_files import readable, spreadsheet_cell
from .finding import Kept

TABLE = "pictures.csv"
MAX_PICTURES = 1_000
MAX_BYTES = 4_000_000_000
COLUMNS = (
    *("file", "made", "width", "height", "prompt", "negative_prompt", "model", "scheduler", "seed", "kind"),
    *("program", "mark", "parameters"),
)


def export_zip(outputs_dir: Path, pictures: Iterable[Kept], target: Path) -> int:
    """Write pictures with their companions and a table into a ZIP file; return how many were there still.

    The file appears whole or not at all. Raise ValueError for too many, OSError in words if it fails.
    """
    chosen = list(pictures)
    if not 1 <= len(chosen) <= MAX_PICTURES:
        raise ValueError(
            f"pictures must be from 1 to {MAX_PICTURES:,} for one file, got {len(chosen):,} (choose fewer)"
        )
    if (size := sum(one.size_bytes for one in chosen)) > MAX_BYTES:
        raise ValueError(
            f"pictures must have at most {MAX_BYTES // 10**9} GB for one file, got {size / 1e9:.1f}"
            " (choose fewer)"
        )
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        # Pictures are compressed already.
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, strict_timestamps=False) as file:
            there = [one for one in chosen if _add(file, outputs_dir, one)]
            file.writestr(TABLE, table_of(outputs_dir, there))
        partial.replace(target)
    except OSError as error:
        raise OSError(
            f"{target.name} cannot be written: {error.strerror or error} (free some space or choose fewer)"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return len(there)


def table_of(outputs_dir: Path, pictures: Iterable[Kept]) -> str:
    """Return the table as CSV, as spreadsheets read it: no text in it is taken for a formula."""
    stream = io.StringIO()
    stream.write("\ufeff")  # or Excel reads letters beyond ASCII wrongly
    table = csv.writer(stream)
    table.writerow(COLUMNS)
    for one in pictures:
        made = datetime.fromtimestamp(one.made / 1e9).isoformat(" ", "seconds")
        row = (
            *(one.shown_name, made, one.width, one.height, one.prompt, one.negative_prompt, one.model),
            *(one.scheduler, one.seed, one.kind, one.program, one.mark or ""),
            infotext_of(outputs_dir / one.name),
        )
        table.writerow([spreadsheet_cell(value) for value in row])
    return stream.getvalue()


def infotext_of(path: Path) -> str:
    """Return the parameters in a picture's file, "" for none."""
    try:
        return readable(read_infotext(path) or "").replace("\0", "")
    except (ValueError, OSError):
        return ""


def _add(file: zipfile.ZipFile, outputs_dir: Path, one: Kept) -> bool:
    """Add a picture and what stands with it; False if it is gone meanwhile."""
    if not (outputs_dir / one.name).is_file():
        return False
    for name in (one.name, *one.companions.values()):
        with suppress(FileNotFoundError):
            file.write(outputs_dir / name, os.fsencode(name).decode(errors="replace"))
    return True
