"""What saves time and changes the picture: guidance that ends early, deep features that are reused; LCM."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Img2ImgRequest, InpaintRequest, Settings, Step, Studio, Txt2ImgRequest, WalkRequest
from sd_app.catalog import find_model
from sd_app.speed import CallPlan, Conditioning, plan_calls, reuse
from sd_app.speed.calls import as_timestep, unflatten
from tests.conftest import make_checkpoint

REQUEST = Txt2ImgRequest(
    prompt="a red cat on the beach", negative_prompt="blue", seed=7, num_inference_steps=6, scheduler="DDIM"
)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.tobytes() == second.tobytes()


def difference(first: Image.Image, second: Image.Image) -> int:
    return int(np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).max())


@pytest.fixture
def watched(studio):
    """Return a function that runs a job and lists the batch of every call of a part of the U-Net."""

    def run(request, name="conv_in", of=studio):
        batches: list[int] = []
        of.warm_up()
        info = find_model(of.settings, request.model)
        with of._ready_manager().pipeline(info.name, "DDIM") as pipe:
            part = pipe.unet.get_submodule(name)
        handle = part.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
        try:
            kind = type(request).__name__.removesuffix("Request").lower()
            return batches, getattr(of, kind)(request, save=False)
        finally:
            handle.remove()

    return run


# -- the arguments of a call


def test_a_flat_table_becomes_the_unets_arguments():
    sample, text = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 32)
    sizes = torch.randn(2, 6)
    arguments = unflatten(
        {"sample": sample, "encoder_hidden_states": text, "added_cond_kwargs.time_ids": sizes}
    )
    assert arguments.pop("return_dict") is False
    assert arguments.keys() == {"sample", "encoder_hidden_states", "added_cond_kwargs"}
    assert arguments["sample"] is sample
    assert arguments["encoder_hidden_states"] is text
    assert arguments["added_cond_kwargs"] == {"time_ids": sizes}


def test_the_conditional_half_is_the_second_half_of_all_that_counts_with_the_batch():
    text, scale = torch.randn(4, 77, 32), torch.randn(7)
    tensors = {"encoder_hidden_states": text, "added_cond_kwargs.text_embeds": text[:, 0], "other": scale}
    half = Conditioning(tensors=tensors, is_guided=True).conditional
    assert torch.equal(half["encoder_hidden_states"], text[2:])
    assert torch.equal(half["added_cond_kwargs.text_embeds"], text[2:, 0])
    assert half["other"] is scale
    whole = Conditioning(tensors=tensors, is_guided=False)
    assert whole.conditional is tensors
    again = Conditioning(tensors=tensors, is_guided=True)
    assert again.conditional["encoder_hidden_states"] is again.conditional["encoder_hidden_states"]


@pytest.mark.parametrize(("value", "dtype"), [(7, torch.int64), (7.5, torch.float64)])
def test_a_timestep_that_is_a_number_becomes_the_unets_own_tensor(studio, value, dtype):
    made = as_timestep(value, torch.device("cpu"))
    assert made.dtype == dtype
    with studio._ready_manager().pipeline("tiny-sd", "DDIM") as pipe, torch.no_grad():
        sample = torch.zeros(1, 4, 8, 8)
        by_number, by_tensor = (pipe.unet.get_time_embed(sample, t) for t in (value, made))
    assert torch.equal(by_number, by_tensor)


# -- guidance that ends early


@pytest.mark.parametrize(("end", "guided"), [(1.0, 6), (0.5, 3), (0.84, 5), (0.0, 0)])
def test_after_the_end_of_guidance_the_unet_runs_half_the_batch(watched, end, guided):
    batches, _ = watched(replace(REQUEST, guidance_end=end))
    assert batches == [2] * guided + [1] * (6 - guided)


@pytest.mark.parametrize(("scheduler", "calls"), [("Heun", [2] * 4 + [1] * 3), ("PLMS", [2] * 2 + [1] * 3)])
def test_a_step_that_calls_the_model_twice_is_guided_as_a_whole(watched, scheduler, calls):
    batches, _ = watched(replace(REQUEST, scheduler=scheduler, num_inference_steps=4, guidance_end=0.5))
    assert batches == calls


HOUSE = Image.effect_noise((64, 64), 80).convert("RGB")
MASK = Image.new("L", (64, 64), 0)
MASK.paste(255, (16, 16, 48, 48))
KINDS = {
    "txt2img": Txt2ImgRequest(prompt="a"),
    "img2img": Img2ImgRequest(prompt="a", init_image=HOUSE),
    "inpaint": InpaintRequest(prompt="a", init_image=HOUSE, mask_image=MASK),
}
RUN: dict[str, Any] = {"seed": 5, "num_inference_steps": 4, "guidance_scale": 5.0, "width": 64, "height": 64}


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        *((kind, model) for kind in KINDS for model in ("model-a", "xl")),
        ("txt2img", "model-v"),
        ("inpaint", "painter"),
        ("inpaint", "xl-painter"),
    ],
)
def test_guidance_that_ends_at_once_is_no_guidance_to_the_byte(
    kind, model, random_models, inpaint_models, sdxl_models, tmp_path
):
    """And guidance that never ends is the default; one that ends in between is neither."""
    folder = {"m": random_models, "p": inpaint_models, "x": sdxl_models}[model[0]]
    studio = Studio(Settings(models_dir=folder, model=model, outputs_dir=tmp_path, device="cpu"))
    make = getattr(studio, kind)
    request = replace(KINDS[kind], **RUN)

    def pictures(**changes):
        return make(replace(request, num_images=2, **changes), save=False).images

    ended, none = pictures(guidance_end=0), pictures(guidance_scale=1)
    whole, default, half = pictures(guidance_end=1), pictures(), pictures(guidance_end=0.5)
    assert all(map(same, ended, none))
    assert all(map(same, whole, default))
    assert not any(map(same, half, ended))
    assert not any(map(same, half, default))


def test_a_walk_whose_guidance_ends_early_still_begins_with_its_plain_prompts_picture(random_studio):
    walk = WalkRequest(a="cat", b="dog", frames=3, film="none", guidance_end=0.5, **RUN)
    result = random_studio.walk(walk, save=False)
    assert result.request_of(0).guidance_end == 0.5
    assert same(random_studio.txt2img(result.request_of(0), save=False).images[0], result.images[0])
    assert result.divergence is not None


def test_a_preview_does_not_change_a_picture_that_is_made_faster(studio):
    request = replace(REQUEST, guidance_end=0.5, cache_interval=2)
    steps: list[Step] = []
    shown = studio.txt2img(request, steps.append, preview_every=1, save=False).images[0]
    assert sum(step.preview is not None for step in steps) == 6
    assert same(shown, studio.txt2img(request, save=False).images[0])


def test_the_unet_is_itself_again_after_a_job_an_error_and_a_stop(random_studio):
    request = Txt2ImgRequest(prompt="a", seed=1, guidance_end=0.5, cache_interval=2)
    expected = random_studio.txt2img(replace(request, guidance_end=1, cache_interval=1), save=False)

    def fail(step):
        if step.step == 2:
            raise KeyError("mine")

    with pytest.raises(KeyError):
        random_studio.txt2img(request, fail, save=False)
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        assert not [part for part in pipe.unet.modules() if "forward" in vars(part)]
        assert not [part for part in pipe.unet.modules() if part._forward_hooks]
    plain = replace(request, guidance_end=1, cache_interval=1)
    assert same(random_studio.txt2img(plain, save=False).images[0], expected.images[0])


# -- deep features that are reused


@pytest.mark.parametrize("family", ["sd", "xl"])
def test_right_after_a_full_call_a_shallow_one_gives_the_same(random_models, sdxl_models, family, tmp_path):
    folder, name = (random_models, "model-a") if family == "sd" else (sdxl_models, "xl")
    studio = Studio(Settings(models_dir=folder, model=name, outputs_dir=tmp_path, device="cpu"))
    with studio._ready_manager().pipeline(name, "DDIM") as pipe, torch.no_grad():
        unet, generator = pipe.unet, torch.Generator().manual_seed(1)
        for height, width in ((8, 8), (9, 13)):  # an odd size makes the U-Net pass sizes on
            tensors = {
                "sample": torch.randn(2, 4, height, width, generator=generator),
                "timestep": torch.tensor(500),
                "encoder_hidden_states": torch.randn(
                    2, 77, unet.config.cross_attention_dim, generator=generator
                ),
            }
            if family == "xl":
                size = unet.config.projection_class_embeddings_input_dim
                size -= 6 * unet.config.addition_time_embed_dim
                tensors["added_cond_kwargs.text_embeds"] = torch.randn(2, size, generator=generator)
                tensors["added_cond_kwargs.time_ids"] = torch.full((2, 6), 64.0)
            plain = unet(**unflatten(tensors))[0]
            first, deep = reuse.full(unet, unet.forward, tensors)
            again = reuse.shallow(unet, unet.forward, {**tensors, reuse.DEEP: deep})[0]
            assert torch.equal(first, plain)
            assert torch.equal(again, plain)
            later = {**tensors, "timestep": torch.tensor(400)}
            close = reuse.shallow(unet, unet.forward, {**later, reuse.DEEP: deep})[0]
            assert not torch.equal(close, plain)


@pytest.mark.parametrize(
    ("interval", "scheduler", "calls"),
    [
        (1, "DDIM", 6),
        (2, "DDIM", 3),
        (4, "DDIM", 2),
        (10, "DDIM", 1),
        (4, "Heun", 4),  # steps 1 and 5, two calls each
    ],
)
def test_the_deep_blocks_run_every_so_many_steps(watched, interval, scheduler, calls):
    request = replace(REQUEST, cache_interval=interval, scheduler=scheduler)
    batches, result = watched(request, "mid_block.resnets.0")
    assert batches == [2] * calls
    outer, _ = watched(request)
    assert len(outer) == (11 if scheduler == "Heun" else 6)
    assert result.request.cache_interval == interval


def test_another_batch_makes_the_deep_blocks_run_again(watched):
    batches, _ = watched(replace(REQUEST, cache_interval=5, guidance_end=0.5), "mid_block.resnets.0")
    assert batches == [2, 1, 1]  # steps 1, 4 for the batch, 6 for the interval


def test_an_interval_of_1_is_the_default_to_the_byte_and_longer_ones_stray_ever_further(studio):
    request = replace(REQUEST, num_inference_steps=20)
    plain = studio.txt2img(request, save=False).images[0]
    ones = studio.txt2img(replace(request, cache_interval=1), save=False).images[0]
    assert same(plain, ones)
    errors = []
    changes: list[dict[str, Any]] = [{"cache_interval": interval} for interval in (2, 4, 10)]
    for change in (*changes, {"prompt": "a blue house in the snow"}):
        picture = studio.txt2img(replace(request, **change), save=False).images[0]
        errors.append(np.abs(np.asarray(picture, float) - np.asarray(plain, float)).mean())
    assert errors[0] > 0
    assert errors == sorted(errors)


@pytest.mark.parametrize("kind", KINDS)
def test_reuse_works_for_every_kind_of_job_and_reproduces(random_studio, kind):
    request = replace(KINDS[kind], **RUN, cache_interval=3)
    first, second = (getattr(random_studio, kind)(request, save=False).images[0] for _ in range(2))
    assert same(first, second)


def test_a_unet_of_one_level_has_nothing_to_reuse():
    unet = torch.nn.Module()
    unet.up_blocks = unet.down_blocks = torch.nn.ModuleList([torch.nn.Identity()])
    assert not reuse.can_reuse(unet)


def test_the_plan_of_a_default_request_changes_nothing():
    plan = plan_calls(replace(REQUEST, guidance_scale=5.0), 6, order=2, is_guided=True)
    assert plan == CallPlan(calls=12, order=2)
    assert not plan.changes_pictures
    ended = plan_calls(replace(REQUEST, guidance_end=0.5), 6, order=2, is_guided=False)
    assert not ended.changes_pictures  # without guidance there is nothing to end


# -- LCM


def test_lcm_reproduces_its_pictures_alone_and_in_a_batch(studio):
    request = replace(REQUEST, scheduler="LCM", num_inference_steps=4, num_images=3, guidance_scale=1.5)
    first, second = (studio.txt2img(request, save=False) for _ in range(2))
    assert all(map(same, first.images, second.images))
    single = studio.txt2img(first.request_of(2), save=False).images[0]
    assert difference(single, first.images[2]) <= 2
    assert difference(first.images[0], first.images[2]) > 20


def test_lcm_refuses_more_steps_than_it_was_distilled_for(studio):
    with pytest.raises(ValueError, match="num_inference_steps must be at most 50 with LCM, got 51"):
        studio.txt2img(replace(REQUEST, scheduler="LCM", num_inference_steps=51))


def test_a_distilled_unet_reads_the_guidance_instead_of_a_second_half(tmp_path, watched):
    """U-Nets with time_cond_proj_dim: one half, whose picture still depends on the scale."""
    make_checkpoint(tmp_path / "lcm", seed=4, time_cond_proj_dim=16)
    distilled = Studio(Settings(models_dir=tmp_path, model="lcm", outputs_dir=tmp_path, device="cpu"))
    request = replace(REQUEST, scheduler="LCM", num_inference_steps=3, guidance_scale=8.0)
    batches, result = watched(request, of=distilled)
    assert batches == [1, 1, 1]
    ended = distilled.txt2img(replace(request, guidance_end=0), save=False).images[0]
    assert same(ended, result.images[0])
    weaker = distilled.txt2img(replace(request, guidance_scale=2.0), save=False).images[0]
    assert not same(weaker, result.images[0])
