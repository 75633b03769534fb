from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Cancelled, Settings, Step, Studio, Txt2ImgRequest
from sd_app.generation import resolve
from sd_app.metadata import from_infotext, read_infotext
from sd_app.probes.observers import Observer
from sd_app.requests.running import OWN_PREVIEW
from sd_app.weights.scheduling import make_scheduler

REQUEST = Txt2ImgRequest(
    prompt="a red cat on the beach", negative_prompt="blue", seed=7, num_inference_steps=5
)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.tobytes() == second.tobytes()


def difference(first: Image.Image, second: Image.Image) -> int:
    return int(np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).max())


def stop_at(step: int, *, image_index: int = 0, text: str = "Denoising"):
    """Return an on_step that cancels there, and the list of steps it saw."""
    seen: list[Step] = []

    def on_step(event: Step) -> None:
        seen.append(event)
        if event.text == text and event.step >= step and event.image_index >= image_index:
            raise Cancelled

    return on_step, seen


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler a"])
def test_the_same_request_gives_the_same_bytes(studio, scheduler):
    request = replace(REQUEST, scheduler=scheduler)
    first, second = (studio.txt2img(request, save=False).images[0] for _ in range(2))
    assert same(first, second)


def test_the_picture_is_the_bare_pipelines_picture(studio):
    from diffusers import StableDiffusionPipeline

    folder = studio.settings.models_dir / "tiny-sd"
    bare = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None)
    bare.scheduler = make_scheduler("DPM++ 2M Karras", bare.scheduler.config)
    expected = bare(
        REQUEST.prompt,
        negative_prompt=REQUEST.negative_prompt,
        num_inference_steps=5,
        guidance_scale=7.5,
        generator=[torch.Generator().manual_seed(7)],
        width=128,
        height=128,
    ).images[0]
    request = replace(REQUEST, scheduler="DPM++ 2M Karras", guidance_scale=7.5)
    assert same(studio.txt2img(request, save=False).images[0], expected)


@pytest.mark.parametrize("scheduler", ["DDIM", "DPM++ 2M Karras", "Euler a", "Heun"])
def test_a_preview_never_changes_the_picture(studio, scheduler):
    request = replace(REQUEST, scheduler=scheduler)
    previews = []
    shown = studio.txt2img(request, lambda step: previews.append(step.preview), preview_every=1, save=False)
    plain = studio.txt2img(request, preview_every=0, save=False)
    assert any(previews)
    assert same(shown.images[0], plain.images[0])


def test_previews_come_every_few_steps_or_never(studio):
    steps: list[Step] = []
    studio.txt2img(REQUEST, steps.append, preview_every=2, save=False)
    assert [step.step for step in steps if step.preview] == [2, 4]
    assert [step.preview_by for step in steps if step.preview] == [OWN_PREVIEW] * 2
    assert {step.preview_by for step in steps if not step.preview} == {""}
    steps.clear()
    studio.txt2img(REQUEST, steps.append, preview_every=0, save=False)
    assert steps
    assert not any(step.preview for step in steps)


def test_a_picture_of_a_batch_is_the_picture_of_its_seed_up_to_rounding(studio):
    batch = studio.txt2img(replace(REQUEST, num_images=4), save=False)
    assert batch.seeds == (7, 8, 9, 10)
    for index in (0, 3):
        single = studio.txt2img(batch.request_of(index), save=False)
        assert difference(batch.images[index], single.images[0]) <= 2
    assert difference(batch.images[0], batch.images[1]) > 20


def test_many_pictures_run_in_batches_of_the_settings_size(random_studio):
    steps: list[Step] = []
    request = Txt2ImgRequest(prompt="a", seed=1, num_images=5)
    result = random_studio.txt2img(request, steps.append)
    sizes = {(s.image_index, s.batch_images) for s in steps if s.text == "Denoising"}
    assert sizes == {(0, 2), (2, 2), (4, 1)}
    assert result.seeds == (1, 2, 3, 4, 5)
    assert [path.name for path in result.paths] == [f"0000{k}-{k + 1}.png" for k in range(5)]


def test_progress_runs_from_zero_to_one(random_studio):
    steps: list[Step] = []
    random_studio.txt2img(Txt2ImgRequest(prompt="a", num_images=3), steps.append)
    fractions = [step.fraction for step in steps]
    assert (steps[0].text, fractions[0], fractions[-1]) == ("Loading model-a", 0.0, 1.0)
    assert fractions == sorted(fractions)
    assert [s.step for s in steps if s.text == "Denoising"] == [1, 2, 3, 4] * 2
    assert steps[-1].eta_seconds is None
    assert len(steps[-1].images) == len(steps[-1].paths) == 3


