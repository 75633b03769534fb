"""What these benchmarks share: a studio over the embedded model or full-size ones, and taking turns."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from PIL import Image

from sd_app import Settings, Studio
from sd_app.settings import DEFAULT_MODELS_DIR
from tests.checkpoint_files import write_checkpoint

Job = Callable[[], bytes]  # does the work once; returns what it made


def make_parser(description: str | None, *, rounds: int, full: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the flags that all have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    if full:
        parser.add_argument("--full", action="store_true", help="Stable Diffusion 1.5 with random weights")
    return parser


@contextmanager
def open_studio(
    options: argparse.Namespace, *, names: tuple[str, ...] = ("one",), **more: Any
) -> Iterator[Studio]:
    """Open a studio over as many models as there are names, full-size or copies of the embedded one."""
    with tempfile.TemporaryDirectory() as folder:
        models_dir = Path(folder) / "models"
        models_dir.mkdir()
        for number, name in enumerate(names):
            if options.full:
                path = models_dir / f"{name}.safetensors"
                write_checkpoint(path, "sd1", full=True, dtype=torch.float16, seed=number)
            else:
                (models_dir / name).symlink_to(DEFAULT_MODELS_DIR / "tiny-sd")
        settings = Settings(
            models_dir=models_dir,
            outputs_dir=Path(folder) / "outputs",
            model=names[0],
            device=options.device,
            dtype=options.dtype,
            **more,
        )
        studio = Studio(settings)
        studio.warm_up()
        status = studio.status()
        print(
            f"{status.device_name}, {status.dtype}, {'Stable Diffusion 1.5' if options.full else 'tiny-sd'}"
        )
        yield studio


def take_turns(jobs: dict[str, Job], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Time each job once a round, in rotating order, after one round that does not count.

    Return (wall, processor) seconds of every round. Raise AssertionError if two jobs make different things.
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    names = list(jobs)
    for number in range(rounds + 1):
        turn, made = number % len(names), set()
        for name in names[turn:] + names[:turn]:
            wall, processor = time.perf_counter(), time.process_time()
            made.add(jobs[name]())
            if number:
                seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
        assert len(made) == 1, "the outputs differ"
    return seconds


def report(seconds: dict[str, list[tuple[float, float]]], base: str) -> None:
    """Print the median seconds of each and the ratio to the base within the same round."""
    for kind, clock in enumerate(("wall", "processor")):
        for name, times in seconds.items():
            mine, others = ([t[kind] for t in which] for which in (times, seconds[base]))
            ratio = statistics.median(a / b for a, b in zip(mine, others, strict=True))
            print(f"{clock:9} {name:28} median {statistics.median(mine):8.4f} s, ratio {ratio:.4f} to {base}")


def bytes_of(images: tuple[Image.Image, ...]) -> bytes:
    """Return the pixels of pictures, to compare."""
    return b"".join(image.tobytes() for image in images)
