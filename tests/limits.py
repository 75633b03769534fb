"""Time limits that neither a busy machine nor an import can reach, and that what is broken always does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 60  # seconds by the clock for what takes less than one, and if it is broken has no end


def within_cpu_seconds(seconds: float, call: Callable[[], T]) -> T:
    """Return what `call` returns; it must take less CPU time than that, of this thread alone.

    For work that takes milliseconds, and minutes if it is broken. What is too slow may try once more: the
    first call may have imported a library.
    """
    for _ in range(2):
        began = time.thread_time()
        result = call()
        if (took := time.thread_time() - began) < seconds:
            return result
    raise AssertionError(f"took {took:.1f} seconds of CPU time, and at most {seconds:g} were expected")
