"""What it takes to go from model A to B and back: with both kept, and with room for one.

    python tests/benchmarks/revisit.py [--full] [--rounds 5]

Each round lends A's pipeline after B was in use, once with both kept and once when A has to be read from disk
again; then draws one step with it, and the pictures are compared byte for byte.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Studio, Txt2ImgRequest
from tests.benchmarks.turns import make_parser, open_studio


def lend(studio: Studio, name: str) -> float:
    """Return the seconds until a model's pipeline is there."""
    info = next(model for model in studio.models() if model.name == name)
    started = time.perf_counter()
    with studio._ready_manager().pipeline(name, info.default_scheduler):
        return time.perf_counter() - started


def draw(studio: Studio) -> bytes:
    request = Txt2ImgRequest(prompt="a cat", model="a", seed=1, num_inference_steps=1)
    return studio.txt2img(request, save=False).images[0].tobytes()


def main() -> None:
    """Print the medians of both ways back and their ratio."""
    options = make_parser(__doc__, rounds=5).parse_args()
    kept: list[float] = []
    read: list[float] = []
    with open_studio(options, names=("a", "b"), cache_gigabytes=64.0) as studio:
        manager = studio._ready_manager()
        pictures = {draw(studio)}
        for _ in range(options.rounds):
            for budget, seconds in ((manager.budget_bytes, kept), (0, read)):
                lend(studio, "b")
                manager.budget_bytes = budget
                if not budget:
                    manager.unload("a")
                seconds.append(lend(studio, "a"))
                manager.budget_bytes = int(64e9)
                pictures.add(draw(studio))
        growth = manager.status().loaded
    assert len(pictures) == 1, "the pictures differ"
    ratio = statistics.median(b / a for a, b in zip(kept, read, strict=True))
    print(f"A again, kept: median {1000 * statistics.median(kept):.2f} ms, at most {1000 * max(kept):.2f} ms")
    print(f"A again, read from disk: median {statistics.median(read):.3f} s, {ratio:.0f} times as long")
    print(f"loaded at the end: {', '.join(growth)}; pictures equal")


if __name__ == "__main__":
    main()
