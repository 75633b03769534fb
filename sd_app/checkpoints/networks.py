"""Which tensors a network has, by diffusers' and transformers' names, worked out from its configuration.

What a file or a folder holds is compared with this before anything is loaded: no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from .stored import Shape

Config = Mapping[str, object]  # keywords of diffusers' class of a part
Shapes = dict[str, Shape]
T = TypeVar("T")

MAX_SIDE = 200_000  # of a tensor: rows of a vocabulary
MAX_REPEATS = 96  # levels, layers and blocks of a kind
TIME_EXPANSION = 4  # columns of the time's embedding, in the first level's channels
FEED_FORWARD = 4  # inner columns of a transformer block, in the level's channels
# What other networks of diffusers' class have and no Stable Diffusion needs: of these, the default alone.
UNET_DEFAULTS: dict[str, tuple[object, ...]] = {
    "only_cross_attention": (False,),
    "dual_cross_attention": (False,),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "addition_embed_type": ("text_time", None),
    "resnet_time_scale_shift": ("default",),
    "time_embedding_type": ("positional",),
    "time_embedding_dim": (None,),
    "attention_type": ("default",),
    "mid_block_only_cross_attention": (False, None),
    "cross_attention_norm": (None,),
    "num_attention_heads": (None,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "mid_block_type": (None, "UNetMidBlock2D", "UNetMidBlock2DCrossAttn"),
}
DOWN = {"DownBlock2D": False, "CrossAttnDownBlock2D": True}  # whether its blocks attend to the text
UP = {"UpBlock2D": False, "CrossAttnUpBlock2D": True}


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """How a U-Net is built, level by level from the finest to the coarsest."""

    channels: list[int]
    layers: list[int]  # blocks on the way down; one more on the way up
    context: list[int]  # columns of the text that its attention reads
    attends: list[bool]
    attends_up: list[bool]  # from the coarsest level to the finest, as the next but one
    depths: list[list[int]]  # transformer blocks of each attention
    up_depths: list[list[int]]
    linear: bool  # attention is entered by a matrix instead of a convolution
    time: int  # columns of the time's embedding


def unet_shapes(config: Config) -> Shapes:
    """Return the tensors of a UNet2DConditionModel. Raise ValueError for what no Stable Diffusion has."""
    check_unet_kind(config)
    levels = _read_levels(config)
    first, time = levels.channels[0], levels.time
    out = _conv("conv_in", _count(config, "in_channels", 4), first)
    out |= _linear("time_embedding.linear_1", first, time) | _linear("time_embedding.linear_2", time, time)
    if config.get("time_cond_proj_dim") is not None:
        out["time_embedding.cond_proj.weight"] = (first, _count(config, "time_cond_proj_dim", 256))
    if config.get("addition_embed_type") == "text_time":
        pooled = _count(config, "projection_class_embeddings_input_dim", 2816)
        out |= _linear("add_embedding.linear_1", pooled, time) | _linear("add_embedding.linear_2", time, time)
    skips = [first]  # channels of what each block of the way up is given from the way down
    out |= _way_down(levels, skips)
    out |= _middle(levels, config.get("mid_block_type", "UNetMidBlock2DCrossAttn"))
    out |= _way_up(levels, skips)
    return out | _norm("conv_norm_out", first) | _conv("conv_out", first, _count(config, "out_channels", 4))


def check_unet_kind(config: Config) -> None:
    """Raise ValueError for a U-Net of another kind, which reads or does what no Stable Diffusion's does."""
    for name, allowed in UNET_DEFAULTS.items():
        if (value := config.get(name, allowed[-1])) not in allowed:
            raise ValueError(f"its U-Net's {name} is {value!r:.40}, which no Stable Diffusion has")


