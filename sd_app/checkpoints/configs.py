"""A checkpoint's architecture as diffusers and transformers write it, read from its tensors' shapes.

What shapes cannot say are facts of each family: heads, activations, the VAE's factor, the noise schedule.
"""

from dataclasses import dataclass
from typing import TypedDict

from .file_facts import FileFacts
from .header import Header
from .kinds import TEXT_ENCODERS, UNET, VAE

Config = dict[str, object]  # keywords of diffusers' class of a part


class TextConfig(TypedDict):
    """Keywords of transformers' CLIPTextConfig."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    projection_dim: int
    hidden_act: str  # "quick_gelu" or "gelu"
    bos_token_id: int
    eos_token_id: int
    pad_token_id: int


TEXT_POSITIONS = 77
HEAD_SIZE = 64  # channels of an attention head: of all text encoders, and of SD 2's and SDXL's U-Net
SD1_HEADS = 8  # of every attention in Stable Diffusion 1's U-Net
GROUPS = 32  # of the group norms
SCALING_FACTORS = {"sd1": 0.18215, "sd2": 0.18215, "sdxl": 0.13025}

# Stable Diffusion's noise (Rombach et al. 2022), the same for all families.
SCHEDULER: Config = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
# What a U-Net trained up to pure noise needs (Lin et al. 2023, arXiv 2305.08891).
ZERO_SNR: Config = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@dataclass(frozen=True, kw_only=True)
class Configs:
    """The configurations of a checkpoint's parts."""

    unet: Config
    vae: Config
    text_encoders: tuple[TextConfig, ...]  # one for each of TEXT_ENCODERS[family]
    scheduler: Config


def make_configs(header: Header, facts: FileFacts) -> Configs:
    """Return the configurations of a checkpoint's parts. Raise ValueError where a tensor is missing."""
    return Configs(
        unet=unet_config(header, facts),
        vae=vae_config(header, facts.family),
        text_encoders=tuple(
            text_config(header, prefix, facts.family) for prefix in TEXT_ENCODERS[facts.family]
        ),
        scheduler=SCHEDULER
        | {"prediction_type": facts.prediction_type}
        | (ZERO_SNR if facts.zero_snr else {}),
    )


def unet_config(header: Header, facts: FileFacts) -> Config:
    """Read the U-Net's levels off input_blocks: blocks with or without attention, then a step down."""
    blocks = header.count(UNET + "input_blocks.{}.")
    levels: list[list[int]] = [[]]  # of each level, the blocks
    for number in range(1, blocks):
        if f"{UNET}input_blocks.{number}.0.op.weight" in header.shapes:
            levels.append([])
        else:
            levels[-1].append(number)
    if not all(levels):
        raise ValueError("its U-Net has a level without a block, which no Stable Diffusion has")
    depths = [header.count(f"{UNET}input_blocks.{level[0]}.1.transformer_blocks.{{}}.") for level in levels]
    channels = [header.side(f"{UNET}input_blocks.{level[0]}.0.out_layers.3.weight", 0) for level in levels]
    attention = f"{UNET}middle_block.1."
    config: Config = {
        "sample_size": facts.native_size // 8,
        "in_channels": facts.in_channels,
        "out_channels": header.side(f"{UNET}out.2.weight", 0),
        "block_out_channels": tuple(channels),
        "layers_per_block": len(levels[0]),
        "down_block_types": tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths),
        "up_block_types": tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)),
        # The middle block is made as deep as the last entry says.
        "transformer_layers_per_block": [
            *(depth or 1 for depth in depths[:-1]),
            header.count(attention + "transformer_blocks.{}."),
        ],
        "cross_attention_dim": header.side(attention + "transformer_blocks.0.attn2.to_k.weight", 1),
        # diffusers calls the number of heads so.
        "attention_head_dim": SD1_HEADS
        if facts.family == "sd1"
        else [max(1, count // HEAD_SIZE) for count in channels],
        "use_linear_projection": len(header.shape(attention + "proj_in.weight")) == 2,
        "norm_num_groups": GROUPS,
    }
    if facts.family == "sdxl":
        # Sizes and crop are six numbers of 256 channels each, beside the pooled prompt (Podell et al. 2023).
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": header.side(f"{UNET}label_emb.0.0.weight", 1),
        }
    return config


def vae_config(header: Header, family: str) -> Config:
    """Read the VAE's levels off the encoder."""
    levels = header.count(VAE + "encoder.down.{}.")
    channels = [header.side(f"{VAE}encoder.down.{level}.block.0.conv2.weight", 0) for level in range(levels)]
    return {
        "block_out_channels": tuple(channels),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": header.count(VAE + "encoder.down.0.block.{}."),
        "latent_channels": header.side(f"{VAE}post_quant_conv.weight", 0),
        "sample_size": 1024 if family == "sdxl" else 512,
        "scaling_factor": SCALING_FACTORS[family],
        "force_upcast": True,  # SDXL's overflows in fp16; the other families' pipelines do not ask
        "norm_num_groups": GROUPS,
    }


def text_config(header: Header, prefix: str, family: str) -> TextConfig:
    """Read a text encoder's size, under transformers' names or open_clip's."""
    if prefix.endswith(".transformer."):
        return clip_config(header, prefix)
    config = open_clip_config(header, prefix)
    # Stable Diffusion 2 reads the last layer but one, so its encoder ends there.
    config["num_hidden_layers"] -= family == "sd2"
    return config


def clip_config(header: Header, prefix: str) -> TextConfig:
    """Read a text encoder under transformers' names; some trainers leave "text_model." out."""
    inner = prefix if f"{prefix}final_layer_norm.weight" in header.shapes else f"{prefix}text_model."
    layers = inner + "encoder.layers.{}."
    tokens = f"{inner}embeddings.token_embedding.weight"
    hidden_size = header.side(tokens, 1)
    return _text_config(
        vocab_size=header.side(tokens, 0),
        hidden_size=hidden_size,
        positions=header.side(f"{inner}embeddings.position_embedding.weight", 0),
        intermediate_size=header.side(layers.format(0) + "mlp.fc1.weight", 0),
        num_hidden_layers=header.count(layers),
        hidden_act="quick_gelu",
        projection_dim=hidden_size,
    )


def open_clip_config(header: Header, prefix: str) -> TextConfig:
    """Read a text encoder under open_clip's names."""
    layers = prefix + "transformer.resblocks.{}."
    tokens = f"{prefix}token_embedding.weight"
    projection = f"{prefix}text_projection"
    hidden_size = header.side(tokens, 1)
    return _text_config(
        vocab_size=header.side(tokens, 0),
        hidden_size=hidden_size,
        positions=header.side(f"{prefix}positional_embedding", 0),
        intermediate_size=header.side(layers.format(0) + "mlp.c_fc.weight", 0),
        num_hidden_layers=header.count(layers),
        hidden_act="gelu",
        projection_dim=header.side(projection, 1) if projection in header.shapes else hidden_size,
    )


def _text_config(
    *,
    vocab_size: int,
    hidden_size: int,
    positions: int,
    intermediate_size: int,
    num_hidden_layers: int,
    hidden_act: str,
    projection_dim: int,
) -> TextConfig:
    if positions != TEXT_POSITIONS:
        raise ValueError(
            f"its text encoder reads {positions} tokens at once (only {TEXT_POSITIONS} are known)"
        )
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size,
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": max(1, hidden_size // HEAD_SIZE),
        "max_position_embeddings": positions,
        "projection_dim": projection_dim,
        "hidden_act": hidden_act,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407 if hidden_act == "quick_gelu" else 0,
    }
