"""The drawing is what the loaded network is; what its parts give is what passed; colours do not flicker."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from sd_app import InpaintRequest, Txt2ImgRequest
from sd_app.inside.activations import (
    LEAST_SIDE,
    activations,
    colored,
    likeness,
    recorded_activation,
    recorded_blocks,
)
from sd_app.inside.unet_drawing import HEIGHT, WIDTH, draw, picture, svg
from sd_app.inside.unet_panels import parts_table, skips_table
from sd_app.inside.unet_parts import ask_again, parts_of, read_parts
from tests.checkpoint_files import unet_config
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import MASK, PICTURE
from tests.test_observers import RUN, open_studio, state_of

RANDOM = [
    ("random_models", "model-a"),
    ("random_models", "model-v"),
    ("sdxl_models", "xl"),
    ("inpaint_models", "painter"),
]


def asked_of(model: str) -> Txt2ImgRequest:
    """Return a short request that a model can make."""
    if model != "painter":
        return replace(ALONE, num_inference_steps=2)
    run = RUN | {"num_inference_steps": 2, "strength": 1.0}
    return InpaintRequest(prompt="a red cat", init_image=PICTURE, mask_image=MASK, **run)


def unet_of(family: str, **changes: object) -> UNet2DConditionModel:
    """Return a family's U-Net of two levels with random weights."""
    return UNet2DConditionModel(**unet_config(family, full=False) | changes)


def parts_alone(unet: UNet2DConditionModel, side: int = 16):
    """Read a U-Net's parts by a call of its own."""
    config = unet.config
    more: dict[str, object] = {}
    if config.addition_embed_type:
        more = {"added_cond_kwargs": {"text_embeds": torch.zeros(1, 128), "time_ids": torch.zeros(1, 6)}}

    def ask() -> None:
        text = torch.zeros(1, 77, config.cross_attention_dim)
        unet(torch.randn(1, config.in_channels, side, side), 1, text, **more)

    return read_parts(unet, ask)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("in_channels", [4, 9])
def test_every_part_and_skip_is_that_of_the_loaded_network(family, in_channels):
    unet = unet_of(family, in_channels=in_channels)
    parts = parts_alone(unet)
    assert [part.name for part in (parts.parts[0], parts.parts[-1])] == ["conv_in", "conv_out"]
    assert (parts.parts[0].reads[0], parts.parts[-1].gives) == (in_channels, (4, 16, 16))
    assert parts.levels == ((16, 16), (8, 8))
    assert parts.num_weights == sum(weights.numel() for weights in unet.parameters())
    assert 0 < parts.rest < parts.num_weights
    for part in parts.parts:
        module = unet.get_submodule(part.name)
        weights = getattr(module, "conv1", getattr(module, "conv", getattr(module, "proj_in", module)))
        assert part.reads[0] == getattr(weights, "in_channels", getattr(weights, "in_features", None))
    resnets = [module for block in unet.up_blocks for module in block.resnets]
    assert len(parts.skips) == len(resnets)
    assert parts.skips[-1].source == "conv_in"
    for skip in parts.skips:
        target = parts.by_name[skip.target]
        before = parts.parts[parts.parts.index(target) - 1]
        assert skip.shape == parts.by_name[skip.source].gives
        assert target.reads[0] == before.gives[0] + skip.channels
    layers = {"sd1": 1, "sd2": 1, "sdxl": 2}[family]
    attentions = [part for part in parts.parts if part.kind == "attention"]
    assert attentions
    for part in attentions:
        assert part.cross_layers == part.self_layers == layers
        first = unet.get_submodule(part.name).transformer_blocks[0].attn2
        assert part.heads == first.heads


def test_a_skip_begins_where_its_tensor_was_made_not_where_one_of_its_shape_was():
    assert [skip.source for skip in reversed(parts_alone(unet_of("sd1")).skips)] == [
        "conv_in",
        "down_blocks.0.attentions.0",
        "down_blocks.0.attentions.1",
        "down_blocks.0.downsamplers.0",
        "down_blocks.1.resnets.0",
        "down_blocks.1.resnets.1",
    ]


def test_a_network_without_a_middle_or_with_odd_sizes_is_drawn_too():
    parts = parts_alone(unet_of("sd1", mid_block_type=None))
    assert not [part for part in parts.parts if part.half == "mid"]
    assert svg(draw(parts)).count('class="part"') == len(parts.parts)
    odd = parts_alone(unet_of("sd1"), side=13)
    assert odd.levels == ((13, 13), (7, 7))
    assert len(odd.skips) == 6


@pytest.mark.parametrize(("folder", "model"), RANDOM)
def test_reading_it_leaves_nothing_behind_and_asks_what_was_answered(request, tmp_path, folder, model):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    look = look_at(studio, asked_of(model))
    before = state_of(studio)
    parts = parts_of(look)
    assert parts.parts[0].reads[0] == (9 if model == "painter" else 4)
    assert state_of(studio) == before
    assert len(parts_table(parts)) == len(parts.parts) + 1
    assert len(skips_table(parts)) == len(parts.skips) + 1
    answers: list[torch.Tensor] = []
    ask_again(look, [0, 1], lambda call, answer: answers.append(answer))
    assert torch.allclose(torch.stack(answers), look.recording.conditional.float(), atol=1e-4)
    assert state_of(studio) == before


