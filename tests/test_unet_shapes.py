"""What a U-Net's configuration says of its tensors, beside the network that diffusers builds of it."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding

from sd_app.checkpoints.configs import _depth_config
from sd_app.checkpoints.networks import unet_shapes
from sd_app.generation.conditioning import embed_guidance

SMALL: dict[str, Any] = {
    "block_out_channels": (16, 32, 48),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3,
}
EACH = {
    "one context for all": {"cross_attention_dim": 24},
    "a context for each level": {"cross_attention_dim": (16, 24, 40)},
    "layers for each level": {"cross_attention_dim": 24, "layers_per_block": (1, 2, 1)},
    "depths for each level": {"cross_attention_dim": 24, "transformer_layers_per_block": (1, 2, 3)},
    "heads for each level": {"cross_attention_dim": 24, "attention_head_dim": (2, 4, 8)},
    "matrices at the entrance": {"cross_attention_dim": 24, "use_linear_projection": True},
    "no middle": {"cross_attention_dim": 24, "mid_block_type": None},
    "guidance read": {"cross_attention_dim": 24, "time_cond_proj_dim": 12},
}


@pytest.mark.parametrize("changed", EACH.values(), ids=EACH)
def test_the_shapes_are_those_of_the_network_as_diffusers_builds_it(changed: dict[str, Any]) -> None:
    config = SMALL | changed
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    assert unet_shapes(plain) == {name: tuple(value.shape) for name, value in unet.state_dict().items()}


def test_where_the_last_level_attends_to_nothing_the_middles_depth_stands_there() -> None:
    found = _depth_config([[1, 2], [3, 3], []], [[], [3, 3, 3], [2, 1, 1]], 4)
    assert found == {
        "transformer_layers_per_block": [[1, 2], [3, 3], [4]],
        "reverse_transformer_layers_per_block": [[1], [3, 3, 3], [2, 1, 1]],
    }


@pytest.mark.parametrize("dimensions", [8, 256, 257])
def test_guidance_is_embedded_as_diffusers_embeds_a_time(dimensions: int) -> None:
    scale = torch.tensor([0.0, 0.5, 7.5])
    expected = get_timestep_embedding(scale * 1000, dimensions, downscale_freq_shift=1)
    assert torch.allclose(embed_guidance(scale, dimensions), expected, atol=2e-3)
