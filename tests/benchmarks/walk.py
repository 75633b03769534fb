"""How many more pictures a second a walk makes than its frames asked for one by one.

    python tests/benchmarks/walk.py [--frames 18] [--rounds 5]

Embedded model on the CPU, DDIM, 25 steps, no saving. The walk and its frames one by one take turns within
each round, in alternating order. The walk also measures the distances of its frames; its ends are made alone.
Processor time is printed beside wall time: on a busy machine it is the steadier of the two.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Settings, Studio, WalkRequest


def main() -> None:
    """Print the median seconds of both and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    studio = Studio(Settings(device="cpu"))
    request = WalkRequest(
        a="cat",
        b="dog",
        prompt="a big orange {} in a meadow",
        frames=options.frames,
        scheduler="DDIM",
        num_inference_steps=25,
        seed=1,
    )
    pictures = [request.picture_of(request.frame_prompt(t)) for t in request.places]
    jobs: dict[str, Callable[[], object]] = {
        "walk": lambda: studio.walk(request, save=False),
        "one by one": lambda: [studio.txt2img(picture, save=False) for picture in pictures],
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for number in range(options.rounds + 1):  # the first round does not count
        for name in list(jobs)[:: 1 if number % 2 else -1]:
            wall, processor = time.perf_counter(), time.process_time()
            jobs[name]()
            if number:
                seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
    for kind, clock in enumerate(("wall", "processor")):
        walks, singles = ([times[kind] for times in seconds[name]] for name in jobs)
        ratio = statistics.median(b / a for a, b in zip(walks, singles, strict=True))
        print(
            f"{clock:9} walk {statistics.median(walks) / options.frames:.3f} s a picture,"
            f" one by one {statistics.median(singles) / options.frames:.3f},"
            f" ratio {ratio:.2f} (median of rounds), {min(singles) / min(walks):.2f} (best of each)"
        )
    print("wanted: at least 1.3")


if __name__ == "__main__":
    main()
