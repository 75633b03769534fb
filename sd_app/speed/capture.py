"""Record the work that a function gives the GPU, to be launched again in one go: CUDA graphs.

A recording can fail, because memory runs out in it or because a library does what must not be recorded.
torch's own context manager then leaves the thread on the recording's stream and its allocator in a state in
which no memory can be given back. So the recording is begun and ended here, and what failed is undone.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

Work = Callable[[], tuple[Tensor, ...]]

NOT_UNDONE = "a recording that failed could not be undone"
NO_WAY_TO_UNDO = "this version of torch does not say how a recording that failed is undone"
# torch's names, newest first, of what ends the allocator's recording, and of what gives a pool back.
END_ALLOCATING = ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool")
RELEASE_POOL = ("_cuda_releasePool",)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Captured:
    """Recorded work. `replay` does it again: reads the same inputs' memory, writes the same outputs'."""

    outputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    release: Callable[[], None]


class Capture(Protocol):
    """How work is recorded. The work must read its inputs at fixed places in memory."""

    @property
    def off(self) -> str:
        """Return why nothing is recorded any more, nor replayed; empty while all is well."""

    def warm_up(self, work: Work) -> tuple[Tensor, ...]:
        """Do the work as usual, where it is going to be recorded; return its outputs."""

    def record(self, work: Work) -> Captured:
        """Record the work; what its outputs hold is defined by the first replay only.

        When this raises, all is as it was before, or `off` says that it is not.
        """

    def clear(self) -> None:
        """Begin anew: all that was recorded has been released."""


class CudaCapture:
    """Record with torch.cuda.CUDAGraph, on one stream of the device, into one pool of memory.

    The recordings may share the pool since each one's outputs are copied before the next is replayed
    (torch's notes on CUDA semantics, "Graph memory management"). All share the stream, since cuBLAS keeps
    a workspace for each. Nothing is asked of CUDA before the first call that is warmed up.
    """

    _off: ClassVar[str] = ""  # of the whole process: its allocator is one
    _streams: ClassVar[dict[torch.device, torch.cuda.Stream]] = {}
    # Kept alive: torch's allocator of pinned memory still asks what failed which stream it recorded.
    _failed: ClassVar[list[torch.cuda.CUDAGraph]] = []

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: tuple[int, int] | None = None

    @property
    def off(self) -> str:
        """Return why nothing is recorded any more in this process."""
        if not (_private(END_ALLOCATING) and _private(RELEASE_POOL)):
            return NO_WAY_TO_UNDO
        return CudaCapture._off

    def warm_up(self, work: Work) -> tuple[Tensor, ...]:
        # Both waits are on the GPU; what one stream frees the other may thus use again.
        stream, current = self._stream(), torch.cuda.current_stream(self._device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            outputs = work()
        current.wait_stream(stream)
        return outputs

    def record(self, work: Work) -> Captured:
        with torch.cuda.device(self._device):
            torch.cuda.synchronize()
            torch.cuda.empty_cache()  # what lies unused there, the recording's pool cannot use
            graph, pool = torch.cuda.CUDAGraph(), self._pool or torch.cuda.graph_pool_handle()
            stream, begun = self._stream(), False
            try:
                with torch.cuda.stream(stream):
                    # thread_local: the page asks for the memory figures from other threads meanwhile.
                    graph.capture_begin(pool=pool, capture_error_mode="thread_local")  # type: ignore[arg-type]
                    begun = True
                    outputs = work()
                    graph.capture_end()
            except BaseException:
                self._undo(graph, pool, begun=begun)
                raise
        self._pool = pool
        return Captured(outputs=outputs, replay=graph.replay, release=graph.reset)

    def clear(self) -> None:
        self._pool = None

    def _stream(self) -> torch.cuda.Stream:
        """Return the stream of all recordings on the device."""
        if self._device not in self._streams:
            self._streams[self._device] = torch.cuda.Stream(self._device)
        return self._streams[self._device]

    def _undo(self, graph: torch.cuda.CUDAGraph, pool: tuple[int, int], *, begun: bool) -> None:
        """Leave nothing of a recording that failed, wherever it did; turn recordings off if that fails."""
        with suppress(RuntimeError), torch.cuda.stream(self._stream()):
            if torch.cuda.is_current_stream_capturing():  # the work itself failed
                graph.capture_end()
        if not has_ended(graph):
            # torch leaves both to whoever ended the recording, and that failed.
            underway = _tell_allocator(END_ALLOCATING, self._device, pool)
            if underway or begun:
                _tell_allocator(RELEASE_POOL, self._device, pool)
            self._failed.append(graph)
            self._pool = None  # that pool's recordings stay, and the next has one of its own
        with suppress(RuntimeError):
            graph.reset()
        if not is_usable(self._device):
            CudaCapture._off = NOT_UNDONE


def has_ended(graph: torch.cuda.CUDAGraph) -> bool:
    """Tell whether torch ended a recording itself, so that resetting the graph gives its pool back."""
    try:
        graph.pool()
    except RuntimeError:  # "without a preceding successful capture"
        return False
    return True


def is_usable(device: torch.device) -> bool:
    """Tell whether a device computes and gives memory back, as it does not while something is recorded."""
    for _ in range(2):  # the first try may meet an error that was left behind, and takes it away
        try:
            torch.zeros(1, device=device)
            torch.cuda.synchronize(device)
            torch.cuda.empty_cache()
        except RuntimeError as error:
            log.info("After a recording that failed: %s", error)
        else:
            return not torch.cuda.is_current_stream_capturing()
    return False


def _private(names: tuple[str, ...]) -> Callable[[int, tuple[int, int]], None] | None:
    """Return the first function of torch._C by these names that this version has."""
    return next((found for name in names if (found := getattr(torch._C, name, None))), None)


def _tell_allocator(names: tuple[str, ...], device: torch.device, pool: tuple[int, int]) -> bool:
    """Call one of the allocator's functions for a pool; tell whether there was something to do."""
    function = _private(names)
    index = torch.cuda.current_device() if device.index is None else device.index
    try:
        assert function is not None
        function(index, pool)
    except RuntimeError:  # "not currently recording to mempool_id"
        return False
    return True
