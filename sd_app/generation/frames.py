"""Which pictures a job makes, and which of them together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Protocol

from ..requests import Txt2ImgRequest

Batch = tuple[int, int]  # the first picture, and how many


class Frames(Protocol):
    """A part of a job: its pictures, each with the request that makes it alone."""

    @property
    def count(self) -> int:
        """Return how many pictures there will be, as far as that is known."""

    def request_of(self, index: int) -> Txt2ImgRequest:
        """Return the resolved request of one picture."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield what is made together; asked for the next batch when one is finished."""


class SeedFrames:
    """Pictures of one request, each with the next seed."""

    def __init__(self, request: Txt2ImgRequest) -> None:
        self._request = request

    @property
    def count(self) -> int:
        return self._request.num_images

    def request_of(self, index: int) -> Txt2ImgRequest:
        assert self._request.seed is not None
        return replace(self._request, seed=self._request.seed + index, num_images=1)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        return split(0, self.count, batch_size)


class ListedFrames:
    """Pictures of requests that differ in what the batch may differ in: the prompt."""

    def __init__(self, requests: Sequence[Txt2ImgRequest]) -> None:
        self.requests = list(requests)

    @property
    def count(self) -> int:
        return len(self.requests)

    def request_of(self, index: int) -> Txt2ImgRequest:
        return self.requests[index]

    def batches(self, batch_size: int) -> Iterator[Batch]:
        return split(0, self.count, batch_size)


class DrawnFrames(ListedFrames):
    """Pictures whose prompts are drawn from templates: neighbours with the same prompts go together."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        first = 0
        for _, same in groupby(self.requests, lambda one: (one.prompt, one.negative_prompt)):
            end = first + len(list(same))
            yield from split(first, end, batch_size)
            first = end


class WalkFrames:
    """The pictures of a walk, at places 0..1 that `request_at` gives the requests of.

    Both ends are made alone, not in a batch, which would round differently: so they are, byte for byte, the
    pictures of their plain requests. `together` says how many of the places between go in one batch at most.
    More places may be added while the pictures are made.
    """

    def __init__(
        self,
        places: Sequence[float],
        request_at: Callable[[float], Txt2ImgRequest],
        *,
        together: int | None = None,
    ) -> None:
        self.request_at = request_at
        self.places = list(dict.fromkeys(places))  # a place asked for twice is made once
        self.num_asked = len(self.places)
        self._together = together

    @property
    def count(self) -> int:
        return len(self.places)

    def request_of(self, index: int) -> Txt2ImgRequest:
        return self.request_at(self.places[index])

    def batches(self, batch_size: int) -> Iterator[Batch]:
        yield 0, 1
        last = self.num_asked - 1
        yield from split(1, last, min(batch_size, self._together or batch_size))
        if last:
            yield last, 1


def split(first: int, end: int, batch_size: int) -> Iterator[Batch]:
    """Split pictures first..end-1 into batches."""
    for start in range(first, end, batch_size):
        yield start, min(batch_size, end - start)
