"""All panels of a picture, as files."""

import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..images import open_image
from ..metadata import png_bytes
from ..probes.kept_recordings import RecordingFolder
from ..probes.recording import Recording
from ..requests import InsideRequest, InsideResult, PanelShown, Step
from ..user_files import spreadsheet_cell
from ..weights.model_manager import ModelManager
from .look import Look, PictureAlone, look_at_picture
from .panel import Panel, PanelFiles, Table
from .panels import find_panels
from .record import open_given, record_picture

OnStep = Callable[[Step], None]


def look_inside(
    manager: ModelManager,
    request: InsideRequest,
    folder: RecordingFolder | None,
    on_step: OnStep | None = None,
) -> InsideResult:
    """Record a picture again and make all panels of it; see Studio.inside.

    What cannot be recorded is said, and the panels that need no recording are shown.
    """
    started = time.perf_counter()
    panels = find_panels(request.panels)
    image = open_image(request.picture)  # raises ValueError for what is no picture at all
    sizes: list[int] = []
    try:
        recorded = record_picture(
            manager,
            Path(request.picture),
            folder,
            **open_given(request.init_image, request.mask_image),
            on_step=on_step,
            announce=sizes.append,
        )
    except ValueError as error:
        alone = look_at_picture(manager, request.picture, str(error), image=image)
        shown = tuple(show_picture(alone, panel) for panel in panels)
        return InsideResult(
            sentence=f"{str(error).rstrip('.')}.",
            is_identical=None,
            panels=shown,
            seconds=time.perf_counter() - started,
        )
    look = Look(manager, recorded.recording, on_step=on_step)
    if other := request.other_picture:
        look.open_other = lambda _: _record_other(manager, Path(other), request, on_step)
    done: list[PanelShown] = []
    for number, panel in enumerate(panels):
        if on_step:
            on_step(_step(panel, number, len(panels), time.perf_counter() - started))
        done.append(show(look, panel))
    return InsideResult(
        sentence=recorded.sentence,
        is_identical=recorded.is_identical,
        panels=tuple(done),
        recording=recorded.recording_name,
        recording_bytes=sizes[-1],
        seconds=time.perf_counter() - started,
        notice=" ".join([*recorded.notes, *recorded.recording.notes]),
    )


def _record_other(
    manager: ModelManager, path: Path, request: InsideRequest, on_step: OnStep | None
) -> Recording:
    """Record the picture to be compared with; it began from the same one, if it did. Raise ValueError."""
    given = open_given(request.init_image, request.mask_image)
    return record_picture(manager, path, None, **given, on_step=on_step).recording


def _step(panel: Panel, number: int, count: int, seconds: float) -> Step:
    return Step(
        step=number,
        num_steps=count,
        image_index=0,
        num_images=1,
        seconds=seconds,
        text=f"Panel: {panel.title}",
    )


def show(look: Look, panel: Panel) -> PanelShown:
    """Make one panel of a recording, or say why not."""
    if reason := panel.why_not(look.recording):
        return _shown(panel, why_not=reason)
    try:
        made = panel.make(look)
    except ValueError as error:
        return _shown(panel, why_not=str(error))
    return _shown(panel, made)


def show_picture(alone: PictureAlone, panel: Panel) -> PanelShown:
    """Make a panel of a picture that could not be recorded, if it needs no recording."""
    if panel.make_of_picture is None:
        return _shown(panel, why_not=alone.reason)
    if reason := panel.why_not_alone(alone):
        return _shown(panel, why_not=reason)
    try:
        return _shown(panel, panel.make_of_picture(alone))
    except ValueError as error:
        return _shown(panel, why_not=str(error))


def _shown(panel: Panel, made: PanelFiles | None = None, *, why_not: str = "") -> PanelShown:
    return PanelShown(
        name=panel.name,
        title=panel.title,
        seen=panel.seen,
        not_shown=panel.not_shown,
        formula=panel.formula,
        exactness=panel.exactness,
        why_not=why_not,
        said=tuple(made.said) if made else (),
        files=files_of(panel.name, made) if made else {},
    )


def files_of(name: str, made: PanelFiles) -> Mapping[str, bytes]:
    """Return a panel's files by name: PNG, NPZ, CSV and films, each with the panel's name in front."""
    files = {f"{name}-{one}.png": png_bytes(image) for one, image in made.pictures.items()}
    files |= {f"{name}-{one}.csv": csv_bytes(table) for one, table in made.tables.items() if table}
    if made.arrays:
        stream = io.BytesIO()
        np.savez_compressed(stream, **dict(made.arrays))  # type: ignore[arg-type]
        files[f"{name}.npz"] = stream.getvalue()
    return files | dict(made.films)


def csv_bytes(table: Table) -> bytes:
    """Write rows as CSV in UTF-8; text that a spreadsheet would take for a formula gets a quote in front."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([[_cell(value) for value in row] for row in table])
    return stream.getvalue().encode("utf-8")


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else spreadsheet_cell(value)
