"""Record the work that a function gives the GPU, to be launched again in one go: CUDA graphs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Work = Callable[[], tuple[Tensor, ...]]


@dataclass(frozen=True, kw_only=True)
class Captured:
    """Recorded work. `replay` does it again: reads the same inputs' memory, writes the same outputs'."""

    outputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    release: Callable[[], None]


class Capture(Protocol):
    """How work is recorded. The work must read its inputs at fixed places in memory."""

    def warm_up(self, work: Work) -> tuple[Tensor, ...]:
        """Do the work as usual, where it is going to be recorded; return its outputs."""

    def record(self, work: Work) -> Captured:
        """Record the work; what its outputs hold is defined by the first replay only."""

    def clear(self) -> None:
        """Begin anew: all that was recorded has been released."""


class CudaCapture:
    """Record with torch.cuda.CUDAGraph, on a stream of its own, into one pool of memory.

    The recordings may share the pool since each one's outputs are copied before the next is replayed
    (torch's notes on CUDA semantics, "Graph memory management").
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool: object = None

    def warm_up(self, work: Work) -> tuple[Tensor, ...]:
        # Both waits are on the GPU; what one stream frees the other may thus use again.
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            outputs = work()
        current.wait_stream(self._stream)
        return outputs

    def record(self, work: Work) -> Captured:
        graph = torch.cuda.CUDAGraph()
        # thread_local: the page asks for the memory figures from other threads meanwhile.
        recording = torch.cuda.graph(
            graph,
            pool=self._pool,  # type: ignore[arg-type]
            stream=self._stream,
            capture_error_mode="thread_local",
        )
        with torch.cuda.device(self._device), recording:
            outputs = work()
        self._pool = graph.pool()
        return Captured(outputs=outputs, replay=graph.replay, release=graph.reset)

    def clear(self) -> None:
        self._pool = None
