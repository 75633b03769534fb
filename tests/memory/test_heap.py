"""What lies free in pieces goes back to the system, now and then."""

import subprocess
import sys

import pytest

from sd_app.weights import device_memory
from sd_app.weights.device_memory import TRIM_SECONDS, HeapTrimmer

# A heap of its own: nine pieces of ten are given up, and the tenth keeps the heap from shrinking.
PIECES = """
import psutil
from sd_app.weights.device_memory import HeapTrimmer, limit_arenas

def resident():
    return psutil.Process().memory_info().rss

limit_arenas()
trimmer = HeapTrimmer()
trimmer.trim()
pieces = [bytearray(b"x") * 20_000 for _ in range(10_000)]
kept = pieces[::10]
del pieces
before = resident()
trimmer.trim()
too_soon = resident()
trimmer._next = 0.0
trimmer.trim()
print(before, too_soon, resident())
"""


@pytest.mark.skipif(device_memory._glibc() is None, reason="another allocator")
def test_free_pieces_of_the_heap_go_back_to_the_system_but_not_at_every_job() -> None:
    done = subprocess.run([sys.executable, "-c", PIECES], capture_output=True, text=True, check=True)
    before, too_soon, after = map(int, done.stdout.split())
    assert before - too_soon < 10e6
    assert before - after > 100e6  # of 180 MB that are free


def test_the_heap_is_trimmed_again_when_its_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now, trimmed = [1000.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    class Libc:
        def malloc_trim(self, pad: int) -> None:
            trimmed.append((now[0], pad))

    monkeypatch.setattr(device_memory, "_glibc", Libc)
    trimmer = HeapTrimmer()
    for seconds in (0.0, TRIM_SECONDS / 2, TRIM_SECONDS - 0.1, TRIM_SECONDS, 1.5 * TRIM_SECONDS):
        now[0] = 1000.0 + seconds
        trimmer.trim()
    assert trimmed == [(1000.0, 0), (1000.0 + TRIM_SECONDS, 0)]
