"""Trials of pictures: what must come out the same to the byte, and how near float16 comes to float32."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from sd_app import BlendRequest, Img2ImgRequest, InpaintRequest, Studio, Txt2ImgRequest, WalkRequest
from sd_app.speed import unet as unet_calls

from .models import LORA
from .trial import (
    PROMPT,
    Bench,
    Outcome,
    checkpoint_of,
    counted_replays,
    difference,
    draw,
    is_a_picture,
    pixels,
    request_for,
    with_seed,
)

SEEDS = (1, 2, 3, 4)
NEAR = {"float32": 2.0, "float16": 4.0, "bfloat16": 12.0}  # mean difference from the CPU's picture, of 255


def near_the_cpu(bench: Bench) -> Outcome:
    """The embedded model's pictures on the device, beside the CPU's in float32."""
    request = request_for(bench, num_inference_steps=20 if bench.is_cuda else 3)
    seeds = SEEDS if bench.is_cuda else SEEDS[:1]
    reference = bench.studio(device="cpu", dtype="float32")
    expected = [draw(reference, with_seed(request, seed)) for seed in seeds]
    figures: dict[str, Any] = {}
    passed = True
    for dtype, limit in NEAR.items():
        studio = bench.studio(dtype=dtype)
        drawn = [draw(studio, with_seed(request, seed)) for seed in seeds]
        gaps = [float(np.abs(pixels(a) - pixels(b)).mean()) for a, b in zip(drawn, expected, strict=True)]
        figures[f"{dtype}, mean difference of 255"] = round(max(gaps), 3)
        passed &= max(gaps) <= limit
        studio.unload()
    return Outcome(passed=passed, figures=figures)


def graphs_are_eager(bench: Bench) -> Outcome:
    """Replayed pictures beside eager ones, to the byte, over models, formats and samplers."""
    bench.need_cuda()
    figures: dict[str, Any] = {}
    passed = True
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("tiny-sd", dtype, {}) for dtype in ("float16", "float32", "bfloat16")
    ]
    cases += [
        (model, "float16", change)
        for model in ("sd1-small", "v-small", "xl-small", bench.sd1)
        for change in ({}, {"num_images": 3}, {"scheduler": "Euler a"}, {"guidance_end": 0.4})
    ]
    cases += [
        (bench.sd1, "float16", change)
        for change in (
            {"scheduler": "DDIM"},
            {"scheduler": "Heun"},
            {"cache_interval": 2},
            {"width": 448, "height": 640},
            {"guidance_scale": 1.0},
            {"num_inference_steps": 40, "scheduler": "PLMS"},
            {"scheduler": "DPM++ SDE Karras"},
            {"prompt": "[an orange cat:a blue house:0.5] in a meadow"},
            {
                "prompt": f"[a cat:{'a big blue house in a meadow, ' * 14}:0.5]"
            },  # of another number of windows
            {"prompt": "a cat in a meadow AND a blue house:0.7"},
        )
    ]
    cases.append((bench.xl, "float16", {}))
    studios: dict[tuple[str, str], tuple[Studio, Studio]] = {}
    for model, dtype, change in cases:
        if (model, dtype) not in studios:
            for studio in (studio for pair in studios.values() for studio in pair):
                studio.unload()
            studios = {
                (model, dtype): (
                    bench.studio(model, dtype=dtype),
                    bench.studio(model, dtype=dtype, cuda_graphs=False),
                )
            }
        fast, eager = studios[model, dtype]
        request = request_for(bench, **change)
        expected = draw(eager, request)
        with counted_replays() as replays:
            gap = max(difference(draw(fast, request), expected) for _ in range(2))
        right = gap == 0 and replays[0] > 0 and is_a_picture(expected)
        passed &= right
        words = " ".join(f"{key} {value}" for key, value in change.items()) or "as it is"
        if not right or not change:
            figures[f"{model} {dtype}, {words}"] = f"difference {gap}, {replays[0]} replays"
    figures["cases"] = len(cases)
    return Outcome(passed=passed, figures=figures)


def all_kinds(bench: Bench) -> Outcome:
    """img2img, inpaint, walk, blend and SDXL, fast beside eager; nothing outside a mask changes."""
    figures: dict[str, Any] = {}
    passed = True
    side = 64 if bench.is_small else 512
    picture, mask = painted(side)
    for model in dict.fromkeys((bench.sd1, "painter-small", "v-small", bench.xl)):
        fast, eager = bench.studio(model), bench.studio(model, cuda_graphs=False)
        for name, job in jobs_of_all_kinds(picture, mask).items():
            if model == "painter-small" and name != "inpaint":
                continue
            if model == bench.xl and name in ("blend", "walk"):  # as sd1's, and large
                continue
            mine, theirs = job(fast), job(eager)
            gap = difference(mine, theirs)
            figures[f"{model} {name}, difference"] = gap
            passed &= gap == 0 and is_a_picture(theirs)
            if name == "inpaint":
                kept = np.asarray(mask) == 0
                moved = int((pixels(mine)[0] != np.asarray(picture, np.int16))[kept].sum())
                figures[f"{model} inpaint, numbers changed outside the mask"] = moved
                passed &= moved == 0
        fast.unload()
        eager.unload()
    return Outcome(passed=passed, figures=figures)


Job = Callable[[Studio], tuple[Image.Image, ...]]


def jobs_of_all_kinds(picture: Image.Image, mask: Image.Image) -> dict[str, Job]:
    """Return a job of each kind that makes pictures."""
    common: dict[str, Any] = {
        "num_inference_steps": 14,
        "guidance_scale": 5.0,
        "seed": 3,
        "scheduler": "Euler",
    }
    start = {**common, "prompt": PROMPT, "init_image": picture}
    arithmetic = {**common, "prompt": "a drawing of {}", "width": picture.width, "height": picture.height}
    return {
        "txt2img": lambda studio: (
            studio.txt2img(Txt2ImgRequest(**common, prompt=PROMPT, num_images=2), save=False).images
        ),
        "img2img": lambda studio: studio.img2img(Img2ImgRequest(**start, strength=0.8), save=False).images,
        "inpaint": lambda studio: (
            studio.inpaint(InpaintRequest(**start, mask_image=mask, strength=1.0), save=False).images
        ),
        "blend": lambda studio: (
            studio.blend(BlendRequest(**arithmetic, expression="0.6*cat + 0.4*dog"), save=False).images
        ),
        "walk": lambda studio: (
            studio.walk(WalkRequest(**arithmetic, a="cat", b="dog", frames=3), save=False).images
        ),
    }


def painted(side: int) -> tuple[Image.Image, Image.Image]:
    """Return a picture and a mask, white where it is to be repainted."""
    picture = Image.new("RGB", (side, side), (120, 180, 90))
    ImageDraw.Draw(picture).ellipse((side // 4, side // 4, side // 2, side // 2), fill=(230, 120, 40))
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).rectangle((side // 3, side // 3, side * 2 // 3, side * 2 // 3), fill=255)
    return picture, mask


def lora_on_and_off(bench: Bench) -> Outcome:
    """A LoRA on, off and on again: each picture is the eager one, and off is the plain model's."""
    plain = request_for(bench)
    worn = replace(plain, prompt=f"{PROMPT} <lora:{LORA}:0.7>")
    eager = bench.studio("sd1-small", cuda_graphs=False)
    expected = {request: draw(eager, request) for request in (plain, worn)}
    fast = bench.studio("sd1-small")
    gaps = [
        difference(draw(fast, request), expected[request]) for request in (plain, worn, plain, worn, plain)
    ]
    apart = difference(expected[plain], expected[worn])
    return Outcome(
        passed=max(gaps) == 0 and apart > 0,
        figures={"largest difference": max(gaps), "what the LoRA changes, of 255": apart},
    )


