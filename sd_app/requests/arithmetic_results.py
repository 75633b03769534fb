"""What arithmetic with prompts gives back: a blend, the frames of a walk, where it jumps, a plane."""

from dataclasses import dataclass
from itertools import dropwhile
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .arithmetic import ArithmeticRequest, WalkRequest
from .making import Txt2ImgRequest
from .making_results import Txt2ImgResult
from .text import Encoding, NearWord

if TYPE_CHECKING:
    from .text import Floats

JUMP_WIDTH = 1 / 1024  # to which bisect narrows a jump
PARTED = 0.25  # RMS distance of predicted x0 in latent units from which two runs count as parted
STRIP_FRAMES = 10

SMALL_CHANGE, BRANCH_EARLY, DIFFER_AT_THE_END = "small change", "branch early", "differ at the end"
MEANINGS = {
    SMALL_CHANGE: f"The two end less than {PARTED} apart: nearly the same picture.",
    BRANCH_EARLY: "They separate in the first half of the steps, when composition and subject are decided.",
    DIFFER_AT_THE_END: "They separate in the second half of the steps: same composition, other details.",
}


@dataclass(frozen=True, kw_only=True)
class BlendResult(Txt2ImgResult):
    """A blend's picture, the tensor it was drawn from, and the tokens nearest to the blended word.

    `near` holds one entry a row of the slot: the expression worked out on token vectors, before the encoder.
    """

    encoding: Encoding | None = None  # None when stopped before
    near: tuple[tuple[NearWord, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Divergence:
    """How far neighbouring frames are apart at every step.

    `distances` is (frames - 1, steps) float32: the root mean square over all values of the difference of
    their predicted x0, in latent units, in which a model's latents have a spread of about 1. Where frames
    differ in strength they are compared at the steps that both take, the last ones; before that it is NaN.
    """

    distances: "Floats"

    @property
    def largest(self) -> int:
        """Return the pair with the largest distance at the last step: frames i and i + 1."""
        return int(self.distances[:, -1].argmax())

    @property
    def parted(self) -> tuple[int | None, ...]:
        """Return each pair's first step, from 1, from which on it stays parted."""
        return tuple(first_parted(row.tolist()) for row in self.distances)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return each pair's word: small change, branch early, differ at the end."""
        return tuple(classify(row.tolist()) for row in self.distances)


@dataclass(frozen=True, kw_only=True, eq=False)
class Jump:
    """The largest jump of a walk, narrowed down: the two pictures either side of it.

    `distances` is (steps,) as in Divergence. `history` holds (t_left, t_right, distance at the last step) of
    every narrowing: a distance that stays while the width halves is a jump, one that halves too is none.
    """

    t_left: float
    t_right: float
    left: Image.Image
    right: Image.Image
    left_prompt: str
    right_prompt: str
    left_path: Path | None  # None when they were not saved
    right_path: Path | None
    distances: "Floats"
    history: tuple[tuple[float, float, float], ...]

    @property
    def width(self) -> float:
        return self.t_right - self.t_left

    @property
    def parted(self) -> int | None:
        return first_parted(self.distances.tolist())

    @property
    def kind(self) -> str:
        return classify(self.distances.tolist())

    @property
    def meaning(self) -> str:
        return MEANINGS[self.kind]


@dataclass(frozen=True, kw_only=True)
class FramesResult(Txt2ImgResult):
    """Pictures of one noise and many prompts; those of a stopped job are the first ones."""

    prompts: tuple[str, ...] = ()  # one a picture
    sheet_path: Path | None = None  # all of them in one picture

    def request_of(self, index: int) -> Txt2ImgRequest:
        assert isinstance(self.request, ArithmeticRequest)
        return self.request.picture_of(self.prompts[index])


@dataclass(frozen=True, kw_only=True)
class WalkResult(FramesResult):
    """A walk's frames in order, and what was measured on the way."""

    ts: tuple[float, ...] = ()
    divergence: Divergence | None = None  # None below two frames
    jump: Jump | None = None  # with bisect
    film_path: Path | None = None
    strip_path: Path | None = None
    plot_path: Path | None = None

    def request_of(self, index: int) -> Txt2ImgRequest:
        assert isinstance(self.request, WalkRequest)
        return self.request.frame_at(self.ts[index])

    def strip(self, count: int = STRIP_FRAMES) -> Image.Image:
        """Return at most `count` frames, evenly chosen with both ends, side by side."""
        from ..images import image_grid

        last = len(self.images) - 1
        count = min(count, len(self.images))
        chosen = [self.images[round(index * last / max(count - 1, 1))] for index in range(count)]
        return image_grid(chosen, columns=len(chosen))

    def grid(self) -> Image.Image:
        """Return all frames in rows."""
        from ..images import image_grid

        return image_grid(self.images)


@dataclass(frozen=True, kw_only=True)
class PlaneResult(FramesResult):
    """A plane's pictures, row by row."""

    columns: int = 1

    def grid(self) -> Image.Image:
        """Return the plane as one picture."""
        from ..images import image_grid

        return image_grid(self.images, columns=self.columns)


def first_parted(distances: list[float]) -> int | None:
    """Return the first step, from 1, from which on two runs stay at least PARTED apart; None if never."""
    step = len(distances)
    while step and distances[step - 1] >= PARTED:
        step -= 1
    return None if step == len(distances) else step + 1


def classify(distances: list[float]) -> str:
    """Say in a word what a pair's distances mean; see MEANINGS."""
    distances = list(dropwhile(isnan, distances))  # steps that one of the two did not take
    parted = first_parted(distances)
    if parted is None or not all(map(isfinite, distances)):
        return SMALL_CHANGE
    return BRANCH_EARLY if 2 * parted <= len(distances) else DIFFER_AT_THE_END