def test_the_drawing_has_every_box_and_line_and_none_lies_on_another():
    parts = parts_alone(unet_of("sdxl"))
    drawing = draw(parts)
    assert {box.part.name for box in drawing.boxes} == set(parts.by_name)
    assert [line.skip for line in drawing.lines] == list(parts.skips)
    for number, box in enumerate(drawing.boxes):
        assert 0 <= box.left <= drawing.width - WIDTH
        assert 0 <= box.top <= drawing.height - HEIGHT
        for other in drawing.boxes[:number]:
            assert abs(other.left - box.left) >= WIDTH or abs(other.top - box.top) >= HEIGHT
    lanes = [(line.points[1], line.points[2]) for line in drawing.lines]
    assert len(set(lanes)) == len(lanes)
    text = svg(drawing)
    assert re.findall(r'data-part="([^"]*)"', text) == [box.part.name for box in drawing.boxes]
    assert text.count('class="skip"') == len(parts.skips)
    page = picture(drawing)
    assert page.size == (drawing.width, drawing.height)
    assert len(np.unique(np.asarray(page))) > 10


# -- what the parts give


def test_a_block_asked_again_gives_what_was_recorded(random_studio):
    look = look_at(random_studio, replace(ALONE, width=128, height=128), features=True)
    features = look.recording.features
    assert features
    blocks = recorded_blocks(look.recording)
    assert blocks == features.blocks  # all of 8x8 places and more
    before = state_of(random_studio)
    again = activations(look, blocks)
    assert state_of(random_studio) == before
    for block in blocks:
        recorded = recorded_activation(look.recording, block)
        components = again[block].components
        assert components is not None and recorded.components is not None  # noqa: PT018 - one thought
        assert again[block].channels == 16 if block == "conv_in" else again[block].channels
        scale = np.abs(recorded.components).max()
        assert np.allclose(recorded.components, components, atol=0.01 * scale)


def test_small_parts_are_the_mean_of_each_channel(random_studio):
    look = look_at(random_studio, replace(ALONE, num_inference_steps=2))
    seen: dict[int, torch.Tensor] = {}
    with look.pipe() as pipe:
        handle = pipe.unet.mid_block.register_forward_hook(
            lambda module, given, output: seen.setdefault(len(seen), output)
        )
        ask_again(look, [0, 1], lambda call, answer: None)
        handle.remove()
    found = activations(look, ["mid_block", "conv_in"])
    bars = found["mid_block"].bars
    assert bars is not None
    assert found["mid_block"].components is None
    for call in (0, 1):
        assert np.allclose(bars[call], seen[call][0].mean(dim=(1, 2)).numpy(), atol=1e-5)
    assert found["mid_block"].picture(1).height == 120
    assert found["conv_in"].side == (LEAST_SIDE, LEAST_SIDE)
    assert found["conv_in"].picture(0).size == (LEAST_SIDE, LEAST_SIDE)


def test_colours_do_not_flicker(random_studio):
    """Each component agrees with that of the step before; without the turned basis signs and order jump."""
    look = look_at(random_studio, replace(ALONE, num_inference_steps=12))
    for name in ("conv_in", "up_blocks.1.resnets.0", "up_blocks.1"):
        components = activations(look, [name])[name].components
        assert components is not None
        for earlier, later in pairwise(components):
            assert all(likeness(a[None], b[None]) > 0.5 for a, b in zip(earlier, later, strict=True))


def test_a_part_settles_where_it_looks_like_its_end(random_studio):
    look = look_at(random_studio, replace(ALONE, num_inference_steps=3))
    found = activations(look, ["up_blocks.1"])["up_blocks.1"]
    assert found.components is not None
    still = replace(found, components=np.repeat(found.components[-1:], 3, axis=0))
    assert still.settles == 0
    turned = replace(still, components=still.components * np.array([1, -1, 1])[:, None, None, None])
    assert turned.settles == 2


def test_percentiles_become_black_and_white_and_missing_components_grey():
    ramp = np.arange(100, dtype=np.float32).reshape(1, 10, 10)
    image: Image.Image = colored(ramp)
    pixels = np.asarray(image)
    assert pixels[..., 0].min() == 0
    assert pixels[..., 0].max() == 255
    assert (pixels[..., 0] == 0).sum() == (pixels[..., 0] == 255).sum() == 3
    assert (pixels[..., 1:] == 128).all()
    # Each component has percentiles of its own: a faint one is as bright as a strong one.
    both = np.asarray(colored(np.concatenate([ramp, ramp / 1000])))
    assert (both[..., 0] == both[..., 1]).all()


def test_an_unknown_part_is_refused_and_nothing_is_left(random_studio):
    look = look_at(random_studio, replace(ALONE, num_inference_steps=1))
    before = state_of(random_studio)
    with pytest.raises(ValueError, match=r"part must be one of the U-Net's, got up_blocks\.9"):
        activations(look, ["conv_in", "up_blocks.9"])
    assert state_of(random_studio) == before
