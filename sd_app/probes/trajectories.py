"""How far neighbouring pictures of a job are apart at every step."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .observers import LoopStart, Observer, StepTaken


class Trajectories(Observer):
    """Keep the predicted x0 of every step of the pictures that are still to be compared."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[int, Tensor]] = {}  # picture -> steps left -> predicted x0, (4, h, w)
        self._first = 0

    def before_loop(self, start: LoopStart) -> None:
        self._first = start.first
        for index in range(start.first, start.first + len(start.latents)):
            self._kept[index] = {}

    def on_step(self, step: StepTaken) -> None:
        # Counted from the end, where runs of different numbers of steps meet. Of a step that calls the model
        # twice, the second call overwrites the first.
        left = (step.num_calls - 1) // step.scheduler.order - step.step
        for offset, x0 in enumerate(step.predicted_x0):
            self._kept[self._first + offset][left] = x0

    def distances(self, left: int, right: int) -> NDArray[np.float32]:
        """Return how far two pictures are apart at the steps both took, (steps,) float32; see Divergence."""
        pair = self._kept[left], self._kept[right]
        shared = sorted(pair[0].keys() & pair[1].keys(), reverse=True)
        a, b = (torch.stack([trajectory[step] for step in shared]).float() for trajectory in pair)
        distances: NDArray[np.float32] = (a - b).square().mean(dim=(1, 2, 3)).sqrt().cpu().numpy()
        return distances

    def forget(self, indices: Iterable[int]) -> None:
        """Drop pictures whose neighbours are all measured."""
        for index in indices:
            self._kept.pop(index, None)

    @property
    def known(self) -> frozenset[int]:
        """Return the pictures that are kept."""
        return frozenset(self._kept)