def no_step_waits(bench: Bench) -> Outcome:
    """From the second step to the last none asks the card for a number, so none waits for it."""
    bench.need_cuda()
    studio = bench.studio(bench.sd1)
    figures: dict[str, Any] = {}
    for scheduler in ("DPM++ 2M Karras", "Euler", "Euler a", "DDIM", "UniPC", "Heun", "PLMS", "LCM"):
        request = request_for(bench, scheduler=scheduler)
        draw(studio, request)

        def on_step(step: Any) -> None:
            if step.text == "Denoising":  # what follows the first step's sign, up to the last step's
                torch.cuda.set_sync_debug_mode("error" if step.step < step.num_steps else "default")

        try:
            studio.txt2img(request, on_step, preview_every=0, save=False)
            figures[scheduler] = "no wait"
        except RuntimeError as error:
            figures[scheduler] = f"waits: {str(error).splitlines()[0][:80]}"
        finally:
            torch.cuda.set_sync_debug_mode("default")
    wanted = ("DPM++ 2M Karras", "Euler")
    return Outcome(passed=all(figures[name] == "no wait" for name in wanted), figures=figures)


def another_thread(bench: Bench) -> Outcome:
    """A thread that never computed anything records a shape that another one warmed up."""
    bench.need_cuda()
    short, long = request_for(bench, num_inference_steps=3), request_for(bench)
    expected = draw(bench.studio(bench.sd1, cuda_graphs=False), long)
    studio = bench.studio(bench.sd1)
    draw(studio, short)  # as many calls as are wanted before a shape is recorded
    found: dict[str, Any] = {}

    def second() -> None:
        try:
            with counted_replays() as replays:
                found["gap"] = difference(draw(studio, long), expected)
            found["replays"] = replays[0]
        except Exception as error:  # noqa: BLE001 - it is told in the table
            found["error"] = f"{type(error).__name__}: {error}"

    thread = threading.Thread(target=second)
    thread.start()
    thread.join()
    again = difference(draw(studio, long), expected)
    passed = found.get("gap") == 0 and again == 0 and found.get("replays", 0) > 0
    return Outcome(passed=passed, figures={**found, "back in the first thread": again})


