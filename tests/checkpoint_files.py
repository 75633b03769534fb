"""Single-file checkpoints with random weights, under the original names by an inverse of its own."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.configuration_utils import FrozenDict
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

Tensors = dict[str, Tensor]

ENCODER_PREFIXES = {
    "sd1": ("cond_stage_model.transformer.",),
    "sd2": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
}
_ATTENTION = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D")


class Parts(NamedTuple):
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoders: tuple[CLIPTextModel, ...]


def unet_config(family: str, *, full: bool, in_channels: int = 4) -> dict[str, object]:
    """Return the configuration that the family's own repository has, or one of two levels."""
    attention = {"sd1": [1, 1, 1, 0], "sd2": [1, 1, 1, 0], "sdxl": [0, 2, 10]}[family]
    channels = [320, 640, 1280, 1280][: len(attention)]
    cross_attention_dim, pooled = {"sd1": (768, 0), "sd2": (1024, 0), "sdxl": (2048, 1280)}[family]
    if not full:
        attention = {"sd1": [1, 0], "sd2": [1, 0], "sdxl": [0, 2]}[family]
        channels = [32, 64] if family == "sd1" else [64, 128]
        cross_attention_dim, pooled = (192, 128) if family == "sdxl" else (64, 0)
    config: dict[str, object] = {
        "sample_size": (96 if family == "sd2" else 128 if family == "sdxl" else 64) if full else 8,
        "in_channels": in_channels,
        "block_out_channels": tuple(channels),
        "layers_per_block": 2,
        "down_block_types": tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        "up_block_types": tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        "transformer_layers_per_block": [a or 1 for a in attention],
        "cross_attention_dim": cross_attention_dim,
        "attention_head_dim": 8 if family == "sd1" else [c // 64 for c in channels],
        "use_linear_projection": family != "sd1",
    }
    if family == "sdxl":
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 6 * 256 + pooled,
        }
    return config


def vae_config(*, full: bool) -> dict[str, object]:
    return {
        "block_out_channels": (128, 256, 512, 512) if full else (32,) * 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2 if full else 1,
        "latent_channels": 4,
    }


def text_configs(family: str, *, full: bool) -> list[dict[str, object]]:
    clip_l, clip_h, clip_g = (768, 12, "quick_gelu"), (1024, 24, "gelu"), (1280, 32, "gelu")
    towers = {"sd1": [clip_l], "sd2": [clip_h], "sdxl": [clip_l, clip_g]}[family]
    if not full:
        towers = [(64 * (1 + i), 3, activation) for i, (_, _, activation) in enumerate(towers)]
    return [
        {
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "hidden_act": activation,
            "intermediate_size": 4 * hidden,
            "num_attention_heads": hidden // 64,
            "projection_dim": hidden,
            "eos_token_id": 49407,
        }
        for hidden, layers, activation in towers
    ]


def make_parts(family: str, *, full: bool = False, in_channels: int = 4, seed: int = 0) -> Parts:
    """Make a checkpoint's networks with random weights; on the meta device inside init_empty_weights()."""
    torch.manual_seed(seed)
    classes = (CLIPTextModel, CLIPTextModelWithProjection)
    configs = text_configs(family, full=full)
    return Parts(
        UNet2DConditionModel(**unet_config(family, full=full, in_channels=in_channels)),
        AutoencoderKL(**vae_config(full=full)),
        tuple(made(CLIPTextConfig(**config)) for made, config in zip(classes, configs, strict=False)),
    )


