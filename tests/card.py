"""The first minutes on a card: what must hold there, and how fast it is.

    python tests/card.py [--minutes 10] [--out FOLDER] [--device cuda] [--only NAME ...] [--small]

Every trial runs in a process of its own with a time limit, the ones worth most first, as long as the minutes
last. At the end comes a table, and in FOLDER card.json with all figures. On a CPU the trials that need a card
are left out, and small models stand in for large ones. Ends with status 1 if a trial failed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

PACKAGES = {  # by module
    "torch": "torch",
    "diffusers": "diffusers",
    "transformers": "transformers",
    "accelerate": "accelerate",
    "safetensors": "safetensors",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "numpy": "numpy",
    "psutil": "psutil",
    "tqdm": "tqdm",
}
TAIL = 12  # lines of a failed trial's output that go into the table


def missing(modules: tuple[str, ...]) -> list[str]:
    """Return the modules among these that are not installed."""
    return [module for module in modules if find_spec(module) is None]


def list_trials() -> list[Any]:
    """Return the trials, the ones worth most first."""
    from tests.on_card import exactness, interrogation, memory, speed
    from tests.on_card.trial import Trial

    clip = ("open_clip", "ftfy", "scipy", "clip_interrogator")
    return [
        Trial(name="near-the-cpu", words="pictures near the CPU's", run=exactness.near_the_cpu, seconds=120),
        Trial(name="graphs", words="replayed is eager", run=exactness.graphs_are_eager, seconds=240),
        Trial(name="failed-capture", words="a failed recording", run=exactness.failed_capture, seconds=90),
        Trial(name="threads", words="two threads", run=exactness.another_thread, seconds=60),
        Trial(name="speed-sd1", words="speed, Stable Diffusion 1.5", run=speed.sd1, seconds=150),
        Trial(name="kinds", words="all kinds of jobs", run=exactness.all_kinds, seconds=180),
        Trial(name="short", words="a nearly full card", run=memory.short_of_memory, seconds=180),
        Trial(name="offload", words="offloaded and back", run=memory.offloaded_and_back, seconds=60),
        Trial(name="pools", words="memory given back", run=memory.pools_are_given_back, seconds=60),
        Trial(name="waits", words="no step waits", run=exactness.no_step_waits, seconds=60),
        Trial(name="lora", words="a LoRA on and off", run=exactness.lora_on_and_off, seconds=60),
        Trial(name="sizes", words="twenty sizes in turn", run=memory.sizes_in_turn, seconds=120),
        Trial(
            name="interrogator",
            words="words near the CPU's",
            run=interrogation.near_the_cpu,
            seconds=120,
            needs=clip,
        ),
        Trial(name="speed-xl", words="speed, SDXL", run=speed.xl, seconds=150),
        Trial(name="estimates", words="estimates of memory", run=memory.estimates, seconds=90),
        Trial(name="time", words="where the time goes", run=speed.where_time_goes, seconds=60),
        Trial(name="channels-last", words="channels last", run=speed.channels_last, seconds=60),
        Trial(name="observers", words="who watches", run=speed.observers, seconds=60),
        Trial(name="cache", words="prompts met before", run=speed.cache_hits, seconds=60),
    ]


def describe_machine(device: str) -> dict[str, Any]:
    """Return versions, device and memory."""
    import torch

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES.values():
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "?"
    found["device"] = device
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "card": properties.name,
            "memory, GB": round(properties.total_memory / 1e9, 1),
            "capability": f"{properties.major}.{properties.minor}",
            "torch has kernels for": torch.cuda.get_arch_list(),
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),
        }
    return found


def run_alone(name: str, folder: Path, device: str, is_small: bool) -> None:
    """Run one trial in this process and write what it found, also if it raises."""
    import torch

    from tests.on_card.trial import Bench, Outcome, Skipped

    trial = next(trial for trial in list_trials() if trial.name == name)
    bench = Bench(folder=folder, device=torch.device(device), is_small=is_small)
    try:
        if lacking := missing(trial.needs):
            raise Skipped(f"needs {', '.join(lacking)}")
        found: dict[str, Any] = asdict(trial.run(bench))
    except Skipped as reason:
        found = asdict(Outcome(passed=True)) | {"skipped": str(reason)}
    (folder / f"{name}.json").write_text(json.dumps(found))


def call(arguments: list[str], seconds: float) -> tuple[int, str]:
    """Run this script again in a process of its own; return its status (-1: too slow) and its output."""
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT)
    except subprocess.TimeoutExpired as late:
        said = late.stderr or b""
        return -1, said.decode(errors="replace") if isinstance(said, bytes) else said
    return done.returncode, done.stdout + done.stderr


def run_trial(trial: Any, folder: Path, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run a trial in a process of its own; return what it found, with how it went."""
    began = time.monotonic()
    small = ["--small"] if options.small else []
    limit = min(trial.seconds, seconds) if options.device.startswith("cuda") else seconds
    code, output = call(
        ["--alone", trial.name, "--folder", str(folder), "--device", options.device, *small], limit
    )
    path = folder / f"{trial.name}.json"
    found: dict[str, Any] = (
        json.loads(path.read_text()) if path.exists() else {"passed": False, "figures": {}}
    )
    if code:
        found["passed"] = False
        found["error"] = (
            f"longer than {limit:.0f} s" if code == -1 else "\n".join(output.splitlines()[-TAIL:])
        )
    return found | {"words": trial.words, "seconds": round(time.monotonic() - began, 1)}


