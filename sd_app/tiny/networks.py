"""The embedded model's parts: architecture as data, and a builder for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
)

from .wordpiece import MAX_TOKENS, read_vocabulary
from .world import PICTURE_PIXELS

BOS_TOKEN_ID, EOS_TOKEN_ID = 49_406, 49_407


class TransformerConfig(TypedDict):
    """Keywords that all of transformers' configurations of a tower take."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int


class TextConfig(TransformerConfig):
    """Keywords of transformers' CLIPTextConfig."""

    vocab_size: int
    max_position_embeddings: int
    hidden_act: str
    projection_dim: int
    bos_token_id: int
    eos_token_id: int
    pad_token_id: int


class ImageConfig(TransformerConfig):
    """Keywords of an image tower's configuration."""

    image_size: int
    patch_size: int


class ClipImageConfig(ImageConfig):
    """Keywords of transformers' CLIPVisionConfig."""

    hidden_act: str
    projection_dim: int


class BlipImageConfig(ImageConfig):
    """Keywords of transformers' BlipVisionConfig."""

    initializer_range: float


class BlipTextConfig(TransformerConfig):
    """Keywords of transformers' BlipTextConfig, but for the vocabulary's."""

    max_position_embeddings: int


TEXT: TextConfig = {
    "vocab_size": 49_408,
    "max_position_embeddings": 77,
    "hidden_size": 96,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "hidden_act": "gelu",
    "projection_dim": 128,  # width of the space that pictures and texts share
    "bos_token_id": BOS_TOKEN_ID,
    "eos_token_id": EOS_TOKEN_ID,
    "pad_token_id": EOS_TOKEN_ID,  # Stable Diffusion 1.x pads with the end token and attends to all 77 rows
}
VISION: ClipImageConfig = {
    "image_size": PICTURE_PIXELS,
    "patch_size": 16,
    "hidden_size": 192,
    "intermediate_size": 576,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "hidden_act": "gelu",
    "projection_dim": 128,
}
BLIP_VISION: BlipImageConfig = {
    "image_size": PICTURE_PIXELS,
    "patch_size": 16,
    "hidden_size": 160,
    "intermediate_size": 320,
    "num_hidden_layers": 4,
    "num_attention_heads": 5,
    "initializer_range": 0.02,  # transformers' default, 1e-10, is for loaded weights
}
BLIP_TEXT: BlipTextConfig = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": MAX_TOKENS,
}
VAE: Mapping[str, object] = {
    "sample_size": PICTURE_PIXELS,
    "block_out_channels": (32, 64, 96, 96),  # factor 8: three halvings
    "layers_per_block": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
}
UNET: Mapping[str, object] = {
    "sample_size": PICTURE_PIXELS // 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (64, 128, 192),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4,  # diffusers reads this as the number of heads
    "cross_attention_dim": TEXT["hidden_size"],
    "norm_num_groups": 16,
}
# Stable Diffusion's own noise schedule (Rombach et al. 2022).
SCHEDULE: Mapping[str, object] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
PIXEL_MEAN = PIXEL_STD = (0.5, 0.5, 0.5)  # the image tower sees pictures in [-1, 1], like the VAE


def build_clip() -> CLIPModel:
    """Build an untrained CLIP: pictures of 128x128 pixels and 77 tokens into 128 dimensions."""
    config = CLIPConfig(
        text_config=dict(TEXT), vision_config=dict(VISION), projection_dim=TEXT["projection_dim"]
    )
    config._attn_implementation = "eager"  # faster than SDPA to train at these sizes on a CPU
    return CLIPModel(config)


def build_text_encoder(clip: CLIPModel) -> CLIPTextModel:
    """The contrastively trained text tower alone, as Stable Diffusion uses it."""
    encoder = CLIPTextModel(CLIPTextConfig(**TEXT))
    own = encoder.state_dict()
    trained = clip.text_model.state_dict()
    # transformers has nested the tower under "text_model." in some versions and not in others.
    prefix = "text_model." if any(key.startswith("text_model.") for key in own) else ""
    encoder.load_state_dict({prefix + key: value for key, value in trained.items()})
    return encoder.eval()


def build_blip() -> BlipForConditionalGeneration:
    """The captioner (Li et al. 2022); its token ids are those of `wordpiece.read_vocabulary`."""
    vocabulary = read_vocabulary()
    tokens = {"bos": "[DEC]", "eos": "[SEP]", "sep": "[SEP]", "pad": "[PAD]"}
    ids = {f"{name}_token_id": vocabulary.index(token) for name, token in tokens.items()}
    text = {**BLIP_TEXT, **ids, "vocab_size": len(vocabulary)}
    config = BlipConfig(text_config=text, vision_config=dict(BLIP_VISION))
    config._attn_implementation = "eager"  # as for CLIP
    return BlipForConditionalGeneration(config)


def build_vae() -> AutoencoderKL:
    """Build an untrained VAE: pictures (B, 3, 128, 128) in [-1, 1] to latents (B, 4, 16, 16) and back."""
    return AutoencoderKL(**VAE)


def build_unet() -> UNet2DConditionModel:
    """Build an untrained U-Net: latents (B, 4, 16, 16) and prompt_embeds (B, 77, 96) to noise_pred."""
    return UNet2DConditionModel(**UNET)


def build_scheduler() -> DDIMScheduler:
    """Build the noise schedule that the U-Net is trained on: 1000 timesteps, epsilon."""
    return DDIMScheduler(**SCHEDULE)


def build_caption_image_processor() -> BlipImageProcessor:
    """Build what makes any picture the captioner's (3, 128, 128) in [-1, 1]."""
    edge = {"height": PICTURE_PIXELS, "width": PICTURE_PIXELS}
    return BlipImageProcessor(size=edge, image_mean=PIXEL_MEAN, image_std=PIXEL_STD)


def to_unit(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 pixels (B, H, W, 3) as floats (B, 3, H, W) in [-1, 1]."""
    return torch.tensor(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
