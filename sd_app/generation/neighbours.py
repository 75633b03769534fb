"""How far the neighbours of a walk are apart, and where it jumps."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from ..probes.trajectories import Trajectories
from ..requests import JUMP_WIDTH, Txt2ImgRequest
from .frames import Batch, WalkFrames

Pair = tuple[int, int]  # the left and the right picture


class Neighbours:
    """Measure each finished picture against the one before it."""

    def __init__(self, trajectories: Trajectories, count: int, *, keep_largest: bool = False) -> None:
        self.trajectories = trajectories
        self.curves: list[NDArray[np.float32]] = []  # (steps,) for each pair of neighbours
        self.largest: tuple[Pair, NDArray[np.float32]] | None = None  # the pair that ends furthest apart
        self._count = count
        self._keep_largest = keep_largest

    def measure(self, index: int) -> None:
        """Take note that a picture is finished; forget the trajectories that are needed no more."""
        if not 0 < index < self._count:
            return
        pair = index - 1, index
        curve = self.trajectories.distances(*pair)
        self.curves.append(curve)
        if self.largest is None or curve[-1] > self.largest[1][-1]:
            self.largest = pair, curve
        needed = {index, *(self.largest[0] if self._keep_largest else ())}
        # Pictures of the same batch that are not measured yet stay.
        self.trajectories.forget({other for other in self.trajectories.known if other < index} - needed)


class JumpSearch:
    """The pictures of a walk, and then those that halve its largest jump, always in the half that is wider.

    `is_atomic` tells two requests between which there is no third.
    """

    def __init__(
        self,
        frames: WalkFrames,
        neighbours: Neighbours,
        is_atomic: Callable[[Txt2ImgRequest, Txt2ImgRequest], bool] = lambda left, right: False,
    ) -> None:
        self._frames = frames
        self._neighbours = neighbours
        self._is_atomic = is_atomic
        widest = max(right - left for left, right in pairwise(frames.places))
        self._rounds = max(0, ceil(log2(widest / JUMP_WIDTH)))
        self.pair: Pair | None = None
        self.curve: NDArray[np.float32] | None = None  # (steps,) of the pair
        self.history: list[tuple[float, float, float]] = []  # left, right, distance at the last step

    @property
    def count(self) -> int:
        return max(self._frames.num_asked + self._rounds, self._frames.count)

    def request_of(self, index: int) -> Txt2ImgRequest:
        return self._frames.request_of(index)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        yield from self._frames.batches(batch_size)
        assert self._neighbours.largest is not None
        self._narrow(*self._neighbours.largest)
        places, trajectories = self._frames.places, self._neighbours.trajectories
        while not self._is_narrow():
            assert self.pair is not None
            left, right = self.pair
            middle = len(places)
            places.append((places[left] + places[right]) / 2)
            yield middle, 1
            halves = [(left, middle), (middle, right)]
            curves = [trajectories.distances(*half) for half in halves]
            wider = int(curves[1][-1] > curves[0][-1])
            self._narrow(halves[wider], curves[wider])
            trajectories.forget(trajectories.known - set(halves[wider]))
        self._rounds = len(places) - self._frames.num_asked

    def _is_narrow(self) -> bool:
        assert self.pair is not None
        left, right = (self._frames.places[index] for index in self.pair)
        return right - left <= JUMP_WIDTH or self._is_atomic(*map(self.request_of, self.pair))

    def _narrow(self, pair: Pair, curve: NDArray[np.float32]) -> None:
        self.pair, self.curve = pair, curve
        left, right = (self._frames.places[index] for index in pair)
        self.history.append((left, right, float(curve[-1])))
