"""Trials of speed: the default beside bare diffusers in float16, and what each part of it is worth."""

import contextlib
import cProfile
import gc
import pstats
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sd_app import Txt2ImgRequest
from tests.benchmarks.turns import Job, bare_pipeline, take_turns

from .trial import Bench, Outcome, checkpoint_of, difference, draw, is_a_picture, request_for, with_seed

WANTED = 1.8  # times as fast as bare diffusers, on a data-centre card, at Stable Diffusion 1.5's 512x512
JOBS = 10  # begun to see what beginning takes
ROUNDS = 4  # on a card; a CPU shows only that it runs


def steps_of(bench: Bench) -> int:
    """Return how many steps are timed."""
    return 25 if bench.is_cuda else 3


def ratios(bench: Bench, jobs: dict[str, Job], base: str) -> tuple[dict[str, Any], dict[str, float], int]:
    """Take turns; return figures, how many times as fast as `base` each is, and the largest difference."""
    gap = 0

    def compare(made: dict[str, Any]) -> None:
        nonlocal gap
        assert is_a_picture(made[base]), "the model draws one colour: no comparison"
        gap = max(gap, *(difference(images, made[base]) for images in made.values()))

    seconds = take_turns(jobs, ROUNDS if bench.is_cuda else 1, compare)
    walls = {name: [wall for wall, _ in times] for name, times in seconds.items()}
    figures: dict[str, Any] = {}
    fast = {}
    for name, mine in walls.items():
        fast[name] = statistics.median(b / a for a, b in zip(mine, walls[base], strict=True))
        figures[f"{name}, s"] = round(statistics.median(mine), 4)
        figures[f"{name}, times as fast"] = round(fast[name], 3)
    figures["largest difference"] = gap
    return figures, fast, gap


def beside_bare(bench: Bench, model: str, request: Txt2ImgRequest) -> tuple[dict[str, Any], float, int]:
    """Compare the default, and it without graphs or with channels last, with diffusers' own pipeline."""
    eager = bench.studio(model, cuda_graphs=False)
    jobs: dict[str, Job] = {"bare diffusers": bare_pipeline(eager, request)}
    jobs["default"] = partial(draw, bench.studio(model), request)
    jobs["without graphs"] = partial(draw, eager, request)
    figures, fast, gap = ratios(bench, jobs, "bare diffusers")
    return figures, fast["default"], gap


def sd1(bench: Bench) -> Outcome:
    """Stable Diffusion 1.5's size with random weights, one picture and four."""
    figures: dict[str, Any] = {}
    passed = True
    for count in (1, 4):
        request = request_for(
            bench, width=bench.side, height=bench.side, num_images=count, num_inference_steps=steps_of(bench)
        )
        found, fast, gap = beside_bare(bench, bench.sd1, request)
        figures |= {f"{count} x {bench.side}: {name}": value for name, value in found.items()}
        passed &= gap == 0 and (count > 1 or bench.is_small or fast >= WANTED)
        gc.collect()
    return Outcome(passed=passed, figures=figures)


def xl(bench: Bench) -> Outcome:
    """SDXL's size with random weights, one picture."""
    side = 64 if bench.is_small else 1024
    request = request_for(bench, width=side, height=side, num_inference_steps=steps_of(bench))
    figures, _, gap = beside_bare(bench, bench.xl, request)
    return Outcome(passed=gap == 0, figures=figures)


def channels_last(bench: Bench) -> Outcome:
    """What --channels-last is worth, and what it changes."""
    request = request_for(bench, width=bench.side, height=bench.side, num_inference_steps=steps_of(bench))
    plain, last = bench.studio(bench.sd1), bench.studio(bench.sd1, channels_last=True)
    jobs: dict[str, Job] = {
        "default": partial(draw, plain, request),
        "channels last": partial(draw, last, request),
    }
    figures, _, _ = ratios(bench, jobs, "default")
    return Outcome(passed=True, figures=figures)


class Reader:
    """An observer that keeps what a recording would: latents and both predictions of every step."""

    def before_loop(self, _: object) -> None:
        self.kept: list[torch.Tensor] = []

    def on_unet_call(self, call: Any) -> None:
        self.kept.append(call.conditional.detach())
        if call.unconditional is not None:
            self.kept.append(call.unconditional.detach())

    def on_step(self, step: Any) -> None:
        self.kept.append(step.latents)