def test_a_second_order_scheduler_counts_the_steps_that_were_asked_for(random_studio):
    steps: list[Step] = []
    request = Txt2ImgRequest(prompt="a", scheduler="Heun", num_inference_steps=4)
    random_studio.txt2img(request, steps.append, save=False)
    seen = [(s.step, s.num_steps) for s in steps if s.text == "Denoising"]
    assert seen == [(1, 4), (1, 4), (2, 4), (2, 4), (3, 4), (3, 4), (4, 4)]


def test_saved_files_hold_the_pixels_and_the_request(random_studio):
    result = random_studio.txt2img(Txt2ImgRequest(prompt='a "cat",\nNegative prompt: 2', num_images=2))
    for index, path in enumerate(result.paths):
        assert same(Image.open(path).convert("RGB"), result.images[index])
        assert from_infotext(read_infotext(path) or "") == result.request_of(index)
        assert read_infotext(path) == result.infotexts[index]


def test_nothing_is_saved_on_request(random_studio):
    result = random_studio.txt2img(Txt2ImgRequest(prompt="a"), save=False)
    assert result.paths == ()
    assert not random_studio.settings.outputs_dir.exists()


@pytest.mark.parametrize("step", [1, 3])
def test_cancel_stops_within_one_step_and_the_next_job_is_right(random_studio, step):
    request = Txt2ImgRequest(prompt="a", seed=3)
    expected = random_studio.txt2img(request, save=False).images[0]
    on_step, seen = stop_at(step)
    stopped = random_studio.txt2img(request, on_step)
    assert (stopped.stopped, stopped.images, stopped.paths) == (True, (), ())
    assert [s.step for s in seen if s.text == "Denoising"] == list(range(1, step + 1))
    assert same(random_studio.txt2img(request, save=False).images[0], expected)


def test_cancel_keeps_the_pictures_that_are_finished(random_studio):
    on_step, _ = stop_at(1, image_index=2)
    result = random_studio.txt2img(Txt2ImgRequest(prompt="a", seed=1, num_images=6), on_step)
    assert result.stopped
    assert result.seeds == (1, 2)
    assert len(result.images) == len(result.infotexts) == 2
    assert all(path.is_file() for path in result.paths)
    assert result.request.num_images == 6


def test_cancel_after_the_last_picture_is_no_stop(random_studio):
    on_step, _ = stop_at(0, image_index=1, text="Finished")
    assert not random_studio.txt2img(Txt2ImgRequest(prompt="a"), on_step).stopped


def test_cancel_before_decoding_saves_the_decoding(random_studio):
    random_studio.warm_up()
    manager = random_studio._ready_manager()
    decoded = []
    with manager.pipeline("model-a", "DDIM") as pipe:
        hook = pipe.vae.decoder.register_forward_pre_hook(lambda *_: decoded.append(1))
    on_step, _ = stop_at(4, text="Decoding")
    assert random_studio.txt2img(Txt2ImgRequest(prompt="a"), on_step).stopped
    assert not decoded
    hook.remove()


def test_cancel_while_loading_loads_nothing(random_studio):
    on_step, _ = stop_at(0, text="Loading model-a")
    assert random_studio.txt2img(Txt2ImgRequest(prompt="a"), on_step).stopped
    assert random_studio.status().loaded == ()
    assert len(random_studio.txt2img(Txt2ImgRequest(prompt="a")).images) == 1


def test_an_error_in_on_step_is_passed_on_and_frees_the_model(random_studio):
    def on_step(_: Step) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        random_studio.txt2img(Txt2ImgRequest(prompt="a"), on_step)
    assert random_studio.txt2img(Txt2ImgRequest(prompt="a")).images


class LastLatents(Observer):
    """Keep what is decoded."""

    latents: torch.Tensor

    def after_decoding(self, latents, images):
        self.latents = latents


def test_guidance_between_0_and_1_means_what_the_formula_says(studio):
    """One DDIM step is linear in the noise prediction, so its latents are as linear in the guidance."""
    request = replace(REQUEST, negative_prompt="b", scheduler="DDIM", num_inference_steps=1)
    ends = []
    for guidance_scale in (0.0, 0.5, 1.0, 2.0):
        last = LastLatents()
        studio.txt2img(replace(request, guidance_scale=guidance_scale), save=False, observers=[last])
        ends.append(last.latents)
    zero, half, one, two = ends
    assert (one - zero).abs().max() > 1e-3
    assert torch.allclose(half, (zero + one) / 2, atol=1e-3)
    assert torch.allclose(two, 2 * one - zero, atol=1e-3)


