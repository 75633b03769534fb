"""The models that the trials run: the embedded one, and random weights at full and at reduced size."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from sd_app.settings import EMBEDDED_DIR
from tests.addons.lora_writers import kohya, lora_layers
from tests.checkpoint_files import make_parts

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
TOKENIZER = EMBEDDED_DIR / "tiny-sd" / "tokenizer"
LORA = "strokes"  # for sd1-small


def make_models(folder: Path, *, device: torch.device, full: bool) -> None:
    """Fill a folder with the models of the trials; the large ones only where they are wanted."""
    folder.mkdir(parents=True)
    (folder / "tiny-sd").symlink_to(EMBEDDED_DIR / "tiny-sd")
    small = save_sd1(folder / "sd1-small", full=False, seed=1)
    save_sd1(folder / "v-small", full=False, seed=2, prediction_type="v_prediction")
    save_sd1(folder / "painter-small", full=False, seed=3, in_channels=9)
    save_xl(folder / "xl-small", full=False)
    (folder / "loras").mkdir()
    layers = lora_layers(small.components, seed=4, rank=4)
    save_file(kohya(layers), folder / "loras" / f"{LORA}.safetensors")
    (folder / "vae").mkdir()
    torch.manual_seed(5)
    AutoencoderKL(**_plain(small.vae)).save_pretrained(folder / "vae" / "other")
    if full:
        with torch.device(device):  # a card draws the numbers in no time
            save_sd1(folder / "sd1", full=True, seed=1)
            save_xl(folder / "xl", full=True)


def save_sd1(
    folder: Path, *, full: bool, seed: int, prediction_type: str = "epsilon", in_channels: int = 4
) -> StableDiffusionPipeline:
    """Save Stable Diffusion 1 with random weights in float16; return it."""
    parts = make_parts("sd1", full=full, in_channels=in_channels, seed=seed)
    pipe = StableDiffusionPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(TOKENIZER),
        text_encoder=parts.text_encoders[0],
        unet=parts.unet,
        vae=parts.vae,
        scheduler=PNDMScheduler(
            **NOISE, skip_prk_steps=True, set_alpha_to_one=False, prediction_type=prediction_type
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    _save(pipe, folder)
    return pipe


def save_xl(folder: Path, *, full: bool) -> None:
    """Save SDXL with random weights in float16."""
    parts = make_parts("sdxl", full=full, seed=7)
    parts.vae.register_to_config(scaling_factor=0.13025, force_upcast=True)
    pipe = StableDiffusionXLPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(TOKENIZER),
        tokenizer_2=CLIPTokenizer.from_pretrained(TOKENIZER, pad_token="!"),  # as open_clip pads
        unet=parts.unet,
        vae=parts.vae,
        text_encoder=parts.text_encoders[0],
        text_encoder_2=parts.text_encoders[1],
        scheduler=EulerDiscreteScheduler(**NOISE, timestep_spacing="leading"),
        add_watermarker=False,
    )
    _save(pipe, folder)


def _save(pipe: StableDiffusionPipeline | StableDiffusionXLPipeline, folder: Path) -> None:
    pipe.to(dtype=torch.float16)
    pipe.save_pretrained(folder)
    (folder / "studio.json").write_text(json.dumps({"default_steps": 14, "default_guidance_scale": 5.0}))


def _plain(vae: AutoencoderKL) -> dict[str, object]:
    known = (
        "block_out_channels",
        "down_block_types",
        "up_block_types",
        "layers_per_block",
        "latent_channels",
    )
    return {name: vae.config[name] for name in known}
