"""A panel of Look inside: what it shows, what it does not, and the files it makes of a recording."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..probes.recording import Recording
from .actions import Action
from .look import Look, PictureAlone

EXACT, MEASURED, APPROXIMATE = "exact", "measured", "approximate"
Table = Sequence[Sequence[object]]  # rows; the first one names the columns


def can_always(looked: Recording | PictureAlone) -> str:
    """Say that a panel has nothing against a recording, or a picture."""
    return ""


@dataclass(frozen=True, kw_only=True)
class PanelFiles:
    """What a panel gives to be kept, by names that say what each is."""

    pictures: Mapping[str, Image.Image] = field(default_factory=dict)  # NAME.png
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)  # all in one .npz
    tables: Mapping[str, Table] = field(default_factory=dict)  # NAME.csv
    films: Mapping[str, bytes] = field(default_factory=dict)  # "NAME.mp4" or "NAME.webp"
    said: Sequence[str] = ()  # what was found, a sentence each


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel. `make` may raise ValueError in words, for what only the loaded model tells."""

    name: str  # one lower-case word: of files, endpoints and flags
    title: str
    seen: str  # two plain sentences on what is seen
    not_shown: str  # one on what it does not show
    formula: str  # behind a fold
    exactness: str  # EXACT, MEASURED or APPROXIMATE
    make: Callable[[Look], PanelFiles]
    # Why a recording cannot be shown, a sentence; empty if it can.
    why_not: Callable[[Recording], str] = can_always
    # Makes it of any picture that could not be recorded; None: it needs a recording.
    make_of_picture: Callable[[PictureAlone], PanelFiles] | None = None
    # Why such a picture cannot be shown in it all the same, a sentence; empty if it can.
    why_not_alone: Callable[[PictureAlone], str] = can_always
    makes_pictures: bool = False  # it makes pictures of its own, which takes as long as they do
    actions: tuple[Action, ...] = ()  # what can be done in it on the page
