"""How large recordings of full-size models are.

A recording's size depends on levels, heads and steps, not on how many channels a layer has; so these U-Nets
have the full ones' structure in a narrow form, and that it is the same structure is shown.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from accelerate import init_empty_weights
from diffusers import (
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.probes.features import num_components
from sd_app.probes.levels import attention_modules, watched_blocks
from sd_app.weights.single_file import build_tokenizers
from tests.checkpoint_files import make_parts, unet_config

NARROW: dict[str, dict[str, Any]] = {
    "sd1": {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 64},
    "sdxl": {
        "block_out_channels": (160, 160, 160),
        "attention_head_dim": [5, 10, 20],
        "transformer_layers_per_block": [1, 1, 1],
        "cross_attention_dim": 192,
        "projection_class_embeddings_input_dim": 6 * 256 + 128,
    },
}
TWENTY = "a cat " * 10
SEVENTY_FIVE = "a cat on the beach " * 15
MB = 10**6


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with sd1 and sdxl: full structure, few channels, random weights."""
    folder: Path = tmp_path_factory.mktemp("narrow")
    for family, kind, scheduler in (
        ("sd1", StableDiffusionPipeline, PNDMScheduler(skip_prk_steps=True, steps_offset=1)),
        ("sdxl", StableDiffusionXLPipeline, EulerDiscreteScheduler()),
    ):
        parts = make_parts(family)
        unet = UNet2DConditionModel(**unet_config(family, full=True) | NARROW[family])
        encoders = dict(zip(("text_encoder", "text_encoder_2"), parts.text_encoders, strict=False))
        more: dict[str, Any] = (
            {"add_watermarker": False}
            if family == "sdxl"
            else {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        )
        pipe = kind(
            **build_tokenizers(family), **encoders, unet=unet, vae=parts.vae, scheduler=scheduler, **more
        )
        pipe.save_pretrained(folder / family)
        (folder / family / "studio.json").write_text(json.dumps({"default_scheduler": "Euler"}))
    return folder


@pytest.fixture(scope="module")
def studio(models, tmp_path_factory) -> Studio:
    settings = Settings(
        models_dir=models, model="sd1", device="cpu", cache_dir=tmp_path_factory.mktemp("cache")
    )
    return Studio(settings)


def ask(model: str, prompt: str, side: int, steps: int) -> Txt2ImgRequest:
    return Txt2ImgRequest(
        prompt=prompt,
        model=model,
        width=side,
        height=side,
        num_inference_steps=steps,
        guidance_scale=7.5,
        seed=1,
    )


@pytest.mark.parametrize(("family", "cells"), [("sd1", 64), ("sdxl", 128)])
def test_the_narrow_networks_have_the_full_ones_structure(family, cells):
    with init_empty_weights():
        full = make_parts(family, full=True).unet
        narrow = UNet2DConditionModel(**unet_config(family, full=True) | NARROW[family])
    attention, blocks = (
        [[structure(part) for part in listed(unet, cells, cells)] for unet in (full, narrow)]
        for listed, structure in (
            (attention_modules, lambda module: (module.name, module.heads, module.side)),
            (watched_blocks, lambda block: (block.name, num_components(block), block.side)),
        )
    )
    assert attention[0] == attention[1]
    assert len(attention[0]) == {"sd1": 16, "sdxl": 11}[family]
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize(
    ("model", "prompt", "side", "steps", "most"),
    [
        ("sd1", TWENTY, 512, 20, 60),
        ("sd1", SEVENTY_FIVE, 512, 20, 105),
        ("sdxl", TWENTY, 1024, 30, 150),
        ("sdxl", SEVENTY_FIVE, 1024, 30, 150),
    ],
)
def test_a_full_recording_is_no_larger_than_it_may_be(studio, model, prompt, side, steps, most):
    size = studio.recording_size(ask(model, prompt, side, steps))
    assert size < most * MB
    alone = studio.recording_size(ask(model, prompt, side, steps), attention=False, features=False)
    assert alone < size / 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("prompt", [TWENTY, SEVENTY_FIVE])
def test_the_file_is_as_large_as_was_told(studio, prompt):
    told: list[int] = []
    studio.record(ask("sd1", prompt, 512, 20), announce=told.append)
    (path,) = [studio._recordings().folder / name for name in studio.recordings()[:1]]
    assert told == [pytest.approx(path.stat().st_size, rel=0.05)]
    path.unlink()