def verdict(found: dict[str, Any]) -> str:
    """Return how a trial went, in a word or two."""
    return "left out" if found.get("skipped") else "passed" if found["passed"] else "FAILED"


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Print every trial with its figures."""
    for name, found in results.items():
        print(f"\n{verdict(found):8} {name} ({found['words']}), {found['seconds']} s")
        if found.get("skipped"):
            print(f"           {found['skipped']}")
        for key, value in found["figures"].items():
            print(f"           {key}: {value}")
        if found.get("error"):
            print("           " + found["error"].replace("\n", "\n           "))
    print()
    for name, found in results.items():
        print(f"{verdict(found):8} {name}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", type=Path, help="folder for card.json")
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:N or cpu")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="trials to run, by name")
    parser.add_argument("--small", action="store_true", help="small models in place of large ones")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def make_all_models(folder: Path, device: str, is_small: bool) -> None:
    """Make the models that the trials run."""
    import torch

    from tests.on_card.models import make_models

    make_models(folder / "models", device=torch.device(device), full=not is_small)


def main() -> int:
    """Run the trials; return 1 if one of them failed."""
    options = make_parser().parse_args()
    if lacking := missing(tuple(PACKAGES)):
        print("Please install", ", ".join(PACKAGES[module] for module in lacking))
        return 1
    import torch

    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    options.small |= options.device == "cpu"
    if options.alone == "models":
        make_all_models(options.folder, options.device, options.small)
        return 0
    if options.alone:
        run_alone(options.alone, options.folder, options.device, options.small)
        return 0
    return run_all(options)


def run_all(options: argparse.Namespace) -> int:
    """Make the models, run the trials and tell; return 1 if one of them failed."""
    ends = time.monotonic() + 60 * options.minutes
    machine = describe_machine(options.device)
    for name, value in machine.items():
        print(f"{name}: {value}")
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        small = ["--small"] if options.small else []
        code, output = call(
            ["--alone", "models", "--folder", temporary, "--device", options.device, *small], 240
        )
        if code:
            print("The models could not be made:", output)
            return 1
        print(f"models made, {ends - time.monotonic():.0f} s are left", flush=True)
        for trial in list_trials():
            if options.only and trial.name not in options.only:
                continue
            left = ends - time.monotonic()
            if left < 10:
                results[trial.name] = {
                    "passed": True,
                    "figures": {},
                    "words": trial.words,
                    "seconds": 0,
                    "skipped": "no time left",
                }
                continue
            results[trial.name] = run_trial(trial, folder, options, left)
            print(f"{verdict(results[trial.name]):8} {trial.name}", flush=True)
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / "card.json").write_text(
                    json.dumps({"machine": machine, "trials": results}, indent=1)
                )
    print_table(results)
    return int(not all(found["passed"] for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