def original_tensors(family: str, parts: Parts) -> Tensors:
    """Return all weights under the names of the original repositories."""
    config = parts.unet.config
    tensors = {
        f"model.diffusion_model.{original_unet_name(name, config)}": tensor
        for name, tensor in parts.unet.state_dict().items()
    }
    levels = len(parts.vae.config.block_out_channels)
    for name, tensor in parts.vae.state_dict().items():
        is_linear = "attentions" in name and tensor.ndim == 2
        tensors[f"first_stage_model.{original_vae_name(name, levels)}"] = (
            tensor[:, :, None, None] if is_linear else tensor
        )
    for prefix, encoder in zip(ENCODER_PREFIXES[family], parts.text_encoders, strict=True):
        plain = {name.removeprefix("text_model."): t for name, t in encoder.state_dict().items()}
        if prefix.endswith("transformer."):
            tensors |= {f"{prefix}text_model.{name}": tensor for name, tensor in plain.items()}
            tensors[f"{prefix}text_model.embeddings.position_ids"] = torch.arange(77)[None]
        else:
            plain.setdefault("text_projection.weight", torch.eye(encoder.config.hidden_size))
            tensors |= {prefix + name: tensor for name, tensor in open_clip_tensors(plain).items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def original_unet_name(name: str, config: FrozenDict) -> str:
    """Turn diffusers' name of a U-Net's tensor into the original one."""
    for new, old in (
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"),
        ("add_embedding.linear_2", "label_emb.0.2"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
        ("conv_in", "input_blocks.0.0"),
        ("mid_block.resnets.0", "middle_block.0"),
        ("mid_block.attentions.0", "middle_block.1"),
        ("mid_block.resnets.1", "middle_block.2"),
    ):
        if name.startswith(new + "."):
            return _resnet(name.replace(new, old, 1), old.startswith("middle_block"))
    side, block, kind, layer, rest = re.fullmatch(  # type: ignore[union-attr]
        r"(down|up)_blocks\.(\d+)\.(\w+?)\.(\d+)\.(.+)", name
    ).groups()
    stride = config.layers_per_block + 1
    if kind == "downsamplers":
        return f"input_blocks.{(int(block) + 1) * stride}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        at = 2 if config.up_block_types[int(block)] in _ATTENTION else 1
        return f"output_blocks.{int(block) * stride + stride - 1}.{at}.{rest}"
    number = int(block) * stride + int(layer) + (side == "down")
    place = f"{'input' if side == 'down' else 'output'}_blocks.{number}.{int(kind == 'attentions')}"
    return _resnet(f"{place}.{rest}", kind == "resnets")


def _resnet(name: str, is_resnet: bool) -> str:
    if not is_resnet:
        return name
    for new, old in (
        ("norm1", "in_layers.0"),
        ("conv1", "in_layers.2"),
        ("norm2", "out_layers.0"),
        ("conv2", "out_layers.3"),
        ("time_emb_proj", "emb_layers.1"),
        ("conv_shortcut", "skip_connection"),
    ):
        name = re.sub(rf"^((?:input|output|middle)_blocks?\.\d+(?:\.0)?)\.{new}\.", rf"\1.{old}.", name)
    return name


def original_vae_name(name: str, levels: int) -> str:
    """Turn diffusers' name of a VAE's tensor into the original one."""
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.resnets\.", r"encoder.down.\1.block.", name)
    name = re.sub(r"encoder\.down_blocks\.(\d+)\.downsamplers\.0\.", r"encoder.down.\1.downsample.", name)
    name = re.sub(r"decoder\.up_blocks\.(\d+)\.", lambda m: f"decoder.up.{levels - 1 - int(m[1])}.", name)
    name = name.replace(".upsamplers.0.", ".upsample.")
    name = re.sub(r"(decoder\.up\.\d+)\.resnets\.", r"\1.block.", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1")
    for new, old in (
        ("group_norm", "norm"),
        ("to_q", "q"),
        ("to_k", "k"),
        ("to_v", "v"),
        ("to_out.0", "proj_out"),
        ("conv_norm_out", "norm_out"),
        ("conv_shortcut", "nin_shortcut"),
    ):
        name = name.replace(f".{new}.", f".{old}.")
    return name


def open_clip_tensors(plain: Tensors) -> Tensors:
    """Turn a text encoder's tensors into open_clip's: q, k, v in one, the projection the other way round."""
    found: Tensors = {"logit_scale": torch.tensor(4.6)}
    for name, tensor in plain.items():
        if ".self_attn.k_proj" in name or ".self_attn.v_proj" in name:
            continue
        layer = re.sub(r"^encoder\.layers\.(\d+)\.", r"transformer.resblocks.\1.", name)
        layer = layer.replace(".layer_norm", ".ln_").replace(".fc1.", ".c_fc.").replace(".fc2.", ".c_proj.")
        layer = layer.replace(".self_attn.out_proj", ".attn.out_proj")
        if ".self_attn.q_proj." in name:
            layer = layer.replace(".self_attn.q_proj.", ".attn.in_proj_")
            tensor = torch.cat([plain[name.replace("q_proj", f"{x}_proj")] for x in "qkv"])
        layer = layer.replace("final_layer_norm", "ln_final")
        layer = layer.replace("embeddings.token_embedding", "token_embedding")
        layer = layer.replace("embeddings.position_embedding.weight", "positional_embedding")
        if layer == "text_projection.weight":
            layer, tensor = "text_projection", tensor.T
        found[layer] = tensor
    return found


def write_checkpoint(
    path: Path,
    family: str,
    *,
    full: bool = False,
    in_channels: int = 4,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    metadata: dict[str, str] | None = None,
) -> Parts:
    """Write a checkpoint file of random weights; return its parts, in the file's dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # SDXL's in float32 would take 14 GB
    try:
        parts = make_parts(family, full=full, in_channels=in_channels, seed=seed)
    finally:
        torch.set_default_dtype(before)
    for part in (parts.unet, parts.vae, *parts.text_encoders):
        torch.nn.Module.to(part, dtype).eval()
    save_file(original_tensors(family, parts), path, metadata)
    return parts


def write_hollow(
    path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: dict[str, str] | None = None
) -> Path:
    """Write a file with a true header for float16 tensors, and a hole where their bytes should be."""
    entries: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        entries[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + end)
    return path


def original_shapes(family: str, *, full: bool = True, in_channels: int = 4) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a checkpoint's tensors; nothing is allocated."""
    with init_empty_weights():
        parts = make_parts(family, full=full, in_channels=in_channels)
    tensors = original_tensors(family, parts)
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
