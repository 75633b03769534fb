"""How much slower Studio.txt2img is than the bare diffusers pipeline with the same settings.

    python tests/benchmarks/overhead.py [--rounds 12] [--device cpu]

Embedded model, DDIM, 25 steps. Bare, preview off and preview on take turns within each round, in rotating
order, so that what else the machine does hits all three alike. Saving the file is part of the studio's time.
Processor time is printed beside wall time: on a busy machine it is the steadier of the two.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Settings, Studio, Txt2ImgRequest

REQUEST = Txt2ImgRequest(
    prompt="a red cat on the beach",
    negative_prompt="blue",
    scheduler="DDIM",
    num_inference_steps=25,
    guidance_scale=5.0,
    seed=1,
)


def bare_pipeline(folder: Path, device: str) -> Callable[[], object]:
    """Return the job as a plain script would do it: one pipeline, kept loaded, prompt to picture."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    dtype = torch.float32 if device == "cpu" else torch.float16
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=dtype, safety_checker=None).to(device)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return lambda: pipe(
        REQUEST.prompt,
        negative_prompt=REQUEST.negative_prompt,
        num_inference_steps=REQUEST.num_inference_steps,
        guidance_scale=REQUEST.guidance_scale,
        generator=torch.Generator().manual_seed(1),
    )


def measure(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Time each job once a round, in rotating order, after one round that does not count.

    Return (wall, processor) seconds of every round.
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    names = list(jobs)
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            wall, processor = time.perf_counter(), time.process_time()
            jobs[name]()
            if number:
                seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return seconds


def main() -> None:
    """Print the median seconds and the ratios to the bare pipeline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    rounds = options.rounds
    with tempfile.TemporaryDirectory() as outputs_dir:
        studio = Studio(Settings(device=options.device, outputs_dir=Path(outputs_dir)))
        jobs: dict[str, Callable[[], object]] = {
            "bare diffusers": bare_pipeline(studio.settings.models_dir / "tiny-sd", options.device),
            "studio, preview off": lambda: studio.txt2img(REQUEST, lambda _: None, preview_every=0),
            "studio, preview on": lambda: studio.txt2img(REQUEST, lambda _: None, preview_every=3),
        }
        seconds = measure(jobs, rounds)
    for kind, clock in enumerate(("wall", "processor")):
        bare = [times[kind] for times in seconds["bare diffusers"]]
        for name, rounds_of in seconds.items():
            mine = [times[kind] for times in rounds_of]
            ratio = statistics.median(a / b for a, b in zip(mine, bare, strict=True))
            best = min(mine) / min(bare)
            print(
                f"{clock:9} {name:20} median {statistics.median(mine):.3f} s a picture,"
                f" ratio {ratio:.3f} (median of rounds), {best:.3f} (best of each)"
            )
        shown, hidden = ([times[kind] for times in seconds[f"studio, preview {on}"]] for on in ("on", "off"))
        cost = statistics.median(a / b for a, b in zip(shown, hidden, strict=True)) - 1
        print(f"{clock:9} previews alone cost {100 * cost:.1f} % (median of rounds)")
    print("wanted: preview off at most 1.02 (1.05 on a busy CPU), previews under 1 % on a GPU")


if __name__ == "__main__":
    main()
