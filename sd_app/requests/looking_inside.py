"""Look inside a picture: what is asked, and what comes back. Plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..checks import shown
from .fields import check_fields, request_class, request_field

MAX_NAME = 60  # characters of a panel's name


def _check_file(name: str, value: object) -> None:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(
            f"{name} must be the path of a picture's file, which holds its request, got {shown(value)}"
            " (choose a file)"
        )


def _check_other(name: str, value: object) -> None:
    if value is not None:
        _check_file(name, value)


def _path_or_none(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _check_panels(name: str, values: object) -> None:
    names = values if isinstance(values, Sequence) and not isinstance(values, str) else [None]
    if not all(isinstance(value, str) and len(value) < MAX_NAME for value in names):
        raise ValueError(f"{name} must be names of panels, got {shown(values)} (leave it out for all)")


@request_class
class InsideRequest:
    """Ask how a picture came about, by the request in its file.

    A picture that began from another one does not hold it: that is given as `init_image`, an inpainting's
    mask as `mask_image`. `other_picture` is the file of a second picture, to be compared with. `panels`
    names those to be shown; none means all.
    """

    picture: str | Path = request_field(
        check=_check_file, keep=Path, label="Picture", help="the file of a picture with its request inside"
    )
    init_image: Image.Image | str | Path | None = request_field(
        default=None, label="Began from", help="the picture it began from, if it did"
    )
    mask_image: Image.Image | str | Path | None = request_field(
        default=None, modes=("1", "L", "RGB"), label="Mask", help="an inpainting's mask"
    )
    other_picture: str | Path | None = request_field(
        default=None,
        check=_check_other,
        keep=_path_or_none,
        label="Other picture",
        help="a second picture's file, to see where both ways part",
    )
    panels: tuple[str, ...] = request_field(
        default=(), check=_check_panels, keep=tuple, label="Panels", help="which panels; by default all"
    )

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class PanelShown:
    """One panel of a picture: what it says of itself, and its files, or why it cannot be shown."""

    name: str
    title: str
    seen: str  # two sentences on what is seen
    not_shown: str  # one on what it does not show
    formula: str
    exactness: str  # "exact", "measured" or "approximate"
    why_not: str = ""  # a sentence where it cannot be shown; then there are no files
    said: tuple[str, ...] = ()  # what was found, a sentence each
    files: Mapping[str, bytes] = field(default_factory=dict)  # by name: .png, .npz, .csv, .mp4, .webp


@dataclass(frozen=True, kw_only=True)
class InsideResult:
    """How a picture came about."""

    sentence: str  # whether the picture made again is the same to the byte, or why there is none
    is_identical: bool | None  # None: it could not be made again
    panels: tuple[PanelShown, ...]
    recording: str = ""  # the name under which it is kept
    recording_bytes: int = 0  # as told before the first step
    seconds: float = 0.0
    notice: str = ""  # what of its parameters was not taken, and what was not run
    stopped: bool = False


@dataclass(frozen=True, kw_only=True)
class LookAnswer:
    """What a panel answers to something that was done on the page."""

    numbers: Mapping[str, object] = field(default_factory=dict)  # as JSON has them, and numpy arrays
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PanelFacts:
    """One panel, as the page offers it."""

    name: str
    title: str
    seen: str
    not_shown: str
    formula: str
    exactness: str
    why_not: str  # a sentence where it cannot be shown
    makes_pictures: bool  # it takes as long as pictures do
    running: tuple[str, ...] = ()  # its actions that wait for their turn in the line of jobs


@dataclass(frozen=True, kw_only=True)
class LookFacts:
    """What is looked at: a recording, or a picture alone."""

    panels: tuple[PanelFacts, ...]
    picture: Image.Image  # as the model made it
    clock: Mapping[str, object] = field(default_factory=dict)  # the steps taken; empty of a picture alone
    about: Mapping[str, object] = field(default_factory=dict)  # prompt, model, seed, size, ...
    notes: tuple[str, ...] = ()  # what was not run at which steps
    num_bytes: int = 0  # of memory, about


@dataclass(frozen=True, kw_only=True)
class KeptRecording:
    """A recording that is kept, as a list names it."""

    name: str
    prompt: str
    seed: int | None
    size_bytes: int
