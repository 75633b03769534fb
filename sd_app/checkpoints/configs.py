"""A checkpoint's architecture as diffusers and transformers write it, read from its tensors' shapes.

What shapes cannot say are facts of each family: heads, activations, the VAE's factor, the noise schedule.
"""

import re
from collections import defaultdict
from typing import TypedDict

from .stored import Sources

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
SD2_LAYERS = 23  # of its text encoder's 24, Stable Diffusion 2 reads the last but one
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

_BLOCK = re.compile(
    r"(down_blocks|up_blocks)\.(\d{1,3})\.(resnets|attentions)\.(\d{1,3})\.(?:transformer_blocks\.(\d{1,3})\.)?"
)
_MIDDLE = re.compile(r"mid_block\.attentions\.0\.transformer_blocks\.(\d{1,3})\.")
_LAYER = re.compile(r"encoder\.layers\.(\d{1,3})\.")


def unet_structure(found: Sources) -> Config:
    """Read a U-Net's levels, blocks and depths off its tensors. Raise ValueError for what cannot be one.

    Pruned ones, SSD-1B or KOALA say, have fewer blocks, attention of unequal depths, or no middle.
    """
    layers: dict[str, dict[int, int]] = {"down_blocks": defaultdict(int), "up_blocks": defaultdict(int)}
    deep: dict[str, dict[int, dict[int, int]]] = {side: defaultdict(dict) for side in layers}
    for name in found:
        if match := _BLOCK.match(name):
            side, level, kind, layer = match[1], int(match[2]), match[3], int(match[4])
            if kind == "resnets":
                layers[side][level] = max(layers[side][level], layer + 1)
            else:
                depth = 0 if match[5] is None else int(match[5]) + 1
                deep[side][level][layer] = max(deep[side][level].get(layer, 0), depth)
    count = len(layers["down_blocks"])
    if not count or any(sorted(side) != list(range(count)) for side in layers.values()):
        raise ValueError("its U-Net has a level without a block, which no Stable Diffusion has")
    down = [_depths(deep["down_blocks"][level], layers["down_blocks"][level]) for level in range(count)]
    up = [_depths(deep["up_blocks"][level], layers["up_blocks"][level]) for level in range(count)]
    numbers = [layers["down_blocks"][level] for level in range(count)]
    if [layers["up_blocks"][level] for level in range(count)] != [one + 1 for one in reversed(numbers)]:
        raise ValueError("its U-Net has other numbers of blocks on the way up than a Stable Diffusion")
    middle = max((int(match[1]) + 1 for name in found if (match := _MIDDLE.match(name))), default=0)
    return {
        "in_channels": side_of(found, "conv_in.weight", 1),
        "out_channels": side_of(found, "conv_out.weight", 0),
        "block_out_channels": tuple(
            side_of(found, f"down_blocks.{level}.resnets.0.conv1.weight", 0) for level in range(count)
        ),
        "layers_per_block": numbers[0] if len(set(numbers)) == 1 else numbers,
        "down_block_types": tuple("CrossAttnDownBlock2D" if level else "DownBlock2D" for level in down),
        "up_block_types": tuple("CrossAttnUpBlock2D" if level else "UpBlock2D" for level in up),
        "mid_block_type": _middle_kind(found),
        **_depth_config(down, up, middle),
        "cross_attention_dim": context_width(found),
        "use_linear_projection": is_linear(found),
    }


def _depths(attentions: dict[int, int], layers: int) -> list[int]:
    """Return the depths of a level's attentions; none for a level without. Raise ValueError for a mixture."""
    if attentions and sorted(attentions) != list(range(layers)):
        raise ValueError("its U-Net attends to the text in some blocks of a level only")
    return [attentions[layer] for layer in sorted(attentions)]


def _depth_config(down: list[list[int]], up: list[list[int]], middle: int) -> Config:
    """Word depths as diffusers does: a number for each level if all of a level are alike both ways."""
    alike = [level[0] if level else 1 for level in down]
    if not down[-1]:  # the middle is made as deep as the last entry says
        alike[-1] = middle or 1
    turned = reversed(alike)
    if all(set(level) <= {depth} for level, depth in zip(down, alike, strict=True)) and all(
        set(level) <= {depth} for level, depth in zip(up, turned, strict=True)
    ):
        if middle in (0, alike[-1]):
            return {"transformer_layers_per_block": alike}
        raise ValueError("its U-Net's middle is of another depth than its last level, which cannot be built")
    nested = [level or [1] for level in down]
    if not down[-1]:
        nested[-1] = [middle or 1]
    if middle not in (0, nested[-1][0]):
        raise ValueError("its U-Net's middle is of another depth than its last level, which cannot be built")
    return {
        "transformer_layers_per_block": nested,
        "reverse_transformer_layers_per_block": [level or [1] for level in up],
    }


def _middle_kind(found: Sources) -> str | None:
    if "mid_block.attentions.0.norm.weight" in found:
        return "UNetMidBlock2DCrossAttn"
    return "UNetMidBlock2D" if "mid_block.resnets.0.conv1.weight" in found else None


def context_width(found: Sources) -> int:
    """Return how many columns of the prompt's embedding a U-Net reads. Raise ValueError if it reads none."""
    for name in found:
        if name.endswith("transformer_blocks.0.attn2.to_k.weight"):
            return side_of(found, name, 1)
    raise ValueError("its U-Net attends to no text, which no Stable Diffusion does")


