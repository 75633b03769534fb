"""A CUDA that records nothing and computes on the processor, but whose state changes as torch's does.

What torch 2.11 to 2.14 do is modelled where a recording can fail (torch/cuda/graphs.py, CUDAGraph.cpp,
CUDACachingAllocator.cpp): which stream a thread is on, what is being recorded, which pools the allocator
records into and for how many graphs, and that cuBLAS sets itself up for each thread at its first call.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

Pool = tuple[int, int]

INVALID = "CUDA error: operation failed due to a previous error during capture"


class FakeCuda:
    """The state of the device, the allocator and the threads; `installed` puts it in torch's place."""

    def __init__(self) -> None:
        self.here = threading.local()
        self.capturing: dict[object, bool] = {}  # stream -> whether what it records is still valid
        self.underway: list[Pool] = []  # what the allocator records into
        self.graphs_of: Counter[Pool] = Counter()  # that hold a pool
        self.streams = self.pools = self.begun = self.ended = self.cache_emptied = 0
        self.fails_at = ""  # begin, early begin, end, instantiate
        self.keeps_underway = False  # the allocator does not hear
        self.stale_error = ""  # left behind by the last failure, met by the next call

    # -- what the app calls

    def current_stream(self, _: object = None) -> "FakeStream":
        if not hasattr(self.here, "stream"):
            self.here.stream = FakeStream(self, "default")
        stream: FakeStream = self.here.stream
        return stream

    @contextmanager
    def stream(self, stream: "FakeStream") -> Iterator[None]:
        before = self.current_stream()
        self.here.stream = stream
        try:
            yield
        finally:
            self.here.stream = before

    def is_capturing(self) -> bool:
        return self.current_stream() in self.capturing

    def synchronize(self, _: object = None) -> None:
        if self.capturing:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        if self.stale_error:
            error, self.stale_error = self.stale_error, ""
            raise RuntimeError(error)

    def empty_cache(self) -> None:
        if self.underway:
            raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")
        self.cache_emptied += 1

    def graph_pool_handle(self) -> Pool:
        self.pools += 1
        return 0, self.pools

    def end_allocating(self, _: int, pool: Pool) -> None:
        if pool not in self.underway:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        if not self.keeps_underway:
            self.underway.remove(pool)

    def release_pool(self, _: int, pool: Pool) -> None:
        assert self.graphs_of[pool] > 0, "uc >= 0 INTERNAL ASSERT FAILED"
        self.graphs_of[pool] -= 1

    # -- what the work does on the device

    def multiply(self) -> None:
        """Do what needs cuBLAS, which must not be set up in a recording."""
        if not hasattr(self.here, "cublas"):
            if self.is_capturing():
                self.spoil()
                raise RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling cublasCreate")
            self.here.cublas = True

    def spoil(self) -> None:
        """Do what must not be recorded: the recording is worth nothing from here on."""
        self.capturing[self.current_stream()] = False

    def is_clean(self) -> bool:
        return (
            self.current_stream().name == "default"
            and not self.capturing
            and not self.underway
            and not +self.graphs_of
        )


class FakeStream:
    def __init__(self, cuda: FakeCuda, name: str) -> None:
        self.cuda, self.name = cuda, name
        cuda.streams += name != "default"

    def wait_stream(self, _: "FakeStream") -> None:
        pass


class FakeGraph:
    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.pool_id: Pool | None = None
        self.has_ended = False

    def capture_begin(self, pool: Pool | None = None, capture_error_mode: str = "global", **_: Any) -> None:
        cuda = self.cuda
        cuda.begun += 1
        if cuda.fails_at == "early begin":
            raise RuntimeError("CUDA graphs must be captured on a non-default stream")
        assert cuda.current_stream().name != "default"
        self.pool_id = pool or cuda.graph_pool_handle()
        assert self.pool_id not in cuda.underway
        cuda.graphs_of[self.pool_id] += 1
        cuda.underway.append(self.pool_id)
        if cuda.fails_at == "begin":
            raise RuntimeError("CUDA error: out of memory in cudaStreamBeginCapture")
        cuda.capturing[cuda.current_stream()] = True

    def capture_end(self) -> None:
        cuda, stream = self.cuda, self.cuda.current_stream()
        if stream not in cuda.capturing:
            raise RuntimeError("CUDA error: the operation is not permitted: the stream is not capturing")
        is_valid = cuda.capturing.pop(stream)
        if not is_valid or cuda.fails_at == "end":
            cuda.stale_error = "CUDA error: left over"
            raise RuntimeError(INVALID)  # before the allocator hears of it
        assert self.pool_id is not None
        cuda.underway.remove(self.pool_id)
        self.has_ended = True
        if cuda.fails_at == "instantiate":
            raise torch.OutOfMemoryError("CUDA out of memory in cudaGraphInstantiate")
        cuda.ended += 1

    def pool(self) -> Pool:
        if not self.has_ended or self.pool_id is None:
            raise RuntimeError("Called CUDAGraph::pool() without a preceding successful capture.")
        return self.pool_id

    def replay(self) -> None:
        raise NotImplementedError("a processor keeps no recordings")

    def reset(self) -> None:
        if self.has_ended and self.pool_id is not None:
            self.cuda.release_pool(0, self.pool_id)
            self.has_ended = False


@contextmanager
def entered(_: object) -> Iterator[None]:
    yield


def install(monkeypatch: pytest.MonkeyPatch, cuda: FakeCuda) -> None:
    """Put a fake CUDA in torch's place."""
    functions: dict[str, Callable[..., object]] = {
        "Stream": lambda _: FakeStream(cuda, "recording"),
        "CUDAGraph": lambda: FakeGraph(cuda),
        "current_stream": cuda.current_stream,
        "stream": cuda.stream,
        "is_current_stream_capturing": cuda.is_capturing,
        "synchronize": cuda.synchronize,
        "empty_cache": cuda.empty_cache,
        "graph_pool_handle": cuda.graph_pool_handle,
        "current_device": lambda: 0,
        "device": entered,
    }
    for name, function in functions.items():
        monkeypatch.setattr(torch.cuda, name, function)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", cuda.end_allocating)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", cuda.release_pool)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
