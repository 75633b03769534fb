"""Who watches a run is told the truth and changes nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from sd_app import (
    BlendRequest,
    Cancelled,
    Img2ImgRequest,
    InpaintRequest,
    PlaneRequest,
    Settings,
    Studio,
    Txt2ImgRequest,
    WalkRequest,
)
from sd_app.generation.vae import encode_image
from sd_app.probes.observers import StepTaken
from sd_app.schedulers import SCHEDULER_NAMES
from sd_app.weights.scheduling import make_scheduler, predict_x0
from tests.test_denoise import MASK, PICTURE, Recorder

RUN: dict[str, Any] = {"seed": 5, "num_inference_steps": 4, "guidance_scale": 5.0, "width": 64, "height": 64}
TXT2IMG = Txt2ImgRequest(prompt="a red cat", negative_prompt="blue", num_images=3, **RUN)
ARITHMETIC = {"prompt": "a {} on the beach", **RUN}
KINDS = {
    "txt2img": TXT2IMG,
    "img2img": Img2ImgRequest(prompt="a", init_image=PICTURE, num_images=2, **RUN),
    "inpaint": InpaintRequest(prompt="a", init_image=PICTURE, mask_image=MASK, **RUN),
    "blend": BlendRequest(expression="cat + dog", **ARITHMETIC),
    "walk": WalkRequest(a="cat", b="dog", frames=4, film="none", **ARITHMETIC),
    "plane": PlaneRequest(a="cat", b="dog", direction="red", rows=2, columns=2, **ARITHMETIC),
}


class Everything(Recorder):
    """Record all, and listen to every part of the U-Net by hooks and attention processors."""

    needs_every_part = True

    def __init__(self) -> None:
        super().__init__()
        self.attended = 0
        self.hooked = 0

    @contextmanager
    def listening(self, unet) -> Iterator[None]:
        before = dict(unet.attn_processors)
        unet.set_attn_processor({name: Counting(self, inner) for name, inner in before.items()})
        parts = [part for part in unet.modules() if part is not unet]
        handles = [part.register_forward_hook(self._count) for part in parts]
        try:
            yield
        finally:
            unet.set_attn_processor(before)
            for handle in handles:
                handle.remove()

    def _count(self, *_: object) -> None:
        self.hooked += 1


class Counting:
    """An attention processor that counts, and lets the one before it do the work."""

    def __init__(self, owner: Everything, inner: Callable[..., torch.Tensor]) -> None:
        self._owner, self._inner = owner, inner

    def __call__(self, *args: object, **kwargs: object) -> torch.Tensor:
        self._owner.attended += 1
        return self._inner(*args, **kwargs)


def open_studio(folder: Path, model: str, tmp_path: Path, **settings: Any) -> Studio:
    plain = Settings(models_dir=folder, model=model, outputs_dir=tmp_path, device="cpu", batch_size=2)
    return Studio(replace(plain, **settings))


def make(studio: Studio, kind: str, request: Txt2ImgRequest, *observers: object) -> list[bytes]:
    result = getattr(studio, kind)(request, save=False, observers=observers)
    return [image.tobytes() for image in result.images]


def state_of(studio: Studio) -> list[object]:
    """Return what an observer could have left behind: processors, forwards, hooks."""
    with studio._ready_manager().pipeline(studio.settings.model, "DDIM") as pipe:
        unet = pipe.unet
    parts = list(unet.modules())
    return [
        [id(processor) for processor in unet.attn_processors.values()],
        [vars(part).get("forward") for part in parts],
        [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in parts],
    ]


# -- the same bytes, and nothing left behind


@pytest.mark.parametrize("kind", KINDS)
def test_with_everything_watched_every_kind_of_job_draws_the_same_bytes(random_models, tmp_path, kind):
    studio = open_studio(random_models, "model-a", tmp_path)
    expected = make(studio, kind, KINDS[kind])
    before = state_of(studio)
    watcher = Everything()
    assert make(studio, kind, KINDS[kind], watcher) == expected
    assert state_of(studio) == before
    assert watcher.attended > 0
    assert sum(len(images) for _, images in watcher.decoded) == len(expected)
    told = sum(len(start.timesteps) for start in watcher.starts)
    assert len(watcher.calls) == len(watcher.steps) == told


@pytest.mark.parametrize(
    ("folder", "model", "kind"),
    [
        ("random_models", "model-v", "txt2img"),
        ("sdxl_models", "xl", "txt2img"),
        ("sdxl_models", "xl", "inpaint"),
        ("inpaint_models", "painter", "inpaint"),
        ("sdxl_models", "xl-painter", "inpaint"),
    ],
)
def test_and_so_does_every_family(request, tmp_path, folder, model, kind):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    expected = make(studio, kind, KINDS[kind])
    assert make(studio, kind, KINDS[kind], Everything()) == expected


@pytest.mark.parametrize("failure", [Cancelled, KeyError])
def test_an_observer_that_fails_leaves_nothing_behind(random_studio, failure):
    before = state_of(random_studio)
    expected = make(random_studio, "txt2img", TXT2IMG)

    class Failing(Everything):
        def on_step(self, step):
            if step.step == 2:
                raise failure

    if failure is Cancelled:
        assert random_studio.txt2img(TXT2IMG, save=False, observers=[Failing()]).stopped
    else:
        with pytest.raises(KeyError):
            make(random_studio, "txt2img", TXT2IMG, Failing())
    assert state_of(random_studio) == before
    assert make(random_studio, "txt2img", TXT2IMG) == expected


def test_an_observer_needs_none_of_the_methods(random_studio):
    class OnlySteps:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def on_step(self, step: StepTaken) -> None:
            self.seen.append(step.step)

    observer = OnlySteps()
    make(random_studio, "txt2img", replace(TXT2IMG, num_images=1), observer, object())
    assert observer.seen == [0, 1, 2, 3]


# -- what is told


def test_the_start_says_which_pictures_and_with_what(random_studio):
    recorder = Recorder()
    make(random_studio, "txt2img", TXT2IMG, recorder)
    assert [start.first for start in recorder.starts] == [0, 2]
    assert [[request.seed for request in start.requests] for start in recorder.starts] == [[5, 6], [7]]
    for start in recorder.starts:
        for request, noise in zip(start.requests, start.noise, strict=True):
            own = torch.randn(1, *noise.shape, generator=torch.Generator().manual_seed(request.seed or 0))
            assert torch.equal(noise, own[0])
        assert torch.equal(start.latents, start.noise * start.scheduler.init_noise_sigma)
        assert start.negative_prompt_embeds is not None
        assert start.prompt_embeds.shape == start.negative_prompt_embeds.shape
        assert len(start.prompt_embeds) == len(start.requests)


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "Heun", "PLMS"])
def test_guidance_and_step_recomputed_from_what_was_told_are_what_passed(random_studio, scheduler):
    recorder = Recorder()
    make(random_studio, "txt2img", replace(TXT2IMG, num_images=1, scheduler=scheduler), recorder)
    scheduler_again = make_scheduler(scheduler, recorder.starts[0].scheduler.config)
    scheduler_again.set_timesteps(4, device=torch.device("cpu"))
    latents = recorder.starts[0].latents
    for call, step in zip(recorder.calls, recorder.steps, strict=True):
        assert torch.equal(call.timestep, step.timestep)
        assert torch.equal(step.latents, latents)
        assert torch.equal(scheduler_again.scale_model_input(latents, call.timestep), call.model_input)
        assert call.unconditional is not None
        guided = call.unconditional + 5.0 * (call.conditional - call.unconditional)
        assert torch.equal(step.noise_pred, guided)
        latents = scheduler_again.step(guided, call.timestep, latents, return_dict=False)[0]
        assert torch.equal(step.next_latents, latents)
    assert torch.equal(recorder.decoded[0][0], latents)


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("model", ["model-a", "model-v"])
def test_predicted_x0_is_that_of_the_papers(random_models, tmp_path, model, strength):
    """Also where a run begins in the middle of the schedule."""
    studio, recorder = open_studio(random_models, model, tmp_path), Recorder()
    request = Img2ImgRequest(prompt="a", init_image=PICTURE, strength=strength, scheduler="DDIM", **RUN)
    make(studio, "img2img", request, recorder)
    assert len(recorder.steps) == 4 * strength
    for step in recorder.steps:
        signal = float(step.scheduler.alphas_cumprod[int(step.timestep)])
        alpha, sigma = signal**0.5, (1 - signal) ** 0.5
        if model == "model-a":
            expected = (step.latents - sigma * step.noise_pred) / alpha
        else:
            expected = alpha * step.latents - sigma * step.noise_pred
        assert torch.allclose(step.predicted_x0, expected, atol=1e-4)


def test_a_call_of_the_conditional_half_alone_says_so(random_studio):
    recorder = Recorder()
    make(random_studio, "txt2img", replace(TXT2IMG, num_images=1, guidance_end=0.5), recorder)
    assert [call.unconditional is None for call in recorder.calls] == [False, False, True, True]
    assert torch.equal(recorder.steps[3].noise_pred, recorder.calls[3].conditional)
    recorder = Recorder()
    make(random_studio, "txt2img", replace(TXT2IMG, num_images=1, guidance_scale=1.0), recorder)
    assert all(call.unconditional is None for call in recorder.calls)
    assert recorder.starts[0].negative_prompt_embeds is None


def test_a_shallow_call_says_so(random_studio):
    recorder = Recorder()
    make(random_studio, "txt2img", replace(TXT2IMG, num_images=1, cache_interval=2), recorder)
    assert [call.is_full for call in recorder.calls] == [True, False, True, False]


# -- who needs every part


@pytest.mark.parametrize("lowvram", [False, True])
def test_a_processor_of_an_observers_is_called_every_time(random_models, tmp_path, lowvram):
    """Also where attention is worked out piece by piece because memory is short, with the same bytes."""
    studio = open_studio(random_models, "model-a", tmp_path, lowvram=lowvram)
    request = replace(TXT2IMG, num_images=1)
    expected = make(studio, "txt2img", request)
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        attentions, parts = len(pipe.unet.attn_processors), len(list(pipe.unet.modules())) - 1
        assert {type(one) for one in pipe.unet.attn_processors.values()} == {AttnProcessor2_0}
    watcher = Everything()
    assert make(studio, "txt2img", request, watcher) == expected
    assert watcher.attended == 4 * attentions
    assert watcher.hooked > 4 * parts / 2


def test_with_guidance_that_ends_each_part_is_still_called_at_every_step(random_studio):
    watcher = Everything()
    request = replace(TXT2IMG, num_images=1, guidance_end=0.5)
    expected = make(random_studio, "txt2img", request)
    assert make(random_studio, "txt2img", request, watcher) == expected
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        assert watcher.attended == 4 * len(pipe.unet.attn_processors)


def test_stand_ins_for_parts_are_refused_in_words(random_studio):
    with pytest.raises(ValueError, match="cache_interval must be 1 to look inside the U-Net, got 2"):
        make(random_studio, "txt2img", replace(TXT2IMG, cache_interval=2), Everything())


def test_compiled_code_is_refused_in_words(random_models, tmp_path):
    studio = open_studio(random_models, "model-a", tmp_path, compile=True)
    with pytest.raises(ValueError, match="compile must be off to look inside the U-Net"):
        make(studio, "txt2img", TXT2IMG, Everything())


def test_a_batch_begun_anew_for_want_of_memory_is_told_from_its_beginning(random_studio):
    left = [1]

    def full(*_: object) -> None:
        if left[0] and recorder.steps:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")

    recorder = Recorder()
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        handle = pipe.unet.register_forward_pre_hook(full)
    try:
        make(random_studio, "txt2img", replace(TXT2IMG, num_images=1), recorder)
    finally:
        handle.remove()
    assert [start.first for start in recorder.starts] == [0, 0]
    assert [step.step for step in recorder.steps] == [0, 0, 1, 2, 3]


@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_from_a_picture_every_scheduler_points_at_x0_from_where_it_is(random_studio, scheduler):
    """The noise that was put into a picture is the perfect answer to the first call."""
    recorder = Recorder()
    run = RUN | {"num_inference_steps": 10, "height": 72, "scheduler": scheduler}
    request = Img2ImgRequest(prompt="a", init_image=PICTURE, strength=0.5, **run)
    make(random_studio, "img2img", request, recorder)
    start, first = recorder.starts[0], recorder.steps[0]
    x0 = predict_x0(start.scheduler, 0, first.timestep, start.noise, start.latents)
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        encoded = encode_image(pipe, PICTURE)
    assert torch.allclose(x0, encoded, atol=2e-3)
