"""How much faster the studio's default settings are than bare diffusers in float16, run eagerly.

    python tests/benchmarks/default_speed.py [--family sd1] [--size 512] [--batches 1 4] [--steps 25]

Random weights of Stable Diffusion's full size on CUDA; DPM++ 2M Karras, prompt to picture, nothing saved. All
jobs take turns within each round, in rotating order, and every picture is compared with the bare pipeline's
of the same round. Without CUDA it runs at a reduced size and says so: the ratios then mean nothing for a GPU.
"""

import argparse
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from sd_app import Settings, Studio, Txt2ImgRequest
from tests.benchmarks.turns import bare_pipeline, take_turns
from tests.checkpoint_files import write_checkpoint

SCHEDULER = "DPM++ 2M Karras"
BARE = "bare diffusers"
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "without CUDA graphs": {"cuda_graphs": False},
    "channels last": {"channels_last": True},
}


def make_studio(folder: Path, changes: dict[str, Any]) -> Studio:
    """Return a studio over the random checkpoint."""
    return Studio(Settings(models_dir=folder, model="random", outputs_dir=folder / "outputs", **changes))


def draw_images(studio: Studio, request: Txt2ImgRequest) -> Any:
    """Return the studio's pictures."""
    return studio.txt2img(request, save=False).images


def compare(folder: Path, request: Txt2ImgRequest, rounds: int) -> None:
    """Print the median seconds of every job, the ratio of the bare one to it, and the largest difference."""
    jobs: dict[str, Any] = {BARE: bare_pipeline(make_studio(folder, {"cuda_graphs": False}), request)}
    for name, changes in VARIANTS.items():
        jobs[name] = partial(draw_images, make_studio(folder, changes), request)
    differences = dict.fromkeys(jobs, 0)

    def keep_largest(made: dict[str, Any]) -> None:
        drawn = {name: np.stack([np.asarray(image, np.int16) for image in made[name]]) for name in made}
        assert drawn[BARE].std() > 1, "the random model draws one colour: no comparison"
        for name, pixels in drawn.items():
            differences[name] = max(differences[name], int(abs(pixels - drawn[BARE]).max()))

    seconds = take_turns(jobs, rounds, keep_largest)
    walls = {name: [wall for wall, _ in times] for name, times in seconds.items()}
    for name, mine in walls.items():
        ratio = statistics.median(b / a for a, b in zip(mine, walls[BARE], strict=True))
        print(
            f"  {name:20} median {statistics.median(mine):.3f} s a job, {ratio:.3f} times as fast,"
            f" largest difference {differences[name]} of 255"
        )


def main() -> None:
    """Compare at every number of pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=("sd1", "sdxl"), default="sd1")
    parser.add_argument("--size", type=int)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    size = options.size or (512 if cuda else 128)
    print(f"{torch.cuda.get_device_name() if cuda else 'CPU'}, torch {torch.__version__}, {options.family}")
    if not cuda:
        print("CUDA was not there: reduced size, no graphs, float32. Not a measurement of speed on a GPU.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        write_checkpoint(path, options.family, full=cuda, dtype=torch.float16 if cuda else torch.float32)
        for count in options.batches:
            print(f"{count} x {size}x{size}, {options.steps} steps")
            request = Txt2ImgRequest(
                prompt="a red cat on the beach",
                negative_prompt="blue",
                scheduler=SCHEDULER,
                num_inference_steps=options.steps,
                guidance_scale=7.5,
                seed=1,
                width=size,
                height=size,
                num_images=count,
            )
            compare(Path(folder), request, options.rounds)
    print("wanted of the default on a data-centre GPU: 1.8 times as fast, difference 0")


if __name__ == "__main__":
    main()
