"""A cut does what it says, beside cuts made in another way, and everything is put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from sd_app import Cancelled, Img2ImgRequest, InpaintRequest
from sd_app.inside.again import make_frames
from sd_app.inside.cuts import (
    ALL_CROSS,
    ALL_SELF,
    DOWN_CROSS,
    MID,
    OUTERMOST_SKIP,
    SKIP,
    UP_CROSS,
    Cut,
    Cutter,
    cut_out,
    cuts_of,
    did_nothing,
    verdict,
    with_cuts,
)
from sd_app.inside.look import Look
from sd_app.inside.unet_actions import all_cuts
from sd_app.inside.unet_panels import make_cuts
from sd_app.probes.observers import StepTaken
from tests.inside.test_unet_parts import parts_alone, unet_of
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import MASK, PICTURE
from tests.test_observers import KINDS, RUN, make, open_studio, state_of

SIX = [OUTERMOST_SKIP, DOWN_CROSS, UP_CROSS, ALL_CROSS, ALL_SELF, MID]


def cut_named(cuts: list[Cut], name: str) -> Cut:
    return next(cut for cut in cuts if cut.name == name)


# -- which


def test_the_six_are_found_by_what_they_do_in_the_embedded_models_network(studio):
    with studio._ready_manager().pipeline("tiny-sd", "DDIM") as pipe:
        unet = pipe.unet
    cuts = cuts_of(unet, parts_alone(unet))
    assert [cut.name for cut in cuts if cut.named] == SIX
    assert cut_named(cuts, OUTERMOST_SKIP).where == "conv_in to up_blocks.2.resnets.1, 64 channels at 16×16"
    assert cut_named(cuts, DOWN_CROSS).parts == ("down_blocks.1.attentions.0.transformer_blocks.0.attn2",)
    assert cut_named(cuts, UP_CROSS).parts == ("up_blocks.1.attentions.1.transformer_blocks.0.attn2",)
    assert len(cut_named(cuts, ALL_CROSS).parts) == len(cut_named(cuts, ALL_SELF).parts) == 7
    assert len(cuts) == 6 + 5 + 5 + 7  # the other skips, and each attention that is not named already
    assert len({(cut.how, cut.parts, cut.channels) for cut in cuts}) == len(cuts)


@pytest.mark.parametrize(
    ("attention", "down", "up"),
    [
        ((1, 1, 1, 0), "down_blocks.2.attentions.0", "up_blocks.1.attentions.2"),  # SD 1 and 2
        ((0, 1, 1), "down_blocks.1.attentions.0", "up_blocks.1.attentions.2"),  # SDXL
        ((1, 1, 0, 0), "down_blocks.1.attentions.0", "up_blocks.2.attentions.2"),
        ((0, 0, 1), "down_blocks.2.attentions.0", "up_blocks.0.attentions.2"),
    ],
)
def test_in_networks_of_other_shapes_the_level_above_the_coarsest_or_the_nearest_is_cut(attention, down, up):
    levels = len(attention)
    unet = unet_of(
        "sd1",
        block_out_channels=(32, 32, 64, 64)[:levels],
        down_block_types=tuple("CrossAttnDownBlock2D" if one else "DownBlock2D" for one in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if one else "UpBlock2D" for one in reversed(attention)),
        transformer_layers_per_block=1,
    )
    cuts = cuts_of(unet, parts_alone(unet))
    assert [cut.name for cut in cuts if cut.named] == SIX
    assert cut_named(cuts, DOWN_CROSS).where.startswith(f"{down} at ")
    assert cut_named(cuts, UP_CROSS).where.startswith(f"{up} at ")
    assert cut_named(cuts, OUTERMOST_SKIP).parts == (f"up_blocks.{levels - 1}.resnets.2",)


def test_what_a_network_has_not_is_not_offered():
    unet = unet_of("sdxl", mid_block_type=None)
    cuts = cuts_of(unet, parts_alone(unet))
    assert [cut.name for cut in cuts if cut.named] == SIX[:-1]
    assert cut_named(cuts, ALL_CROSS).where == "5 modules, 10 layers"


# -- what a cut does, beside the same made in another way


@contextmanager
def zero_weights(unet: UNet2DConditionModel, names: tuple[str, ...]) -> Iterator[None]:
    """Make attentions give 0 by their last layer's weights."""
    layers = [unet.get_submodule(name).to_out[0] for name in names]
    before = [(layer.weight.clone(), layer.bias.clone()) for layer in layers]
    with torch.no_grad():
        for layer in layers:
            layer.weight.zero_()
            layer.bias.zero_()
        yield
        for layer, (weight, bias) in zip(layers, before, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)


