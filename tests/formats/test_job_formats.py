"""Every kind of job in the formats that GPUs compute in, against the same job in float32.

Small networks with random weights, and the embedded ones; the mean difference of a picture, of 255, is
stated. Random networks are no measure of a real one's, which was trained to be steady: what counts is that
each way through the code runs, and ends at the same picture.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sd_app import Settings, Step, Studio, Txt2ImgRequest
from tests.same_pictures_models import make_models
from tests.same_pictures_requests import blend, img2img, inpaint, mask, picture, plane, txt2img, walk

LOW = ["float16", "bfloat16"]
# Mean difference to float32 that is allowed, of 255. Seen on a processor: 0.29 and 2.2.
FARTHEST = {"float16": 0.6, "bfloat16": 4.5}

# Few steps: float16 takes its time on a processor.
TINY: dict[str, Any] = {"width": 64, "height": 64, "num_inference_steps": 2, "scheduler": "Euler"}
XL: dict[str, Any] = {"model": "xl", "scheduler": "Euler", "num_inference_steps": 3}
EMBEDDED: dict[str, Txt2ImgRequest] = {
    "txt2img, words in braces": txt2img(**TINY, prompt="a big {cat + 0.43*star} in a meadow"),
    "inpaint": inpaint(**TINY, init_image=picture(64, 64), mask_image=mask(64, 64), feather=6),
}
RANDOM: dict[str, Txt2ImgRequest] = {
    "LoRAs and a learned word": txt2img(prompt="a <lora:wash:0.4> zorblat <lora:ink:0.3>"),
    "another VAE": inpaint(vae="other", masked_content="fill"),
    "v-prediction": txt2img(model="velocity", scheduler="DPM++ 2M Karras"),
    "v-prediction, img2img": img2img(model="velocity", scheduler="DPM++ 2M"),
    "distilled": txt2img(model="distilled", scheduler="LCM", guidance_scale=2.0),
    "weights and braces by the row": txt2img(prompt="a (red:1.4) {row: cat + 0.5*dog}", clip_skip=2),
    "a painter": inpaint(model="painter", masked_content="noise", num_images=2),
    "a file of SD 2": txt2img(model="file-sd2"),
    "faster": txt2img(guidance_end=0.5, cache_interval=2, num_inference_steps=6),
    "blend": blend(expression="cat + 0.43*star"),
    "plane": plane(),
    "walk that bisects": walk(bisect=True, frames=3),
    "SDXL": txt2img(**XL, prompt="a cat <lora:xl-ink:0.6>, quuxel"),
    "SDXL, img2img": img2img(**XL, num_images=2),
    "SDXL, inpaint": inpaint(**XL, feather=4),
    "SDXL, a painter": inpaint(**XL | {"model": "xl-painter"}, masked_content="fill"),
    "SDXL, walk": walk(**XL, frames=3),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("formats")
    make_models(path / "models", Settings().models_dir / "tiny-sd" / "tokenizer")
    return path


@pytest.fixture(scope="module")
def studios(folder: Path) -> dict[tuple[str, str], Studio]:
    known: dict[str, Any] = {
        "device": "cpu",
        "outputs_dir": folder / "outputs",
        "cache_dir": folder / "cache",
    }
    made = {}
    for dtype in ("float32", *LOW):
        made["embedded", dtype] = Studio(Settings(**known, dtype=dtype))
        for kind in ("random", "frugal"):
            random: dict[str, Any] = {"models_dir": folder / "models", "model": "plain", "dtype": dtype}
            made[kind, dtype] = Studio(Settings(**known, **random, lowvram=kind == "frugal"))
    return made


def draw(studio: Studio, request: Txt2ImgRequest, previews: list[Image.Image] | None = None) -> np.ndarray:
    """Return the pictures of a request, (N, H, W, 3)."""

    def on_step(step: Step) -> None:
        if step.preview is not None and previews is not None:
            previews.append(step.preview)

    make = getattr(studio, type(request).__name__.removesuffix("Request").lower())
    result = make(request, on_step, preview_every=int(previews is not None), save=False)
    return np.stack([np.asarray(image, np.float32) for image in result.images])


@pytest.fixture(scope="module")
def exact(studios) -> Callable[[str, Txt2ImgRequest], np.ndarray]:
    """Return what draws a request in float32, once for both formats."""
    found: dict[tuple[str, int], np.ndarray] = {}

    def drawn(kind: str, request: Txt2ImgRequest) -> np.ndarray:
        if (kind, id(request)) not in found:
            found[kind, id(request)] = draw(studios[kind, "float32"], request)
        return found[kind, id(request)]

    return drawn


def check_close(studios, exact, kind: str, request: Txt2ImgRequest, dtype: str) -> None:
    difference = float(np.abs(exact(kind, request) - draw(studios[kind, dtype], request)).mean())
    assert 0 < difference < FARTHEST[dtype]


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("name", EMBEDDED)
def test_the_embedded_model_draws_nearly_the_same(studios, exact, name: str, dtype: str) -> None:
    check_close(studios, exact, "embedded", EMBEDDED[name], dtype)


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("name", RANDOM)
def test_every_kind_of_job_runs_and_draws_nearly_the_same(studios, exact, name: str, dtype: str) -> None:
    check_close(studios, exact, "random", RANDOM[name], dtype)


@pytest.mark.parametrize("dtype", LOW)
def test_so_do_jobs_that_save_memory(studios, exact, dtype: str) -> None:
    check_close(studios, exact, "frugal", RANDOM["LoRAs and a learned word"], dtype)
    check_close(studios, exact, "frugal", RANDOM["SDXL"], dtype)


@pytest.mark.parametrize("dtype", LOW)
def test_the_small_decoder_shows_nearly_the_same_previews(studios, dtype: str) -> None:
    seen: dict[str, list[Image.Image]] = {"float32": [], dtype: []}
    for name, previews in seen.items():
        draw(studios["random", name], txt2img(**XL), previews)
    exact, low = (np.stack([np.asarray(image, np.float32) for image in found]) for found in seen.values())
    assert exact.shape == low.shape
    assert 0 < np.abs(exact - low).mean() < FARTHEST[dtype]