def failed_capture(bench: Bench) -> Outcome:
    """A recording that fails leaves nothing behind: the job ends eagerly, the next ones are as ever."""
    bench.need_cuda()
    request = request_for(bench)
    expected = draw(bench.studio(bench.sd1, cuda_graphs=False), request)
    figures: dict[str, Any] = {}
    passed = True
    for name, break_it in BREAKS.items():
        studio = bench.studio(bench.sd1)
        try:
            with breaking_while_recorded(break_it) as broken:
                gap = difference(draw(studio, request), expected)
            problems = left_behind(bench.device)
            graphs = checkpoint_of(studio).fast_unet.graphs
            studio.unload()
            torch.cuda.empty_cache()
            with counted_replays() as replays:
                after = difference(draw(studio, request), expected)
        except Exception as error:  # noqa: BLE001 - it is told in the table
            figures[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
            passed = False
            continue
        right = broken[0] == 1 and gap == 0 and after == 0 and not problems and len(graphs) == 0
        figures[name] = f"differences {gap} and {after}, {replays[0]} replays afterwards" + problems
        passed &= right
        studio.unload()
    return Outcome(passed=passed, figures=figures)


def left_behind(device: torch.device) -> str:
    """Return what a failed recording left as it should not be, in words."""
    problems = ""
    if torch.cuda.current_stream(device) != torch.cuda.default_stream(device):
        problems += ", on the recording's stream"
    if torch.cuda.is_current_stream_capturing():
        problems += ", still recording"
    try:
        torch.cuda.empty_cache()
    except RuntimeError as error:
        problems += f", empty_cache: {str(error).splitlines()[0][:60]}"
    return problems


def raise_an_error(output: torch.Tensor) -> None:
    """Fail as Python code does."""
    raise RuntimeError("something in the forward pass went wrong")


def ask_for_a_number(output: torch.Tensor) -> None:
    """Fail as code that waits for the card does; this spoils what is being recorded."""
    output.flatten()[0].item()


def take_all_memory(output: torch.Tensor) -> None:
    """Fail as a full card does."""
    free, _ = torch.cuda.mem_get_info(output.device)
    torch.empty(2 * free, dtype=torch.uint8, device=output.device)


BREAKS: dict[str, Callable[[torch.Tensor], None]] = {
    "an exception": raise_an_error,
    "a number asked for": ask_for_a_number,
    "memory that runs out": take_all_memory,
}


@contextmanager
def breaking_while_recorded(break_it: Callable[[torch.Tensor], None]) -> Iterator[list[int]]:
    """Have the U-Net fail while it is recorded; yields how often it did."""
    whole, count = unet_calls.whole, [0]

    def failing(unet: Any, forward: Any, tensors: Any) -> Any:
        outputs = whole(unet, forward, tensors)
        if torch.cuda.is_current_stream_capturing():
            count[0] += 1
            break_it(outputs[0])
        return outputs

    unet_calls.whole = failing  # type: ignore[assignment]
    try:
        yield count
    finally:
        unet_calls.whole = whole
        gc.collect()