class HandsOn(nn.Module):
    def forward(self, hidden_states: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        return hidden_states


def answer(unet: UNet2DConditionModel) -> torch.Tensor:
    noise = torch.Generator().manual_seed(0)
    latents = torch.randn(2, unet.config.in_channels, 16, 16, generator=noise)
    text = torch.randn(2, 77, unet.config.cross_attention_dim, generator=noise)
    with torch.no_grad():
        return unet(latents, 500, text)[0]


@pytest.fixture(scope="module")
def network() -> tuple[UNet2DConditionModel, list[Cut]]:
    torch.manual_seed(3)
    unet = unet_of("sd2").eval()
    return unet, cuts_of(unet, parts_alone(unet))


def test_attention_is_cut_as_if_its_last_layer_were_zero(network):
    unet, cuts = network
    whole = answer(unet)
    for cut in cuts:
        if cut.how == "output":
            with cut_out(unet, [cut]):
                made = answer(unet)
            with zero_weights(unet, cut.parts):
                expected = answer(unet)
            assert torch.equal(made, expected), cut.name
            assert not torch.equal(made, whole), cut.name
    assert torch.equal(answer(unet), whole)


def test_the_middle_is_cut_as_if_it_handed_on_what_it_was_given(network):
    unet, cuts = network
    with cut_out(unet, [cut_named(cuts, MID)]):
        made = answer(unet)
    middle, unet.mid_block = unet.mid_block, HandsOn()
    try:
        assert torch.equal(made, answer(unet))
    finally:
        unet.mid_block = middle


def test_a_skip_is_cut_as_if_the_way_down_had_handed_zeros_over(network):
    unet, cuts = network
    skips = [cut for cut in cuts if cut.how == SKIP]
    assert len(skips) == 6
    for cut in skips:
        _, number, _, place = cut.parts[0].split(".")

        def zeroed(module, args, kwargs, place=int(place)):
            skipped = list(kwargs["res_hidden_states_tuple"])
            skipped[-1 - place] = torch.zeros_like(skipped[-1 - place])
            return args, kwargs | {"res_hidden_states_tuple": tuple(skipped)}

        with cut_out(unet, [cut]):
            made = answer(unet)
        handle = unet.up_blocks[int(number)].register_forward_pre_hook(zeroed, with_kwargs=True)
        expected = answer(unet)
        handle.remove()
        assert torch.equal(made, expected), cut.name


# -- in a run


@pytest.mark.parametrize("kind", ["txt2img", "img2img", "inpaint"])
def test_with_nothing_cut_every_kind_of_job_draws_the_same_bytes(random_models, tmp_path, kind):
    studio = open_studio(random_models, "model-a", tmp_path)
    expected = make(studio, kind, KINDS[kind])
    before = state_of(studio)
    assert make(studio, kind, KINDS[kind], Cutter(())) == expected
    assert state_of(studio) == before


@pytest.mark.parametrize(
    ("folder", "model"),
    [
        ("random_models", "model-v"),
        ("sdxl_models", "xl"),
        ("inpaint_models", "painter"),
    ],
)
def test_every_family_is_cut_and_put_back(request, tmp_path, folder, model):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    asked = replace(ALONE, num_inference_steps=2)
    if model == "painter":
        run = RUN | {"num_inference_steps": 2, "strength": 1.0}
        asked = InpaintRequest(prompt="a cat", init_image=PICTURE, mask_image=MASK, **run)
    look = look_at(studio, asked)
    before = state_of(studio)
    files = make_cuts(look)
    assert state_of(studio) == before
    assert [row[0] for row in files.tables["cuts"]] == ["cut", "nothing", *SIX]
    assert len(files.said) == 6
    assert with_cuts(look, []).is_identical
    assert not with_cuts(look, [cut_named(all_cuts(look), ALL_CROSS)]).is_identical


def test_without_cross_attention_the_prompt_counts_for_nothing(random_studio):
    """Two prompts, one picture: then both halves are the same, and no guidance is left."""
    first = look_at(random_studio, ALONE)
    other = look_at(random_studio, replace(ALONE, prompt="a dog in a garden"))
    cut = cut_named(all_cuts(first), ALL_CROSS)
    assert first.recording.decoded.tobytes() != other.recording.decoded.tobytes()
    assert with_cuts(first, [cut]).picture.tobytes() == with_cuts(other, [cut]).picture.tobytes()


@pytest.mark.parametrize("failure", [Cancelled, KeyError])
@pytest.mark.parametrize("kind", ["output", "around", "skip"])
def test_after_a_stop_or_an_error_in_the_middle_nothing_is_left(random_studio, failure, kind):
    look = look_at(random_studio, ALONE)
    cut = next(cut for cut in all_cuts(look) if cut.how == kind)
    before = state_of(random_studio)

    class Failing:
        def on_step(self, step: StepTaken) -> None:
            if step.index == 1:
                raise failure

    with pytest.raises(failure):
        make_frames(look, look.request, observers=[Cutter([cut]), Failing()])
    assert state_of(random_studio) == before

    def stop(step: object) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        with_cuts(Look(look.manager, look.recording, on_step=stop), [cut])
    assert state_of(random_studio) == before


def test_a_module_that_is_not_there_is_an_error_and_leaves_nothing(random_studio):
    look = look_at(random_studio, ALONE)
    before = state_of(random_studio)
    gone = replace(all_cuts(look)[1], parts=("mid_block", "up_blocks.9"))
    with pytest.raises(AttributeError):
        with_cuts(look, [gone])
    assert state_of(random_studio) == before


def test_what_did_nothing_is_measured_and_said(random_studio):
    look = look_at(random_studio, Img2ImgRequest(prompt="a", init_image=PICTURE, strength=0.8, **RUN))
    cut = all_cuts(look)[0]
    same = with_cuts(look, [])
    assert did_nothing(same)
    assert verdict(cut, same).endswith("The picture is the same to the byte. This cut did next to nothing.")
    changed = replace(same, difference=same.difference + 100)
    assert not did_nothing(changed)
    assert "did next to nothing" not in verdict(cut, changed)


def test_where_deep_blocks_were_left_out_the_panel_says_so(random_studio):
    look = look_at(random_studio, ALONE)
    from sd_app.inside.unet_panels import PANELS

    cuts = PANELS[1]
    assert cuts.why_not(look.recording) == ""
    reused = replace(look.recording, request=replace(look.request, cache_interval=3))
    assert cuts.why_not(reused).startswith("In this run the deep blocks were run only at some steps")
