"""What these benchmarks share: a studio over the embedded model or full-size ones, and taking turns."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.settings import EMBEDDED_DIR
from sd_app.weights.scheduling import make_scheduler
from tests.bare import bare_pipeline as bare_of
from tests.checkpoint_files import write_checkpoint

Job = Callable[[], object]  # does the work once; returns what it made
Compare = Callable[[dict[str, object]], None]  # gets what each job of a round made
Seconds = dict[str, list[tuple[float, float]]]  # wall and processor, of every round


def all_equal(made: dict[str, object]) -> None:
    """Raise AssertionError if two jobs made different things."""
    assert len(set(made.values())) == 1, "the outputs differ"


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
                (models_dir / name).symlink_to(EMBEDDED_DIR / "tiny-sd")
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


def take_turns(jobs: Mapping[str, Job], rounds: int, compare: Compare = all_equal) -> Seconds:
    """Time each job once a round, in rotating order, after one round that does not count.

    `compare` gets what the jobs of every round made. Return (wall, processor) seconds of every round.
    """
    seconds: Seconds = {name: [] for name in jobs}
    names = list(jobs)
    for number in range(rounds + 1):
        turn, made = number % len(names), {}
        for name in names[turn:] + names[:turn]:
            wall, processor = time.perf_counter(), time.process_time()
            made[name] = jobs[name]()
            if number:
                seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
        compare(made)
    return seconds


def bare_pipeline(studio: Studio, request: Txt2ImgRequest) -> Callable[[], tuple[Image.Image, ...]]:
    """Return the job as a plain script would do it: diffusers' own pipeline, kept loaded, prompt to picture.

    It has the networks that the studio has loaded, so nothing but the code around them differs.
    """
    assert request.seed is not None
    assert request.width is not None
    assert request.height is not None
    seeds = range(request.seed, request.seed + request.num_images)
    with studio._ready_manager().pipeline(studio.settings.model, request.sampling) as lent:
        pipe = bare_of(lent)
    config = pipe.scheduler.config
    side = pipe.vae_scale_factor
    shape = (1, pipe.vae.config.latent_channels, request.height // side, request.width // side)
    # Older torches draw other noise in float16, so bare diffusers is given the studio's.
    noise = torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    def draw() -> tuple[Image.Image, ...]:
        pipe.scheduler = make_scheduler(request.sampling, config)
        images = pipe(
            request.prompt,
            negative_prompt=request.negative_prompt,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            width=request.width,
            height=request.height,
            num_images_per_prompt=request.num_images,
            latents=noise.to(pipe.unet.dtype),
        ).images
        return tuple(images)

    return draw


def report(seconds: Seconds, base: str) -> None:
    """Print the median seconds of each and the ratio to the base within the same round."""
    for kind, clock in enumerate(("wall", "processor")):
        for name, times in seconds.items():
            mine, others = ([t[kind] for t in which] for which in (times, seconds[base]))
            ratio = statistics.median(a / b for a, b in zip(mine, others, strict=True))
            print(f"{clock:9} {name:28} median {statistics.median(mine):8.4f} s, ratio {ratio:.4f} to {base}")


def bytes_of(images: tuple[Image.Image, ...]) -> bytes:
    """Return the pixels of pictures, to compare."""
    return b"".join(image.tobytes() for image in images)