def _read_levels(config: Config) -> _Levels:
    attends = _kinds(config, "down_block_types", DOWN, ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
    attends_up = _kinds(config, "up_block_types", UP, ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3))
    count = len(attends)
    channels = _counts(config, "block_out_channels", (320, 640, 1280, 1280))
    if not len(channels) == len(attends_up) == count:
        raise ValueError("its U-Net's configuration has lists of unequal lengths")
    _check_groups(config, channels, "U-Net")
    heads = _each(_counts_or_one(config, "attention_head_dim", 8), count, "attention_head_dim")
    for width, head_count, is_used in zip(channels, heads, attends, strict=True):
        if width % head_count and is_used:
            raise ValueError(f"its U-Net's {width} channels cannot be shared by {head_count} attention heads")
    layers = _each(_counts_or_one(config, "layers_per_block", 2), count, "layers_per_block")
    if max(layers) > MAX_REPEATS:
        raise ValueError(f"its layers_per_block must be at most {MAX_REPEATS}")
    depths, up_depths = _depths(config, layers, attends, attends_up)
    return _Levels(
        channels=channels,
        layers=layers,
        context=_each(_counts_or_one(config, "cross_attention_dim", 1280), count, "cross_attention_dim"),
        attends=attends,
        attends_up=attends_up,
        depths=depths,
        up_depths=up_depths,
        linear=bool(config.get("use_linear_projection", False)),
        time=channels[0] * TIME_EXPANSION,
    )


def _way_down(levels: _Levels, skips: list[int]) -> Shapes:
    out: Shapes = {}
    for level, width in enumerate(levels.channels):
        for layer in range(levels.layers[level]):
            out |= _resnet(f"down_blocks.{level}.resnets.{layer}", skips[-1], width, levels.time)
            skips.append(width)
            if levels.attends[level]:
                name, depth = f"down_blocks.{level}.attentions.{layer}", levels.depths[level][layer]
                out |= _transformer(name, width, levels.context[level], depth, linear=levels.linear)
        if level < len(levels.channels) - 1:
            out |= _conv(f"down_blocks.{level}.downsamplers.0.conv", width, width)
            skips.append(width)
    return out


def _middle(levels: _Levels, kind: object) -> Shapes:
    width = levels.channels[-1]
    out: Shapes = {}
    if kind is not None:
        out |= _resnet("mid_block.resnets.0", width, width, levels.time)
    if kind == "UNetMidBlock2DCrossAttn":
        name, depth = "mid_block.attentions.0", levels.depths[-1][0]
        out |= _transformer(name, width, levels.context[-1], depth, linear=levels.linear)
        out |= _resnet("mid_block.resnets.1", width, width, levels.time)
    return out


def _way_up(levels: _Levels, skips: list[int]) -> Shapes:
    out: Shapes = {}
    count = len(levels.channels)
    before = levels.channels[-1]
    for step in range(count):
        level = count - 1 - step
        width = levels.channels[level]
        for layer in range(levels.layers[level] + 1):
            out |= _resnet(f"up_blocks.{step}.resnets.{layer}", before + skips.pop(), width, levels.time)
            before = width
            if levels.attends_up[step]:
                name, depth = f"up_blocks.{step}.attentions.{layer}", levels.up_depths[step][layer]
                out |= _transformer(name, width, levels.context[level], depth, linear=levels.linear)
        if level:
            out |= _conv(f"up_blocks.{step}.upsamplers.0.conv", width, width)
    return out


def vae_shapes(config: Config) -> Shapes:
    """Return the tensors of an AutoencoderKL. Raise ValueError for what no Stable Diffusion has."""
    channels = _counts(config, "block_out_channels", (64,))
    _check_groups(config, channels, "VAE")
    for key, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        kinds = config.get(key, [kind])
        if not isinstance(kinds, list | tuple) or list(kinds) != [kind] * len(channels):
            raise ValueError(f"its VAE's {key} differ from a Stable Diffusion's")
    latent = _count(config, "latent_channels", 4)
    out = _conv("encoder.conv_in", _count(config, "in_channels", 3), channels[0])
    out |= _vae_side(config, "encoder.down_blocks", channels, "downsamplers")
    out |= _norm("encoder.conv_norm_out", channels[-1])
    out |= _conv("encoder.conv_out", channels[-1], 2 * latent)
    if config.get("use_quant_conv", True):
        out |= _conv("quant_conv", 2 * latent, 2 * latent, 1)
    if config.get("use_post_quant_conv", True):
        out |= _conv("post_quant_conv", latent, latent, 1)
    out |= _conv("decoder.conv_in", latent, channels[-1])
    out |= _vae_side(config, "decoder.up_blocks", channels[::-1], "upsamplers")
    out |= _norm("decoder.conv_norm_out", channels[0])
    return out | _conv("decoder.conv_out", channels[0], _count(config, "out_channels", 3))


