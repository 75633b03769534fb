"""The models folder of same_pictures.py: small networks with random weights by fixed seeds, and add-ons.

Made through diffusers and transformers alone, so that no change of sd_app can change what it has to draw.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tests.addons.lora_writers import kohya, kohya_original, lora_layers, old_diffusers, peft, write_lora
from tests.checkpoint_files import make_parts, original_vae_name, write_checkpoint

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
TEXT_WIDTH, XL_TEXT_WIDTHS = 32, (64, 128)
XL_SCALING_FACTOR = 0.13025
WORDS_COUNT = 3.0  # times as much as in a network fresh from its seed


def make_models(folder: Path, tokenizer: Path) -> None:
    """Fill a models folder with checkpoints, LoRAs, learned words, VAEs and a decoder for SDXL's previews."""
    plain = save_sd1(folder / "plain", tokenizer, seed=1)
    save_sd1(folder / "velocity", tokenizer, seed=3, prediction_type="v_prediction")
    save_sd1(folder / "painter", tokenizer, seed=5, in_channels=9)
    save_sd1(folder / "distilled", tokenizer, seed=4, time_cond_proj_dim=16)
    xl = save_sdxl(folder / "xl", tokenizer, seed=7)
    save_sdxl(folder / "xl-painter", tokenizer, seed=8, in_channels=9)
    for number, family in enumerate(("sd1", "sd2", "sdxl")):
        write_checkpoint(folder / f"file-{family}.safetensors", family, seed=20 + number)
    write_checkpoint(folder / "file-painter.safetensors", "sd1", in_channels=9, seed=23)
    _make_loras(folder / "loras", plain, xl)
    _make_words(folder / "embeddings")
    _make_vaes(folder / "vae")
    _make_preview_decoder(folder / "taesd")


def fingerprints(folder: Path) -> dict[str, str]:
    """Return what each file of weights holds, so that a change of a helper is not taken for one of sd_app."""
    found = {}
    for path in sorted(folder.rglob("*.safetensors")):
        content = hashlib.sha256()
        for name, tensor in sorted(load_file(path).items()):
            content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            content.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        found[path.relative_to(folder).as_posix()] = content.hexdigest()
    return found


def save_sd1(
    folder: Path,
    tokenizer: Path,
    *,
    seed: int,
    prediction_type: str = "epsilon",
    in_channels: int = 4,
    time_cond_proj_dim: int | None = None,
) -> dict[str, Any]:
    """Save a Stable Diffusion 1 pipeline of a few layers; return its components."""
    torch.manual_seed(seed)
    text_config = CLIPTextConfig(
        hidden_size=TEXT_WIDTH,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=TEXT_WIDTH,
    )
    pipe = StableDiffusionPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer),
        text_encoder=CLIPTextModel(text_config),
        vae=make_vae(),
        unet=UNet2DConditionModel(
            sample_size=8,
            in_channels=in_channels,
            out_channels=4,
            block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            norm_num_groups=8,
            attention_head_dim=2,
            cross_attention_dim=TEXT_WIDTH,
            time_cond_proj_dim=time_cond_proj_dim,
        ),
        scheduler=DDIMScheduler(
            **NOISE, clip_sample=False, set_alpha_to_one=False, prediction_type=prediction_type
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    _heed_words(pipe.unet)
    pipe.save_pretrained(folder)
    return dict(pipe.components)


def save_sdxl(folder: Path, tokenizer: Path, *, seed: int, in_channels: int = 4) -> dict[str, Any]:
    """Save an SDXL pipeline of a few layers, whose defaults studio.json says; return its components."""
    parts = make_parts("sdxl", seed=seed, in_channels=in_channels)
    parts.vae.register_to_config(scaling_factor=XL_SCALING_FACTOR, force_upcast=True)
    pipe = StableDiffusionXLPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer),
        tokenizer_2=CLIPTokenizer.from_pretrained(tokenizer, pad_token="!"),  # as open_clip pads
        unet=parts.unet,
        vae=parts.vae,
        text_encoder=parts.text_encoders[0],
        text_encoder_2=parts.text_encoders[1],
        scheduler=EulerDiscreteScheduler(**NOISE, timestep_spacing="leading"),
        add_watermarker=False,
    )
    _heed_words(pipe.unet)
    pipe.save_pretrained(folder)
    owner = {"default_steps": 3, "default_guidance_scale": 6.0, "default_scheduler": "Euler"}
    (folder / "studio.json").write_text(json.dumps(owner))
    return dict(pipe.components)


@torch.no_grad()
def _heed_words(unet: Any) -> None:
    """Enlarge a U-Net's attention to the text, so that a small change of a prompt's tensor shows."""
    for name, weight in unet.named_parameters():
        if ".attn2." in name:
            weight.mul_(WORDS_COUNT)


def make_vae() -> Any:
    """Make a VAE of a few layers from torch's running seed."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
    )


def _make_loras(folder: Path, plain: dict[str, Any], xl: dict[str, Any]) -> None:
    write_lora(folder / "ink.safetensors", kohya(lora_layers(plain, seed=31)))
    write_lora(folder / "wash.safetensors", peft(lora_layers(plain, seed=32)))
    # The first versions of diffusers wrote the attention of the U-Net alone.
    write_lora(
        folder / "chalk.safetensors", old_diffusers(lora_layers(plain, seed=33, only="unet.mid_block"))
    )
    write_lora(folder / "xl-ink.safetensors", kohya_original(lora_layers(xl, seed=34), xl["unet"].config))


def _make_words(folder: Path) -> None:
    folder.mkdir()
    generator = torch.Generator().manual_seed(41)

    def vectors(count: int, width: int) -> Tensor:
        return 0.1 * torch.randn(count, width, generator=generator)

    save_file({"emb_params": vectors(2, TEXT_WIDTH)}, folder / "zorblat.safetensors")
    pair = {name: vectors(3, width) for name, width in zip(("clip_l", "clip_g"), XL_TEXT_WIDTHS, strict=True)}
    save_file(pair, folder / "quuxel.safetensors")


def _make_vaes(folder: Path) -> None:
    torch.manual_seed(51)
    make_vae().save_pretrained(folder / "other")
    torch.manual_seed(52)
    original = {
        original_vae_name(name, 4): tensor[:, :, None, None]
        if "attentions" in name and tensor.ndim == 2
        else tensor
        for name, tensor in make_vae().state_dict().items()
    }
    save_file({name: tensor.contiguous() for name, tensor in original.items()}, folder / "third.safetensors")


def _make_preview_decoder(folder: Path) -> None:
    folder.mkdir()
    torch.manual_seed(61)
    weights = {}
    for name, tensor in AutoencoderTiny().decoder.state_dict().items():
        _, number, rest = name.split(".", 2)
        weights[f"{int(number) + 1}.{rest}"] = tensor  # the original's first layer is a clamp
    save_file(weights, folder / "taesdxl_decoder.safetensors")
