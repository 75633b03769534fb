"""Trials of memory: what is given back, what a full card is answered, what the estimates are worth."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sd_app.weights.device_memory import collect_memory, demand_of, free_bytes

from .trial import (
    Bench,
    Outcome,
    Skipped,
    checkpoint_of,
    counted_replays,
    difference,
    draw,
    request_for,
)

MB = 10**6
LEFT = (0.3, 0.6, 1.0, 2.0)  # gigabytes
LEFT_XL = (1.0, 7.0)  # its U-Net alone has 5
SIZES = [(w, h) for w in (256, 320, 384, 448, 512) for h in (256, 384, 512, 576)]


def reserved() -> int:
    """Return what torch holds of the card, after giving back what it can."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved()


def pools_are_given_back(bench: Bench) -> Outcome:
    """After a model is dropped nothing of its weights and recordings is held."""
    bench.need_cuda()
    studio = bench.studio(bench.sd1)
    held = []
    for _ in range(4):
        draw(studio, request_for(bench))
        recorded = len(checkpoint_of(studio).fast_unet.graphs)
        assert recorded == 1, "nothing was recorded"
        studio.unload()
        held.append(round(reserved() / MB, 1))
    # Workspaces of cuBLAS stay for each thread and stream; they must not grow.
    return Outcome(
        passed=held[-1] <= held[0] + 1 and held[-1] < 300,
        figures={"held after each unload, MB": held, "workspaces, MB": held[-1]},
    )


def sizes_in_turn(bench: Bench) -> Outcome:
    """Twenty sizes one after another, three times: what is held does not grow."""
    bench.need_cuda()
    studio = bench.studio(bench.sd1)
    held = []
    for _ in range(3):
        for width, height in SIZES:
            draw(studio, request_for(bench, width=width, height=height, num_inference_steps=12))
        held.append(round(reserved() / MB))
    recorded = len(checkpoint_of(studio).fast_unet.graphs)
    return Outcome(
        passed=held[-1] <= held[0] * 1.05,
        figures={"held after each round, MB": held, "recordings kept": recorded},
    )


@contextmanager
def ballast(device: torch.device, *, leave: int) -> Iterator[None]:
    """Take all of a card's memory but so many bytes."""
    collect_memory()
    blocks = []
    while (spare := torch.cuda.mem_get_info(device)[0] - leave) > 4 * MB:
        try:
            blocks.append(torch.empty(min(spare, 2 << 30), dtype=torch.uint8, device=device))
        except torch.OutOfMemoryError:
            break
    try:
        yield
    finally:
        blocks.clear()
        collect_memory()


def short_of_memory(bench: Bench) -> Outcome:
    """With so much left on the card a job gives a picture or our sentence, and the next is as ever."""
    bench.need_cuda()
    request = request_for(bench, width=512, height=512)
    expected = draw(bench.studio("sd1" if not bench.is_small else "sd1-small"), request)
    figures: dict[str, Any] = {}
    passed = True
    for model in dict.fromkeys((bench.sd1, bench.xl)):
        for gigabytes in LEFT if model == bench.sd1 else LEFT_XL:
            studio = bench.studio(model)
            with ballast(bench.device, leave=int(gigabytes * 1e9)):
                name = f"{model}, {gigabytes} GB left"
                try:
                    images = draw(studio, request)
                    figures[name] = f"a picture: {studio.status().plan}"
                    passed &= images[0].size == (512, 512)
                except MemoryError as error:
                    figures[name] = f"refused: {error}"
                except Exception as error:  # noqa: BLE001 - it is told in the table
                    figures[name] = f"FAILED, {type(error).__name__}: {str(error).splitlines()[0][:100]}"
                    passed = False
            if model == bench.sd1:
                gap = difference(draw(studio, request), expected)
                passed &= gap == 0
                figures[name] += f"; then difference {gap}"
            studio.unload()
    return Outcome(passed=passed, figures=figures)


def offloaded_and_back(bench: Bench) -> Outcome:
    """A job whose parts visit the card one by one, and after it one that is replayed again."""
    bench.need_cuda()
    if bench.is_small:
        raise Skipped("needs the large models: small ones always fit")
    request = request_for(bench, width=512, height=512)
    studio = bench.studio(bench.sd1)
    expected = draw(studio, request)
    weights = checkpoint_of(studio).size_bytes
    figures: dict[str, Any] = {}
    gaps, replays = [], []
    studio.unload()
    with ballast(bench.device, leave=int(weights * 1.1)):
        offloaded = draw(studio, request)
        figures["short of memory"] = studio.status().plan
    figures["difference, short (tiles change it)"] = difference(offloaded, expected)
    for _ in range(2):
        with counted_replays() as count:
            gaps.append(difference(draw(studio, request), expected))
        replays.append(count[0])
    figures |= {"then": studio.status().plan, "differences": gaps, "replays": replays}
    return Outcome(
        passed="one by one" in figures["short of memory"] and max(gaps) == 0 and replays[-1] > 0,
        figures=figures,
    )


class Peaks:
    """An observer that reads how much was used at most while denoising."""

    def __init__(self) -> None:
        self.denoising = 0

    def before_loop(self, _: object) -> None:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()

    def on_step(self, step: Any) -> None:
        if step.index == step.num_calls - 1:
            torch.cuda.synchronize()
            self.denoising = torch.cuda.max_memory_allocated()
            torch.cuda.reset_peak_memory_stats()


def estimates(bench: Bench) -> Outcome:
    """What the plan's estimates say beside what was used at most."""
    bench.need_cuda()
    figures: dict[str, Any] = {}
    passed = True
    for model, sizes in ((bench.sd1, (512, 768, 1024)), (bench.xl, (768, 1024))):
        studio = bench.studio(model, cuda_graphs=False)
        draw(studio, request_for(bench, num_inference_steps=1))
        components = checkpoint_of(studio).components
        demand = demand_of(components, bench.device)
        for side in sizes:
            for count in (1, 4):
                peaks = Peaks()
                before = torch.cuda.memory_allocated()
                request = request_for(bench, width=side, height=side, num_images=count, num_inference_steps=2)
                draw(studio, request, observers=[peaks])
                used = {
                    "denoise": (peaks.denoising - before) / (side * side * count),
                    "decode": (torch.cuda.max_memory_allocated() - before) / (side * side * count),
                }
                said = {"denoise": demand.denoise, "decode": demand.decode}
                for stage, value in used.items():
                    figures[f"{model} {count} x {side}: {stage}, said / used"] = round(said[stage] / value, 2)
                    passed &= said[stage] / value > 0.9
        studio.unload()
    figures["free now, GB"] = round(free_bytes(bench.device) / 1e9, 1)
    return Outcome(passed=passed, figures=figures)