def _vae_side(config: Config, name: str, channels: list[int], resamplers: str) -> Shapes:
    """Return the blocks of an encoder or a decoder in its order, and its middle."""
    side = name.split(".")[0]
    middle = channels[-1] if side == "encoder" else channels[0]
    layers = _repeats(config, "layers_per_block", 1) + (side == "decoder")
    out: Shapes = {}
    for level, (before, width) in enumerate(pairwise((channels[0], *channels))):
        for layer in range(layers):
            out |= _resnet(f"{name}.{level}.resnets.{layer}", width if layer else before, width)
        if level < len(channels) - 1:
            out |= _conv(f"{name}.{level}.{resamplers}.0.conv", width, width)
    for number in (0, 1):
        out |= _resnet(f"{side}.mid_block.resnets.{number}", middle, middle)
    if config.get("mid_block_add_attention", True):
        attention = f"{side}.mid_block.attentions.0"
        out |= _norm(f"{attention}.group_norm", middle)
        for matrix in ("to_q", "to_k", "to_v", "to_out.0"):
            out |= _linear(f"{attention}.{matrix}", middle, middle)
    return out


def text_shapes(config: Config, *, projects: bool) -> Shapes:
    """Return the tensors of a CLIPTextModel, without "text_model.", or of one with a projection."""
    width, inner = _count(config, "hidden_size", 512), _count(config, "intermediate_size", 2048)
    heads = _count(config, "num_attention_heads", 8)
    if width % heads:
        raise ValueError(f"its text encoder's {width} columns cannot be shared by {heads} attention heads")
    out: Shapes = {
        "embeddings.token_embedding.weight": (_count(config, "vocab_size", 49408), width),
        "embeddings.position_embedding.weight": (_count(config, "max_position_embeddings", 77), width),
    }
    for layer in range(_repeats(config, "num_hidden_layers", 12)):
        name = f"encoder.layers.{layer}"
        for matrix in ("q_proj", "k_proj", "v_proj", "out_proj"):
            out |= _linear(f"{name}.self_attn.{matrix}", width, width)
        out |= _norm(f"{name}.layer_norm1", width) | _norm(f"{name}.layer_norm2", width)
        out |= _linear(f"{name}.mlp.fc1", width, inner) | _linear(f"{name}.mlp.fc2", inner, width)
    out |= _norm("final_layer_norm", width)
    if projects:
        out["text_projection.weight"] = (_count(config, "projection_dim", 512), width)
    return out


def _resnet(name: str, before: int, after: int, time: int = 0) -> Shapes:
    out = _norm(f"{name}.norm1", before) | _conv(f"{name}.conv1", before, after)
    if time:
        out |= _linear(f"{name}.time_emb_proj", time, after)
    out |= _norm(f"{name}.norm2", after) | _conv(f"{name}.conv2", after, after)
    return out | _conv(f"{name}.conv_shortcut", before, after, 1) if before != after else out


def _transformer(name: str, width: int, context: int, depth: int, *, linear: bool) -> Shapes:
    out = _norm(f"{name}.norm", width)
    for end in ("proj_in", "proj_out"):
        out |= _linear(f"{name}.{end}", width, width) if linear else _conv(f"{name}.{end}", width, width, 1)
    for block in range(depth):
        inner = f"{name}.transformer_blocks.{block}"
        for number in (1, 2, 3):
            out |= _norm(f"{inner}.norm{number}", width)
        for attention, columns in (("attn1", width), ("attn2", context)):
            out[f"{inner}.{attention}.to_q.weight"] = (width, width)
            out[f"{inner}.{attention}.to_k.weight"] = (width, columns)
            out[f"{inner}.{attention}.to_v.weight"] = (width, columns)
            out |= _linear(f"{inner}.{attention}.to_out.0", width, width)
        # GEGLU's gate doubles the first matrix (Shazeer 2020).
        out |= _linear(f"{inner}.ff.net.0.proj", width, 2 * FEED_FORWARD * width)
        out |= _linear(f"{inner}.ff.net.2", FEED_FORWARD * width, width)
    return out


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, before: int, after: int) -> Shapes:
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def _conv(name: str, before: int, after: int, kernel: int = 3) -> Shapes:
    return {f"{name}.weight": (after, before, kernel, kernel), f"{name}.bias": (after,)}


