"""The values that result.js, views.js and frames.js draw, as the server makes them."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from .components import NamedFile, ServedFile


class JobValue(TypedDict):
    """What every block shows of a job; job.js draws it."""

    phase: str  # empty, waiting, running, done, stopped or error
    text: str  # what is going on, or the summary, or the error
    detail: str  # step, speed and time left
    fraction: float  # 0..1
    notice: str


class View(NamedFile):
    """Another picture than the result itself: raw, round trip, input, drift, sheet."""

    label: str
    title: str
    scale: NotRequired[list[list[str]]]  # of a map: what each colour means, and the colour as CSS
    is_input: NotRequired[bool]


class DriftValue(TypedDict):
    """The drift report in words."""

    rows: list[list[str]]
    cause: str
    seam: list[list[str]]


class ImageEntry(NamedFile):
    """One picture of the gallery."""

    seed: object
    infotext: str
    caption: NotRequired[str]
    views: NotRequired[list[View]]
    drift: NotRequired[DriftValue | None]
    look: NotRequired[str]  # the token by which its film is asked for; see made_pictures.py


class StartPicture(TypedDict):
    """A picture that a run began with."""

    label: str
    file: ServedFile


class Plot(TypedDict):
    """The divergence of a walk: a curve for each pair of neighbouring frames, None for what is not known."""

    curves: list[list[float | None]]
    parted: list[int | None]
    kinds: list[str]
    largest: int | None
    threshold: float
    meanings: Mapping[str, str]


class JumpValue(TypedDict):
    """A walk's narrowed jump."""

    pictures: list[int]  # where its two pictures stand in the gallery
    places: list[float]
    width: float
    curve: list[float | None]
    parted: int | None
    kind: str
    meaning: str
    history: list[list[float | None]]


class Frames(TypedDict, total=False):
    """What a walk or a plane has besides its pictures."""

    film: NamedFile | None
    views: list[View]
    # a plane's
    rows: list[str]
    columns: list[str]
    direction: str
    # a walk's
    ends: list[str]
    ts: list[float]
    plot: Plot | None
    jump: JumpValue | None


class ResultValue(JobValue):
    """What the result block shows."""

    preview: str | None  # data URL of a small picture
    size: list[int] | None  # width and height of the picture being made, which the preview is drawn as
    images: Sequence[ImageEntry]
    selected: int  # index into images
    start: list[StartPicture]
    note: str  # one line below the picture
    frames: Frames | None


class KeptResult(TypedDict):
    """What the browser keeps of a result."""

    pictures: list[list[str]]  # names and signatures
    sheet: list[list[str]]
    text: str
    notice: str
    numbers: str | None  # see kept_numbers.py
    job: str  # its id in the queue
    views: list[dict[str, str]]  # of each picture: the end of a file's name -> path; see views.py
    start: list[list[str]]  # label and path
