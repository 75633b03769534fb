"""The first minutes on a card: what must hold there, and how fast it is.

    python tests/card.py [--minutes 10] [--out FOLDER] [--device cuda] [--only NAME ...] [--small]

Every trial runs in a process of its own with a time limit, the ones worth most first, as long as the minutes
last. At the end comes a table, and in FOLDER card.json with all figures. On a CPU the trials that need a card
are left out, and small models stand in for large ones. Ends with status 1 if a trial failed.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Libraries ask for a card when they are imported; this way the answer does not keep it from forked processes.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

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
NOT_FORKED = "Cannot re-initialize CUDA in forked subprocess"
LEAST = 10  # seconds that must be left for another trial


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
    """Return versions, device and memory; "auto" becomes the device that is there."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    found: dict[str, Any] = {
        "device": device,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES.values():
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "?"
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


def make_all_models(folder: Path, device: str, is_small: bool) -> dict[str, Any]:
    """Make the models that the trials run."""
    import torch

    from tests.on_card.models import make_models

    make_models(folder / "models", device=torch.device(device), full=not is_small)
    return {}


def run_trial(name: str, folder: Path, device: str, is_small: bool) -> dict[str, Any]:
    """Run a trial in this process; return what it found."""
    import torch

    from tests.on_card.trial import Bench, Outcome, Skipped

    trial = next(trial for trial in list_trials() if trial.name == name)
    bench = Bench(folder=folder, device=torch.device(device), is_small=is_small)
    try:
        if lacking := missing(trial.needs):
            raise Skipped(f"needs {', '.join(lacking)}")
        return asdict(trial.run(bench))
    except Skipped as reason:
        return asdict(Outcome(passed=True)) | {"skipped": str(reason)}


def alone(folder: Path, seconds: float, work: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """Do work in a process of its own; return what it returned, or an "error" in words.

    A forked process begins with all that is imported; where that does not go with CUDA, a fresh one is begun.
    """
    found = call("fork" if sys.platform == "linux" else "spawn", folder, seconds, work, given)
    if NOT_FORKED in found.get("error", ""):
        found = call("spawn", folder, seconds, work, given)
    return found


def call(
    method: str, folder: Path, seconds: float, work: Callable[..., dict[str, Any]], given: tuple[Any, ...]
) -> dict[str, Any]:
    """Do work in a process that is begun by a method of multiprocessing's; see alone."""
    context: Any = multiprocessing.get_context(method)
    answer, output = folder / "answer.json", folder / "output.txt"
    answer.unlink(missing_ok=True)
    process = context.Process(target=answering, args=(answer, output, work, given))
    process.start()
    process.join(max(1, seconds))
    if process.is_alive():
        process.kill()
        process.join()
        return {"error": f"longer than {seconds:.0f} s"}
    if answer.exists():
        return dict(json.loads(answer.read_text()))
    lines = output.read_text(errors="replace").splitlines() if output.exists() else []
    return {"error": "\n".join([*lines[-TAIL:], f"(the process ended with {process.exitcode})"])}


def answering(
    answer: Path, output: Path, work: Callable[..., dict[str, Any]], given: tuple[Any, ...]
) -> None:
    """Do work with all that it prints in a file; write what it returns into another."""
    file = output.open("w", buffering=1)  # open until the process ends: what broke is printed at the last
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    sys.stdout = sys.stderr = file
    found = json.dumps(work(*given))
    partial = answer.with_suffix(".partial")
    partial.write_text(found)
    partial.rename(answer)


def import_all() -> None:
    """Import what the trials need, once for all of them; the card is not touched."""
    import diffusers
    import transformers

    list_trials()
    for library, names in (
        (
            diffusers,
            ("AutoencoderKL", "UNet2DConditionModel", "StableDiffusionPipeline", "StableDiffusionXLPipeline"),
        ),
        (transformers, ("CLIPTextModel", "CLIPTokenizer")),
    ):
        for name in names:
            getattr(library, name)  # imported when it is asked for


def verdict(found: dict[str, Any]) -> str:
    """Return how a trial went, in a word or two."""
    return "left out" if found.get("skipped") else "passed" if found.get("passed") else "FAILED"


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Print every trial with its figures."""
    for name, found in results.items():
        print(f"\n{verdict(found):8} {name} ({found['words']}), {found['seconds']} s")
        if found.get("skipped"):
            print(f"           {found['skipped']}")
        for key, value in found.get("figures", {}).items():
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
    return parser


def main() -> int:
    """Run the trials; return 1 if one of them failed."""
    options = make_parser().parse_args()
    if lacking := missing(tuple(PACKAGES)):
        print("Please install", ", ".join(PACKAGES[module] for module in lacking))
        return 1
    ends = time.monotonic() + 60 * options.minutes
    import_all()
    with tempfile.TemporaryDirectory() as temporary:
        results = run_all(options, Path(temporary), ends)
    print_table(results)
    return int(not all(found.get("passed") for found in results.values()))


def run_all(options: argparse.Namespace, folder: Path, ends: float) -> dict[str, dict[str, Any]]:
    """Make the models and run the trials; return what each found."""
    machine = alone(folder, 120, describe_machine, options.device)
    for name, value in machine.items():
        print(f"{name}: {value}")
    device = machine.get("device", "cpu")
    is_small = options.small or device == "cpu"
    made = alone(folder, 240, make_all_models, folder, device, is_small)
    if made:
        return {"models": made | {"words": "the models of the trials", "seconds": 240}}
    print(f"models made, {ends - time.monotonic():.0f} s are left", flush=True)
    results: dict[str, dict[str, Any]] = {}
    for trial in list_trials():
        if options.only and trial.name not in options.only:
            continue
        began, left = time.monotonic(), ends - time.monotonic()
        if left < LEAST:
            found: dict[str, Any] = {"passed": True, "skipped": "no time left"}
        else:
            limit = min(trial.seconds, left) if device.startswith("cuda") else left
            found = alone(folder, limit, run_trial, trial.name, folder, device, is_small)
        results[trial.name] = found | {
            "words": trial.words,
            "seconds": round(time.monotonic() - began, 1),
        }
        print(f"{verdict(found):8} {trial.name}", flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            told = {"machine": machine, "trials": results}
            (options.out / "card.json").write_text(json.dumps(told, indent=1) + "\n")
    return results


if __name__ == "__main__":
    sys.exit(main())
