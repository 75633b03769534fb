"""What each way to be faster at the price of another picture saves, and what it changes.

    python tests/benchmarks/faster.py [--model tiny-sd] [--device cpu] [--rounds 5] [--seeds 4] [--images 1]

DPM++ 2M Karras, 25 steps, guidance 5. All jobs take turns within each round, in rotating order. The
difference is the mean over pixels, 0..255, to the picture without any of them, over several seeds; beside it
the same figure for fewer steps, which save time too, and for the next seed, another picture altogether.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from sd_app import Settings, Studio, Txt2ImgRequest
from tests.benchmarks.turns import take_turns

REQUEST = Txt2ImgRequest(
    prompt="a red cat on the beach",
    negative_prompt="blue",
    scheduler="DPM++ 2M Karras",
    num_inference_steps=25,
    guidance_scale=5.0,
)
WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "guidance_end 0.8": {"guidance_end": 0.8},
    "guidance_end 0.5": {"guidance_end": 0.5},
    "cache_interval 2": {"cache_interval": 2},
    "cache_interval 3": {"cache_interval": 3},
    "cache_interval 5": {"cache_interval": 5},
    "both, 3 and 0.5": {"cache_interval": 3, "guidance_end": 0.5},
    "13 steps": {"num_inference_steps": 13},
    "8 steps": {"num_inference_steps": 8},
    "LCM, 4 steps": {"scheduler": "LCM", "num_inference_steps": 4, "guidance_scale": 1.5},
}


def main() -> None:
    """Print seconds, ratio and difference of every way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-sd")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--images", type=int, default=1, help="pictures drawn together in the timed jobs")
    options = parser.parse_args()
    studio = Studio(Settings(model=options.model, device=options.device))

    def draw(seed: int, **changes: Any) -> Any:
        request = replace(REQUEST, seed=seed, **changes)
        return np.asarray(studio.txt2img(request, save=False).images[0], np.float32)

    def job(changes: dict[str, Any]) -> Callable[[], object]:
        return lambda: draw(0, num_images=options.images, **changes)

    seeds = range(options.seeds)
    plain = [draw(seed) for seed in seeds]
    jobs = {name: job(changes) for name, changes in WAYS.items()}
    seconds = take_turns(jobs, options.rounds, lambda _: None)  # what they make is meant to differ
    print(f"{options.model} on {studio.status().device_name}")
    for name, times in seconds.items():
        ratios = [
            statistics.median(b[clock] / a[clock] for a, b in zip(times, seconds["as it is"], strict=True))
            for clock in (0, 1)
        ]
        differences = [float(abs(draw(seed, **WAYS[name]) - plain[seed]).mean()) for seed in seeds]
        print(
            f"{name:18} {statistics.median(wall for wall, _ in times):.3f} s,"
            f" {ratios[0]:.2f} times as fast (processor time {ratios[1]:.2f}),"
            f" mean difference {statistics.mean(differences):.1f} of 255"
        )
    others = [float(abs(draw(seed + 1) - plain[seed]).mean()) for seed in seeds]
    print(f"the next seed      mean difference {statistics.mean(others):.1f} of 255")


if __name__ == "__main__":
    main()
