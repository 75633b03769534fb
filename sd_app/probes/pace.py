"""How far a run may be ahead of its device, and when what was asked of the device is there."""

from collections import deque
from typing import Generic, Protocol, TypeVar

import torch

T = TypeVar("T")


class Mark(Protocol):
    """A place in a device's queue of work; torch.cuda.Event is one."""

    def query(self) -> bool:
        """Tell whether the device has come so far."""

    def synchronize(self) -> None:
        """Wait until it has."""


def set_mark(device: torch.device) -> Mark | None:
    """Mark the end of what a device was given so far; None where work is done as soon as it is given."""
    if device.type != "cuda":
        return None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


class Pace:
    """Hold a run back while its device is more than a step behind.

    A card is given a replayed step in no time. Without this all steps would be told, and could no longer be
    stopped, before the card has done the first; and a wait for the latest step would leave it idle.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: Mark | None = None

    def step(self) -> None:
        """Note that a step was given to the device, and wait for the step before."""
        mark = set_mark(self._device)
        if self._before:
            self._before.synchronize()
        self._before = mark


class Arrivals(Generic[T]):
    """What was asked of a device, to be taken when it is there; nobody waits for it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._asked: deque[tuple[T, Mark | None]] = deque()

    def ask(self, value: T) -> None:
        """Keep what the device is about to fill."""
        self._asked.append((value, set_mark(self._device)))

    def take(self) -> T | None:
        """Return the latest that is there, if it was not taken before; forget all earlier ones."""
        latest = None
        while self._asked and self._has_arrived():
            latest, _ = self._asked.popleft()
        return latest

    def _has_arrived(self) -> bool:
        mark = self._asked[0][1]
        return mark is None or mark.query()
