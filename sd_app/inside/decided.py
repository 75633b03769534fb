"""From which step on a picture stays what it becomes: its colours, its outlines, and what it shows.

For any model: how far the picture that the words ask for is from its last one, by coarse colour (an eighth of
the size) and by edges; decided is the first step from which the distance stays under half of the first one.
For the embedded model a small classifier reads what is drawn; decided is the first step from which its answer
stays that of the finished picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..probes.recording import Recording
from ..settings import EMBEDDED_MODEL

if TYPE_CHECKING:
    from ..tiny.judge import Judge

COARSE = 8  # pixels of a side that become one
HALF = 0.5  # of the first distance
# What the judge reads, as people would say it.
ATTRIBUTES = {
    "subject": "subject",
    "color": "subject's colour",
    "background": "background",
    "size": "subject's size",
    "place": "subject's place",
    "style": "style",
}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One property of a picture, and from which frame on it is decided."""

    what: str  # "colours", "outlines", or an attribute of the embedded model's world
    frames: tuple[int, ...]  # calls, and n for the finished picture
    values: tuple[object, ...]  # at each frame: a distance, or what was read
    index: int  # of the frame from which on it stays

    def step(self, recording: Recording) -> int:
        """Return the step, from 1 as people count, from which on it stays."""
        frame = min(self.frames[self.index], recording.num_calls - 1)
        return frame // recording.facts.order + 1

    def sentence(self, recording: Recording) -> str:
        """Say it in words."""
        verb = "are" if self.what in ("colours", "outlines") else "is"
        step, steps = self.step(recording), recording.num_steps
        if self.index == len(self.frames) - 1:
            return f"The {self.what} {verb} decided only at the end."
        return f"The {self.what} {verb} decided at step {step} of {steps}."


def decide(recording: Recording, frames: Sequence[int], images: Sequence[Image.Image]) -> list[Decision]:
    """Return what is decided when, by the pictures at these frames, the finished one last."""
    found = [
        Decision(what=what, frames=tuple(frames), values=tuple(distances), index=stays_below(distances))
        for what, distances in (("colours", color_distances(images)), ("outlines", edge_distances(images)))
    ]
    if recording.facts.model == EMBEDDED_MODEL:
        for what, read in read_attributes(images).items():
            found.append(
                Decision(what=what, frames=tuple(frames), values=tuple(read), index=stays_as_last(read))
            )
    return found


def color_distances(images: Sequence[Image.Image]) -> list[float]:
    """Return how far each picture's coarse colours are from the last one's: mean difference, 0..255."""
    coarse = [_coarse(image) for image in images]
    return [float(np.abs(one - coarse[-1]).mean()) for one in coarse]


def edge_distances(images: Sequence[Image.Image]) -> list[float]:
    """Return how far each picture's edges are from the last one's, as a share of the last one's."""
    edges = [_edges(image) for image in images]
    whole = max(float(edges[-1].mean()), 1e-6)
    return [float(np.abs(one - edges[-1]).mean()) / whole for one in edges]


def _coarse(image: Image.Image) -> NDArray[np.float32]:
    size = max(1, image.width // COARSE), max(1, image.height // COARSE)
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), np.float32)


def _edges(image: Image.Image) -> NDArray[np.float32]:
    """Return the steepness of a picture's grey at a quarter of its size."""
    size = max(3, image.width // 4), max(3, image.height // 4)
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BOX), np.float32)
    down, right = np.gradient(grey)
    steep: NDArray[np.float32] = np.hypot(down, right)
    return steep


def stays_below(distances: Sequence[float]) -> int:
    """Return the first index from which the distances stay under half of the first one."""
    bound = HALF * distances[0]
    above = [index for index, distance in enumerate(distances) if distance >= bound and bound > 0]
    return above[-1] + 1 if above else 0


def stays_as_last(read: Sequence[object]) -> int:
    """Return the first index from which all that is read is what is read at last."""
    other = [index for index, one in enumerate(read) if one != read[-1]]
    return other[-1] + 1 if other else 0


def read_attributes(images: Sequence[Image.Image]) -> dict[str, list[str]]:
    """Return what the embedded model's judge reads in each picture, by attribute."""
    scenes = _judge().read(images)
    return {said: [str(getattr(scene, name)) for scene in scenes] for name, said in ATTRIBUTES.items()}


@lru_cache(maxsize=1)
def _judge() -> "Judge":
    from ..tiny.judge import load_judge

    return load_judge()