def _depths(
    config: Config, layers: list[int], attends: list[bool], attends_up: list[bool]
) -> tuple[list[list[int]], list[list[int]]]:
    """Return how many transformer blocks each attention has, by level down and by step up."""
    given = config.get("transformer_layers_per_block", 1)
    wanted = [number if used else 1 for number, used in zip(layers, attends, strict=True)]
    down = _nested(given, "transformer_layers_per_block", wanted)
    turned = config.get("reverse_transformer_layers_per_block")
    more = [number + 1 for number in reversed(layers)]
    if turned is not None:
        wanted = [number if used else 1 for number, used in zip(more, attends_up, strict=True)]
        return down, _nested(turned, "reverse_transformer_layers_per_block", wanted)
    if isinstance(given, list | tuple) and any(isinstance(level, list | tuple) for level in given):
        raise ValueError("its U-Net's configuration does not say how deep its way up is")
    flat = [level[0] for level in reversed(down)]
    return down, [[depth] * number for depth, number in zip(flat, more, strict=True)]


def _nested(given: object, name: str, lengths: list[int]) -> list[list[int]]:
    """Return a list for each level: of one number, as often as the level has blocks; of a list, that one."""
    levels = _each(list(given) if isinstance(given, list | tuple) else given, len(lengths), name)
    out: list[list[int]] = []
    for level, length in zip(levels, lengths, strict=True):
        numbers: list[object] = list(level) if isinstance(level, list | tuple) else [level] * length
        depths = [one for one in numbers if type(one) is int and 0 <= one <= MAX_REPEATS]
        if len(depths) != len(numbers) or len(numbers) < length:
            raise ValueError(f"its U-Net's {name} must hold numbers from 0 to {MAX_REPEATS} for each level")
        out.append(depths or [0])
    return out


def _each(value: list[T] | T, count: int, name: str) -> list[T]:
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"its U-Net's {name} must have {count} entries, one for each level")
    return value


def _kinds(config: Config, name: str, known: Mapping[str, bool], default: tuple[str, ...]) -> list[bool]:
    kinds = config.get(name, default)
    if not isinstance(kinds, list | tuple) or not 1 <= len(kinds) <= MAX_REPEATS:
        raise ValueError(f"its U-Net's {name} must be a list of kinds of blocks")
    if odd := [kind for kind in kinds if not isinstance(kind, str) or kind not in known]:
        raise ValueError(f"its U-Net has blocks of the kind {odd[0]!r:.40}, which no Stable Diffusion has")
    return [known[kind] for kind in kinds]


def _check_groups(config: Config, channels: list[int], part: str) -> None:
    groups = _count(config, "norm_num_groups", 32)
    if odd := [width for width in channels if width % groups]:
        raise ValueError(f"its {part}'s {odd[0]} channels cannot be normalised in {groups} groups")


def _counts_or_one(config: Config, name: str, default: int) -> list[int] | int:
    value = config.get(name, default)
    return _counts(config, name, ()) if isinstance(value, list | tuple) else _count(config, name, default)


def _counts(config: Config, name: str, default: tuple[int, ...]) -> list[int]:
    values = config.get(name, default)
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MAX_REPEATS:
        raise ValueError(f"its {name} must be a list of whole numbers")
    return [_checked(value, name) for value in values]


def _count(config: Config, name: str, default: int) -> int:
    return _checked(config.get(name, default), name)


def _repeats(config: Config, name: str, default: int) -> int:
    if (number := _count(config, name, default)) > MAX_REPEATS:
        raise ValueError(f"its {name} must be at most {MAX_REPEATS}, got {number}")
    return number


def _checked(value: object, name: str) -> int:
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise ValueError(f"its {name} must be a whole number from 1 to {MAX_SIDE:,}")
    return value
