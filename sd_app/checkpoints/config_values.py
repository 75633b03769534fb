"""What a folder's configurations may say beside a network's shape: each value's kind, and which keys count.

Whatever else stands in them, a trainer's notes or the version of a library, is not read.
"""

from collections.abc import Callable, Mapping
from math import isfinite

Test = Callable[[object], bool]
MAX_SIDE = 8192  # of latents, or of the pictures a VAE was trained on


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_positive(value: object) -> bool:
    return _is_number(value) and isinstance(value, int | float) and value > 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _is_share(value: object) -> bool:
    return _is_number(value) and isinstance(value, int | float) and 0 <= value < 1


def _is_side(value: object) -> bool:
    sides = value if isinstance(value, list) else [value]
    return value is None or (
        len(sides) in (1, 2) and all(type(side) is int and 0 < side <= MAX_SIDE for side in sides)
    )


def _is_factor(value: object) -> bool:
    """Tell a VAE's factor: latents divided by far less or more are nothing but white or grey."""
    return _is_number(value) and isinstance(value, int | float) and 0.01 <= value <= 100


def _is_same_for_all(nothing: float) -> Test:
    """Pass what normalises no latents: only the one factor is known here."""
    return lambda value: value is None or (isinstance(value, list) and all(one == nothing for one in value))


def _is_number_or_none(value: object) -> bool:
    return value is None or _is_number(value)


def _one_of(*known: object) -> Test:
    return lambda value: isinstance(value, str | None) and value in known


def _anything(value: object) -> bool:
    """Pass what networks.py checks."""
    return True


_ACTIVATIONS = ("silu", "swish", "mish", "gelu", "relu")
UNET: Mapping[str, Test] = {
    **dict.fromkeys(("in_channels", "out_channels", "block_out_channels", "layers_per_block"), _anything),
    **dict.fromkeys(("down_block_types", "mid_block_type", "up_block_types", "norm_num_groups"), _anything),
    **dict.fromkeys(("cross_attention_dim", "attention_head_dim", "time_cond_proj_dim"), _anything),
    **dict.fromkeys(("transformer_layers_per_block", "reverse_transformer_layers_per_block"), _anything),
    **dict.fromkeys(("only_cross_attention", "dual_cross_attention", "class_embed_type"), _anything),
    **dict.fromkeys(("num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type"), _anything),
    **dict.fromkeys(("addition_embed_type", "projection_class_embeddings_input_dim"), _anything),
    **dict.fromkeys(("resnet_time_scale_shift", "time_embedding_type", "time_embedding_dim"), _anything),
    **dict.fromkeys(("attention_type", "mid_block_only_cross_attention"), _anything),
    **dict.fromkeys(("cross_attention_norm", "num_attention_heads"), _anything),
    **dict.fromkeys(("conv_in_kernel", "conv_out_kernel"), _anything),
    "sample_size": _is_side,
    **dict.fromkeys(("center_input_sample", "flip_sin_to_cos", "use_linear_projection"), _is_bool),
    **dict.fromkeys(("resnet_skip_time_act", "class_embeddings_concat"), _is_bool),
    "upcast_attention": lambda value: value is None or isinstance(value, bool),
    **dict.fromkeys(("freq_shift", "downsample_padding", "addition_embed_type_num_heads"), _is_whole),
    **dict.fromkeys(("mid_block_scale_factor", "resnet_out_scale_factor", "norm_eps"), _is_positive),
    "dropout": _is_share,
    "addition_time_embed_dim": lambda value: value is None or (_is_whole(value) and value != 0),
    "act_fn": _one_of(*_ACTIVATIONS),
    **dict.fromkeys(("time_embedding_act_fn", "timestep_post_act"), _one_of(None, *_ACTIVATIONS)),
}
VAE: Mapping[str, Test] = {
    **dict.fromkeys(("in_channels", "out_channels", "block_out_channels", "layers_per_block"), _anything),
    **dict.fromkeys(("down_block_types", "up_block_types", "norm_num_groups", "latent_channels"), _anything),
    **dict.fromkeys(("use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"), _anything),
    "sample_size": _is_side,
    "act_fn": _one_of(*_ACTIVATIONS),
    "scaling_factor": _is_factor,
    "shift_factor": _is_number_or_none,
    "force_upcast": _is_bool,
    "latents_mean": _is_same_for_all(0),  # Playground 2.5 has others
    "latents_std": _is_same_for_all(1),
}
TEXT: Mapping[str, Test] = {
    **dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size", "projection_dim"), _anything),
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads"), _anything),
    "max_position_embeddings": lambda value: _is_whole(value) and isinstance(value, int) and value >= 77,
    "hidden_act": _one_of("quick_gelu", "gelu", "gelu_new", "relu", "silu"),
    "layer_norm_eps": _is_positive,
    "attention_dropout": _is_share,
    **dict.fromkeys(("bos_token_id", "eos_token_id"), _is_whole),
    "pad_token_id": lambda value: value is None or _is_whole(value),
}
KEYS: Mapping[str, Mapping[str, Test]] = {
    "unet": UNET,
    "vae": VAE,
    "text_encoder": TEXT,
    "text_encoder_2": TEXT,
}


def read_values(config: Mapping[str, object], part: str) -> dict[str, object]:
    """Return what counts of a part's configuration. Raise ValueError naming a value that cannot be."""
    known = KEYS[part]
    for name, test in known.items():
        if name in config and not test(config[name]):
            raise ValueError(f"the {name} in its {part}'s config.json cannot be {config[name]!r:.40}")
    return {name: config[name] for name in known if name in config}