def is_linear(found: Sources) -> bool:
    """Tell whether a U-Net's attention is entered by a matrix, as SD 2's and SDXL's, or by a convolution."""
    return any(name.endswith(".proj_in.weight") and len(found[name].shape) == 2 for name in found)


def unet_config(found: Sources, family: str, native_size: int = 512) -> Config:
    """Return the configuration of a U-Net known by its tensors alone."""
    structure = unet_structure(found)
    channels = structure["block_out_channels"]
    assert isinstance(channels, tuple)
    config: Config = {
        "sample_size": native_size // 8,
        **structure,
        # diffusers calls the number of heads so.
        "attention_head_dim": SD1_HEADS
        if family == "sd1"
        else [max(1, count // HEAD_SIZE) for count in channels],
        "norm_num_groups": GROUPS,
    }
    if "time_embedding.cond_proj.weight" in found:
        config["time_cond_proj_dim"] = side_of(found, "time_embedding.cond_proj.weight", 1)
    if family == "sdxl":
        # Sizes and crop are six numbers of 256 channels each, beside the pooled prompt (Podell et al. 2023).
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": side_of(found, "add_embedding.linear_1.weight", 1),
        }
    return config


def vae_structure(found: Sources) -> Config:
    """Read a VAE's levels and layers off its encoder, and what some leave out."""
    blocks = [
        (int(match[1]), int(match[2]))
        for name in found
        if (match := re.match(r"encoder\.down_blocks\.(\d{1,3})\.resnets\.(\d{1,3})\.", name))
    ]
    levels = max((level for level, _ in blocks), default=-1) + 1
    if not levels:
        raise ValueError("its VAE lacks the encoder")
    return {
        "in_channels": side_of(found, "encoder.conv_in.weight", 1),
        "out_channels": side_of(found, "decoder.conv_out.weight", 0),
        "block_out_channels": tuple(
            side_of(found, f"encoder.down_blocks.{level}.resnets.0.conv1.weight", 0)
            for level in range(levels)
        ),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": max(layer for _, layer in blocks) + 1,
        "latent_channels": side_of(found, "decoder.conv_in.weight", 1),
        **vae_leaves_out(found),
    }


def vae_leaves_out(found: Sources) -> Config:
    """Return which of the optional parts a VAE has."""
    return {
        "mid_block_add_attention": any(name.startswith("decoder.mid_block.attentions.") for name in found),
        "use_quant_conv": "quant_conv.weight" in found,
        "use_post_quant_conv": "post_quant_conv.weight" in found,
    }


def vae_config(found: Sources, family: str) -> Config:
    """Return the configuration of a VAE known by its tensors alone."""
    return {
        **vae_structure(found),
        "sample_size": 1024 if family == "sdxl" else 512,
        "scaling_factor": SCALING_FACTORS[family],
        "force_upcast": True,  # SDXL's overflows in fp16; the other families' pipelines do not ask
        "norm_num_groups": GROUPS,
    }


def text_config(found: Sources, family: str, number: int) -> TextConfig:
    """Return the configuration of a family's text encoder of that number, 0 or 1."""
    hidden_size = side_of(found, "embeddings.token_embedding.weight", 1)
    positions = side_of(found, "embeddings.position_embedding.weight", 0)
    if positions != TEXT_POSITIONS:
        raise ValueError(
            f"its text encoder reads {positions} tokens at once (only {TEXT_POSITIONS} are known)"
        )
    # OpenAI's CLIP, which Stable Diffusion 1 has and SDXL has first, or one of open_clip's.
    is_openai = family == "sd1" or (family == "sdxl" and number == 0)
    projection = found.get("text_projection.weight")
    return {
        "vocab_size": side_of(found, "embeddings.token_embedding.weight", 0),
        "hidden_size": hidden_size,
        "intermediate_size": side_of(found, "encoder.layers.0.mlp.fc1.weight", 0),
        "num_hidden_layers": text_layers(found, family),
        "num_attention_heads": max(1, hidden_size // HEAD_SIZE),
        "max_position_embeddings": positions,
        "projection_dim": projection.shape[0] if projection and projection.shape else hidden_size,
        "hidden_act": "quick_gelu" if is_openai else "gelu",
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407 if is_openai else 0,
    }


def text_layers(found: Sources, family: str) -> int:
    """Return how many of a text encoder's layers are read.

    Stable Diffusion 2 reads the last but one of open_clip's. Some files hold all of that encoder, its
    projection too; converters write the 23 that are read, and those stay.
    """
    layers = max((int(match[1]) + 1 for name in found if (match := _LAYER.match(name))), default=0)
    if family != "sd2" or layers == SD2_LAYERS:
        return layers
    is_whole = layers == SD2_LAYERS + 1 or "text_projection.weight" in found or "logit_scale" in found
    return layers - is_whole


def side_of(found: Sources, name: str, index: int) -> int:
    """Return one side of a tensor, counted from 0. Raise ValueError if there is none."""
    if name not in found:
        raise ValueError(f"it lacks the tensor {name}")
    shape = found[name].shape
    if index >= len(shape):
        raise ValueError(f"its tensor {name} has the shape {shape}, which no known model has")
    return shape[index]
