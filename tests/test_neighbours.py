"""Where a walk jumps, on ways whose jump is known beforehand."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from sd_app import Txt2ImgRequest
from sd_app.generation.frames import WalkFrames
from sd_app.generation.neighbours import JumpSearch, Neighbours
from sd_app.probes.trajectories import Trajectories
from sd_app.requests import JUMP_WIDTH


@dataclass
class KnownWay(Trajectories):
    """A way of which the picture at each place is known: a number, far from the others behind the jump."""

    frames: WalkFrames
    jump: float
    kept: set[int] = field(default_factory=set)

    def picture(self, index: int) -> float:
        place = self.frames.places[index]
        return place + (10.0 if place > self.jump else 0.0)

    def distances(self, left, right):
        assert {left, right} <= self.kept, "measured after it was forgotten"
        # At first the other way round, so that only the last step tells where to go on.
        far = abs(self.picture(right) - self.picture(left))
        return np.array([10 - far, far], np.float32)

    def forget(self, indices):
        self.kept -= set(indices)

    @property
    def known(self):
        return frozenset(self.kept)


def run(jump: float, places: tuple[float, ...], batch_size: int = 1, *, atomic: float = 0.0) -> JumpSearch:
    """Go the way as a job does: batch by batch, each picture measured when it is finished."""
    frames = WalkFrames(places, lambda place: Txt2ImgRequest(prompt=f"at {place!r}"))
    way = KnownWay(frames, jump)
    neighbours = Neighbours(way, frames.num_asked, keep_largest=True)

    def is_atomic(left: Txt2ImgRequest, right: Txt2ImgRequest) -> bool:
        ends = [float(request.prompt.removeprefix("at ")) for request in (left, right)]
        return ends[1] - ends[0] <= atomic

    search = JumpSearch(frames, neighbours, is_atomic)
    done: list[int] = []
    for first, count in search.batches(batch_size):
        way.kept |= set(range(first, first + count))  # denoised together
        for index in range(first, first + count):
            neighbours.measure(index)
            done.append(index)
    assert done == list(range(len(frames.places)))
    assert search.count == len(done)
    return search


@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize("jump", [0.01, 0.2, 0.3, 0.4999, 0.73, 0.99])
def test_the_jump_lies_between_the_two_pictures_that_are_kept(jump, batch_size):
    search = run(jump, (0.0, 0.25, 0.5, 0.75, 1.0), batch_size)
    left, right, distance = search.history[-1]
    assert left <= jump < right
    assert right - left <= JUMP_WIDTH
    assert distance == pytest.approx(10, abs=0.01)
    for outer, inner in zip(search.history, search.history[1:], strict=False):
        assert outer[0] <= inner[0] < inner[1] <= outer[1]
        assert inner[1] - inner[0] == (outer[1] - outer[0]) / 2


def test_the_search_ends_where_no_picture_lies_between():
    search = run(0.3, (0.0, 1.0), atomic=0.1)
    left, right, _ = search.history[-1]
    assert (left, right) == (0.25, 0.3125)


def test_of_a_walk_that_is_not_searched_only_the_last_picture_is_kept():
    frames = WalkFrames((0.0, 0.5, 1.0), lambda place: Txt2ImgRequest(prompt="a"))
    way = KnownWay(frames, 0.7)
    neighbours = Neighbours(way, 3)
    for index in range(3):
        way.kept.add(index)
        neighbours.measure(index)
        assert way.known == {index}
    assert [curve[-1] for curve in neighbours.curves] == [0.5, 10.5]


def test_both_ends_are_made_alone_and_a_place_is_made_once():
    frames = WalkFrames((0.0, 0.2, 0.2, 0.4, 0.6, 1.0), lambda place: Txt2ImgRequest(prompt="a"))
    assert list(frames.batches(2)) == [(0, 1), (1, 2), (3, 1), (4, 1)]
    alone = WalkFrames(frames.places, frames.request_at, together=1)
    assert list(alone.batches(4)) == [(index, 1) for index in range(5)]
    assert list(WalkFrames((0.5, 0.5), frames.request_at).batches(4)) == [(0, 1)]
