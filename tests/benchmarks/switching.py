"""Whether switching between two models leaks memory.

    python tests/benchmarks/switching.py [--rounds 20]

Copies the embedded model under a second name, keeps one model at a time, and draws with each in turn.
Resident memory should not grow after the second round.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.settings import EMBEDDED_DIR


def megabytes() -> float:
    """Return the memory this process holds."""
    return psutil.Process().memory_info().rss / 1e6


def main() -> None:
    """Print the resident memory after each round, and what it grew by after the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    memory, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            shutil.copytree(EMBEDDED_DIR / "tiny-sd", Path(folder) / name)
        settings = Settings(models_dir=Path(folder), model="first", cache_gigabytes=0)
        studio = Studio(settings)
        for number in range(1, rounds + 1):
            started = time.perf_counter()
            for name in ("first", "second"):
                request = Txt2ImgRequest(prompt="a red cat", model=name, seed=1, num_inference_steps=2)
                studio.txt2img(request, save=False)
                assert studio.status().loaded == (name,)
            memory.append(megabytes())
            seconds.append(time.perf_counter() - started)
            print(f"round {number:2}: {memory[-1]:7.1f} MB, {seconds[-1]:.2f} s for two switches")
    last, largest = memory[-1] - memory[1], max(memory[2:]) - memory[1]
    print(f"growth since round 2: {last:+.1f} MB at the end, {largest:+.1f} MB at most")


if __name__ == "__main__":
    main()
