"""What the tests of memory share: small jobs, what they hold, and how much is said to be free."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sd_app import Img2ImgRequest, InpaintRequest, Step, Studio, Txt2ImgRequest
from sd_app.weights.caches import forget
from sd_app.weights.device_memory import count_bytes, demand_of
from sd_app.weights.memory_plan import SHARE
from sd_app.weights.model_manager import ModelManager
from sd_app.weights.pipeline import Pipeline
from tests.memory.fake_allocator import FakeAllocator

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
MASK = Image.new("L", PICTURE.size)
MASK.paste(255, (8, 8, 40, 40))
TXT2IMG = Txt2ImgRequest(prompt="a", seed=3, num_images=2, num_inference_steps=2)
LARGE = replace(TXT2IMG, width=768, height=512, num_images=1, num_inference_steps=1)
IMG2IMG = Img2ImgRequest(prompt="a", seed=3, num_inference_steps=2, init_image=PICTURE)
INPAINT = InpaintRequest(prompt="a", seed=3, num_inference_steps=2, init_image=PICTURE, mask_image=MASK)


def difference(first: Image.Image, second: Image.Image) -> int:
    return int(np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).max())


def parts(studio: Studio) -> Pipeline:
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        return pipe


def make(studio: Studio, request: Txt2ImgRequest, told: list[str] | None = None) -> list[Image.Image]:
    pipe = parts(studio)
    forget(pipe.text_encoder, pipe.vae)  # what is remembered would ask for no memory
    name = {Txt2ImgRequest: "txt2img", Img2ImgRequest: "img2img", InpaintRequest: "inpaint"}[type(request)]

    def on_step(step: Step) -> None:
        if told is not None:
            told.append(step.text)

    return list(getattr(studio, name)(request, on_step, save=False).images)


def peak(studio: Studio, request: Txt2ImgRequest) -> int:
    parts(studio)
    with FakeAllocator() as memory:
        make(studio, request)
    return memory.peak_bytes


def free_for(manager: ModelManager, monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    monkeypatch.setattr("sd_app.weights.model_manager.free_bytes", lambda device: size_bytes)


def free_needed(manager: ModelManager, pixels: int, *, denoised: float = 0, decoded: float = 0) -> int:
    """Return the free memory that suffices beside model-a's weights, which are there already."""
    checkpoint = manager._checkpoints["model-a"]
    demand, weights = demand_of(checkpoint.components), count_bytes(checkpoint.networks)
    need = max(denoised * demand.denoise, decoded * demand.decode) * pixels
    return int((need + weights) / SHARE - weights) + 2
