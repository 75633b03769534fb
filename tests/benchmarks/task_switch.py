"""What switching between txt2img, img2img and inpaint on one loaded checkpoint costs.

    python tests/benchmarks/task_switch.py [--model tiny-sd] [--rounds 50]

Times how long the model manager takes to lend the next task's pipeline with a scheduler of its own, and
counts the bytes of weights the new pipelines hold beyond the first one's. Wanted: under 5 ms and 0 bytes.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Settings
from sd_app.catalog import find_model
from sd_app.weights.model_manager import ModelManager

TASKS = ("txt2img", "img2img", "inpaint")


def weights(pipe: Any) -> dict[int, int]:
    """Return the bytes of every weight of a pipeline by its address."""
    modules = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    return {p.data_ptr(): p.numel() * p.element_size() for module in modules for p in module.parameters()}


def main() -> None:
    """Print milliseconds per switch and the bytes of new weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-sd")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    settings = Settings(model=options.model)
    manager, info = ModelManager(settings), find_model(settings, None)
    manager.warm_up()
    with manager.pipeline(info.name, info.default_scheduler) as pipe:
        held = weights(pipe)
    print(f"{info.name} on {manager.device}: {sum(held.values()) / 1e6:.1f} MB of weights")
    milliseconds: dict[str, list[float]] = {task: [] for task in TASKS}
    new_bytes = 0
    for _ in range(options.rounds):
        for task in TASKS:
            started = time.perf_counter()
            with manager.pipeline(info.name, info.default_scheduler) as pipe:
                milliseconds[task].append(1000 * (time.perf_counter() - started))
                new_bytes += sum(size for address, size in weights(pipe).items() if address not in held)
    for task, times in milliseconds.items():
        usual = statistics.median(times)
        print(f"to {task}: {times[0]:.2f} ms at first, then {usual:.2f} ms, {max(times):.2f} ms at most")
    print(f"new weights: {new_bytes} bytes")


if __name__ == "__main__":
    main()
