"""The job of making a picture again with everything watched, as the tab shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from PIL import Image

from ...images import open_image
from ...queue import Job, JobNow
from ...requests import (
    InsideRequest,
    LookFacts,
    Step,
    Txt2ImgRequest,
    format_bytes,
    request_class,
    request_field,
)
from ...requests.fields import check_fields, same_field
from ..shared.job_events import JobView
from ..shared.making_job import running_text
from ..shared.result import progress_detail
from ..shared.result_values import JobValue
from ..shared.scripts import scripts
from ..shared.studio_protocol import OnStep, PageStudio
from .answers import picture_url
from .desk import Desk

NAME = "inside"  # the tab
RECORD = "inside"  # the kind of job
MAX_NAME = 100  # characters of a file's name


class InsideValue(JobValue, total=False):
    """What the tab shows; inside.js draws it."""

    key: str  # what opens it, "" where nothing is open
    sentence: str  # whether the picture made again is the same, or why there is no recording
    identical: bool | None
    picture: str  # data URL
    name: str  # of the recording that is kept, "" if it is not
    clock: Mapping[str, object]
    about: Mapping[str, object]
    panels: list[Mapping[str, object]]


EMPTY: InsideValue = {"phase": "empty", "text": "", "detail": "", "fraction": 0, "notice": "", "key": ""}


def _check_request(name: str, value: object) -> None:
    if not isinstance(value, Txt2ImgRequest):
        raise ValueError(f"{name} must be a request for a picture (open the picture again)")


def _check_title(name: str, value: object) -> None:
    if not isinstance(value, str):  # a file may be called anything
        raise ValueError(f"{name} must be text (open the picture again)")


def _check_sizes(name: str, value: object) -> None:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list (open the picture again)")


@request_class
class RecordAsked:
    """Which picture is made again. `sizes` gets the recording's bytes before its first step."""

    picture: str | Path = same_field(of=InsideRequest)
    title: str = request_field(label="Title", help="what the person calls the file", check=_check_title)
    request: Txt2ImgRequest | None = request_field(
        default=None, check=_check_request, label="Request", help="without it the one in the file"
    )
    init_image: Image.Image | str | Path | None = same_field(of=InsideRequest, default=None)
    mask_image: Image.Image | str | Path | None = same_field(of=InsideRequest, default=None)
    sizes: list[int] = request_field(
        default=(), check=_check_sizes, keep=list, label="Sizes", help="what is told of it"
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a recording came to."""

    looked: Any  # as studio.look or look_at_picture returned it
    sentence: str
    identical: bool | None
    notes: tuple[str, ...] = ()
    name: str = ""
    size: int = 0


def record(studio: PageStudio, asked: RecordAsked, on_step: OnStep) -> Recorded:
    """Make the picture again and record it. A file that cannot be recorded is looked at alone."""
    announce = asked.sizes.append
    if asked.request is not None:
        picture = open_image(Path(asked.picture))
        recorded = studio.record_again(asked.request, picture, on_step, announce=announce)
    else:
        try:
            recorded = studio.record_picture(
                Path(asked.picture),
                on_step,
                init_image=asked.init_image,
                mask_image=asked.mask_image,
                announce=announce,
            )
        except ValueError as error:
            reason = named(str(error), asked)
            looked = studio.look_at_picture(Path(asked.picture), reason)
            return Recorded(looked=looked, sentence=reason, identical=None)
    return Recorded(
        looked=studio.look(recorded.recording),
        sentence=named(recorded.sentence, asked),
        identical=recorded.is_identical,
        notes=recorded.notes,
        name=recorded.recording_name,
        size=asked.sizes[-1] if asked.sizes else 0,
    )


def named(text: str, asked: RecordAsked) -> str:
    """Return a sentence in which the file has the name that the person knows, and the page's own fields."""
    said = text.replace(Path(asked.picture).name, asked.title or "this picture")
    said = said.replace("as init_image", "under Began from").replace("as mask_image", "under Mask")
    return said if said.endswith((".", "!", "?")) else f"{said}."


def keep(desk: Desk, recorded: Recorded, job: Job) -> InsideValue:
    """Put what was recorded on the desk, and return what the page shows of it."""
    if recorded.name:
        desk.own(job.owner, recorded.name)
    size = f" The recording has {format_bytes(recorded.size)}." if recorded.size else ""
    return shown(
        desk,
        recorded.looked,
        job.owner,
        sentence=f"{recorded.sentence}{size}",
        identical=recorded.identical,
        notes=recorded.notes,
        name=recorded.name,
    )


def shown(
    desk: Desk,
    looked: Any,
    owner: str,
    *,
    sentence: str,
    identical: bool | None = None,
    notes: tuple[str, ...] = (),
    name: str = "",
) -> InsideValue:
    """Put something on the desk, and return what the page shows of it."""
    opened = desk.open(looked, owner)
    facts = desk.studio.look_facts(looked)
    return {
        **EMPTY,
        "phase": "done",
        "text": "Recorded" if facts.clock else "Looked at without a recording",
        "fraction": 1,
        "notice": " ".join([*notes, *facts.notes]),
        "key": opened.key,
        "sentence": sentence,
        "identical": identical,
        "picture": picture_url(facts.picture),
        "name": name,
        "clock": facts.clock,
        "about": facts.about,
        "panels": panels_of(facts),
    }


def panels_of(facts: LookFacts) -> list[Mapping[str, object]]:
    """Return what inside.js draws of the panels, and which have a script of their own."""
    known = scripts()
    names = ("name", "title", "seen", "not_shown", "formula", "exactness", "why_not", "makes_pictures")
    return [
        {
            **{name: getattr(panel, name) for name in names},
            "script": f"inside/panels/{panel.name}.js" in known,
        }
        for panel in facts.panels
    ]


def summary_of(value: InsideValue) -> str:
    """Return what the line says of a recording."""
    return value["text"]


@dataclass(kw_only=True)
class RecordJob(JobView[InsideValue]):
    """One press on Look inside."""

    def waiting(self, now: JobNow) -> InsideValue:
        return {
            **EMPTY,
            "phase": "waiting",
            "text": now.waiting_text,
        }

    def running(self, now: JobNow) -> InsideValue:
        step: Step | None = now.step
        sizes = now.request.sizes if isinstance(now.request, RecordAsked) else []
        begun = f"Recording {format_bytes(sizes[-1])}" if sizes else step.text if step else "Starting"
        return {
            **EMPTY,
            "phase": "running",
            "text": running_text(now, begun),
            "detail": progress_detail(step) if step else "",
            "fraction": round(step.fraction, 3) if step else 0,
        }

    def finished(self, now: JobNow) -> InsideValue:
        return cast(InsideValue, now.outcome)

    def stopped(self, now: JobNow) -> InsideValue:
        return {
            **EMPTY,
            "phase": "stopped",
            "text": "Stopped: half a recording shows nothing, so none is kept",
        }

    def failed(self, message: str, now: JobNow | None) -> InsideValue:
        return {**EMPTY, "phase": "error", "text": message}