def observers(bench: Bench) -> Outcome:
    """What previews and an observer of every call cost."""
    studio = bench.studio(bench.sd1)
    request = request_for(bench, width=bench.side, height=bench.side, num_inference_steps=steps_of(bench))

    def hear(_: object) -> None:
        return None

    jobs: dict[str, Job] = {
        "nobody watches": partial(draw, studio, request),
        "steps told": partial(draw, studio, request, on_step=hear, preview_every=0),
        "with previews": partial(draw, studio, request, on_step=hear),
        "with an observer": partial(draw, studio, request, observers=[Reader()]),
    }
    figures, _, gap = ratios(bench, jobs, "nobody watches")
    told: list[float] = []
    began = time.perf_counter()
    draw(studio, request, on_step=lambda _: told.append(time.perf_counter()), preview_every=0)
    ended = time.perf_counter()
    # Told before the card has come there, all steps would stand at the very beginning.
    share = (told[len(told) // 2] - began) / (ended - began)
    figures["the middle step is told after, share of the job"] = round(share, 2)
    return Outcome(passed=gap == 0 and share > 0.25, figures=figures)


def cache_hits(bench: Bench) -> Outcome:
    """A one-step job with a prompt met before, beside one with a new prompt."""
    studio = bench.studio(bench.sd1)
    request = request_for(bench, width=bench.side, height=bench.side, num_inference_steps=1, seed=5)
    number = iter(range(10**6))

    def fresh() -> Any:
        return draw(studio, Txt2ImgRequest(**(vars(request) | {"prompt": f"cat number {next(number)}"})))

    jobs: dict[str, Job] = {"new prompt": fresh, "known prompt": partial(draw, studio, request)}
    seconds = take_turns(jobs, 9 if bench.is_cuda else 1, lambda _: None)
    medians = {name: statistics.median(wall for wall, _ in times) for name, times in seconds.items()}
    figures = {f"{name}, s": round(value, 4) for name, value in medians.items()}
    return Outcome(passed=True, figures=figures)


def where_time_goes(bench: Bench) -> Outcome:
    """The stages of one default job, in milliseconds, by the card's own clock."""
    bench.need_cuda()
    figures: dict[str, Any] = {}
    for model, side in ((bench.sd1, bench.side), (bench.xl, 64 if bench.is_small else 1024)):
        studio = bench.studio(model)
        request = request_for(bench, width=side, height=side, num_inference_steps=steps_of(bench))
        draw(studio, request)
        marks = Marks()
        begun = marks.mark()
        draw(studio, with_seed(request, 8), observers=[marks])
        ended = marks.mark()
        torch.cuda.synchronize()
        figures |= {
            f"{model}: encode and begin, ms": round(begun.elapsed_time(marks.first), 2),
            f"{model}: denoise, ms": round(marks.first.elapsed_time(marks.last), 2),
            f"{model}: a step, ms": round(marks.first.elapsed_time(marks.last) / steps_of(bench), 3),
            f"{model}: decode, ms": round(marks.last.elapsed_time(ended), 2),
        }
        graphs = checkpoint_of(studio).fast_unet.graphs
        figures[f"{model}: recordings"] = len(graphs)
        studio.unload()
    figures |= busiest_kernels(bench) | before_the_loop(bench)
    return Outcome(passed=True, figures=figures)


def busiest_kernels(bench: Bench) -> dict[str, Any]:
    """Return which of the card's kernels take the most time in an eager job, in milliseconds."""
    studio = bench.studio(bench.sd1, cuda_graphs=False)
    request = request_for(bench, width=bench.side, height=bench.side, num_inference_steps=5)
    draw(studio, request)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        draw(studio, request)
    kernels = sorted(profile.key_averages(), key=lambda kernel: -kernel.self_device_time_total)
    total = sum(kernel.self_device_time_total for kernel in kernels) / 1000
    figures: dict[str, Any] = {"kernels of 5 steps and decoding, ms": round(total, 2)}
    for kernel in kernels[:12]:
        figures[f"  {kernel.key[:90]}"] = (
            f"{kernel.self_device_time_total / 1000:.2f} ms, {kernel.count} times"
        )
    return figures


class Leaving(Exception):  # noqa: N818 - no error
    """Ends a job where denoising would begin."""


class Leaver:
    """An observer that ends the job where denoising would begin."""

    def before_loop(self, _: object) -> None:
        raise Leaving


def before_the_loop(bench: Bench) -> dict[str, Any]:
    """Return what takes the processor's time from the call to the first step, in milliseconds a job."""
    studio = bench.studio(bench.sd1)
    request = request_for(bench, width=bench.side, height=bench.side)
    draw(studio, request)

    def begin() -> None:
        with contextlib.suppress(Leaving):
            draw(studio, request, observers=[Leaver()])

    began = time.perf_counter()
    for _ in range(JOBS):
        begin()
    figures: dict[str, Any] = {"to the first step, ms": round((time.perf_counter() - began) / JOBS * 1000, 2)}
    profile = cProfile.Profile()
    for _ in range(JOBS):
        profile.runcall(begin)
    stats = pstats.Stats(profile)
    slowest = sorted(stats.stats.items(), key=lambda row: -row[1][3])  # type: ignore[attr-defined]
    own = [(place, row) for place, row in slowest if "sd_app" in place[0] or row[2] / JOBS > 5e-4]
    for (file, _, name), row in own[:24]:
        figures[f"  {Path(file).name} {name}"] = f"{row[3] / JOBS * 1000:.2f} ms while profiled"
    return figures


class Marks:
    """An observer that sets the card's own time marks."""

    first: torch.cuda.Event
    last: torch.cuda.Event

    def mark(self) -> torch.cuda.Event:
        """Set a mark now."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def before_loop(self, _: object) -> None:
        self.first = self.mark()

    def on_step(self, step: Any) -> None:
        if step.index == step.num_calls - 1:
            self.last = self.mark()