def test_guidance_0_draws_the_negative_prompt(studio):
    zero = studio.txt2img(replace(REQUEST, guidance_scale=0), save=False).images[0]
    swapped = replace(REQUEST, prompt=REQUEST.negative_prompt, negative_prompt="", guidance_scale=1)
    assert difference(zero, studio.txt2img(swapped, save=False).images[0]) <= 2


def test_clip_skip_and_long_prompts_reach_the_picture(studio):
    plain = studio.txt2img(REQUEST, save=False).images[0]
    assert not same(plain, studio.txt2img(replace(REQUEST, clip_skip=2), save=False).images[0])
    longer = replace(REQUEST, prompt=REQUEST.prompt + " BREAK a (dog:1.4)" + ", star" * 80)
    assert not same(plain, studio.txt2img(longer, save=False).images[0])


class Full:
    """A forward hook that raises the memory error a GPU would, as many times as told."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, *_: object) -> None:
        if self.left > 0:
            self.left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")


@pytest.fixture
def full_memory(random_studio):
    """Return a function that lets the next n U-Net calls run out of memory."""
    hooks = []

    def fill(times: int) -> None:
        with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
            hooks.append(pipe.unet.register_forward_pre_hook(Full(times)))

    yield fill
    for hook in hooks:
        hook.remove()


def test_out_of_memory_is_tried_once_more_in_the_frugal_setting(random_studio, full_memory):
    request = Txt2ImgRequest(prompt="a", seed=3, num_images=2)
    expected = random_studio.txt2img(request, save=False)
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        processors = {key: type(value) for key, value in pipe.unet.attn_processors.items()}
    full_memory(1)
    result = random_studio.txt2img(request, save=False)
    assert result.seeds == expected.seeds
    for image, wanted in zip(result.images, expected.images, strict=True):
        assert difference(image, wanted) <= 2
    assert {key: type(value) for key, value in pipe.unet.attn_processors.items()} == processors
    assert not pipe.vae.use_slicing
    assert not pipe.vae.use_tiling


def test_out_of_memory_twice_says_what_to_lower_and_the_app_lives_on(random_studio, full_memory):
    full_memory(2)
    with pytest.raises(MemoryError, match=r"64x64 does not fit .* \(lower width or height"):
        random_studio.txt2img(Txt2ImgRequest(prompt="a"))
    assert random_studio.txt2img(Txt2ImgRequest(prompt="a")).images


def test_other_errors_of_the_model_are_not_taken_for_a_full_memory(random_studio):
    def broken(*_: object) -> None:
        raise RuntimeError("expected scalar type Half")

    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        hook = pipe.unet.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="expected scalar type Half"):
        random_studio.txt2img(Txt2ImgRequest(prompt="a"))
    hook.remove()


def test_what_a_request_leaves_open_comes_from_the_model(studio):
    info = studio.models()[0]
    resolved = resolve(Txt2ImgRequest(prompt="a"), info, studio.settings)
    assert resolved.is_resolved
    assert (resolved.model, resolved.width, resolved.height) == ("tiny-sd", 128, 128)
    assert resolved.num_inference_steps == info.default_steps
    assert (
        resolve(Txt2ImgRequest(prompt="a", guidance_scale=0.0), info, studio.settings).guidance_scale == 0.0
    )


def test_a_resolved_request_makes_the_same_pictures_again(random_studio):
    first = random_studio.txt2img(Txt2ImgRequest(prompt="a", num_images=2), save=False)
    again = random_studio.txt2img(first.request, save=False)
    assert again.request == first.request
    assert all(map(same, first.images, again.images))


def test_random_seeds_differ_and_leave_room_for_the_whole_batch(studio):
    info = studio.models()[0]
    request = Txt2ImgRequest(prompt="a", num_images=100)
    seeds = {resolve(request, info, studio.settings).seed for _ in range(50)}
    assert len(seeds) > 45


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "nothing"}, "model must be one of: tiny-sd"),
        ({"scheduler": "Euler b"}, "scheduler must be one of DDIM"),
        ({"width": 1024, "height": 1024}, "width x height must be at most 262,144"),
        ({"num_images": 5}, "num_images must be at most 4"),
        ({"clip_skip": 12}, "clip_skip must be at most"),
    ],
)
def test_what_this_app_cannot_do_is_refused_and_the_next_job_runs(tmp_path, change, message):
    studio = Studio(Settings(outputs_dir=tmp_path, max_pixels=512 * 512, max_images=4))
    with pytest.raises(ValueError, match=message):
        studio.txt2img(replace(REQUEST, **change))
    assert studio.txt2img(replace(REQUEST, num_inference_steps=1), save=False).images
