"""The loop beside diffusers' own pipelines, to the byte, and beside a loop of a few lines, step by step."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sd_app import Img2ImgRequest, InpaintRequest, Settings, Studio, Txt2ImgRequest
from sd_app.generation.inpaint import CONTENT_STREAM
from sd_app.generation.starts import make_generator
from sd_app.generation.vae import encode_image
from sd_app.probes.observers import LoopStart, Observer, StepTaken, UNetCall
from sd_app.schedulers import SCHEDULER_NAMES
from sd_app.text import embeddings
from sd_app.weights.scheduling import make_scheduler
from tests.bare import bare_pipeline

REQUEST = Txt2ImgRequest(
    prompt="a red cat on the beach",
    negative_prompt="blue",
    seed=7,
    width=64,
    height=72,
    guidance_scale=5.0,
    num_inference_steps=3,
    scheduler="DDIM",
)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (72, 64, 3), np.uint8))
MASK = Image.new("L", PICTURE.size)
MASK.paste(255, (8, 8, 40, 40))
GUIDANCES = (0.0, 0.5, 1.0, 5.0, 15.0)


class Recorder(Observer):
    """Keep all that passes."""

    def __init__(self) -> None:
        self.starts: list[LoopStart] = []
        self.calls: list[UNetCall] = []
        self.steps: list[StepTaken] = []
        self.decoded: list[tuple[Tensor, list[Image.Image]]] = []

    def before_loop(self, start: LoopStart) -> None:
        self.starts.append(start)

    def on_unet_call(self, call: UNetCall) -> None:
        self.calls.append(call)

    def on_step(self, step: StepTaken) -> None:
        self.steps.append(step)

    def after_decoding(self, latents: Tensor, images: Sequence[Image.Image]) -> None:
        self.decoded.append((latents, list(images)))


@pytest.fixture(scope="module")
def studios(random_models, sdxl_models, inpaint_models, tmp_path_factory) -> dict[str, Studio]:
    """A studio for each checkpoint with random weights, by the model's name."""
    out = tmp_path_factory.mktemp("out")

    def open_one(folder: Path, model: str) -> Studio:
        return Studio(Settings(models_dir=folder, model=model, outputs_dir=out, device="cpu"))

    known = {"model-a": random_models, "model-v": random_models, "xl": sdxl_models, "painter": inpaint_models}
    return {model: open_one(folder, model) for model, folder in known.items()}


def bytes_of(images: Sequence[Image.Image]) -> list[bytes]:
    return [image.tobytes() for image in images]


def bare_bytes(studio: Studio, request: Txt2ImgRequest) -> list[bytes]:
    """Return the pictures of diffusers' own pipeline for a request with every field set."""
    assert request.seed is not None
    assert request.guidance_scale is not None
    with studio._ready_manager().pipeline(studio.settings.model, request.sampling) as pipe:
        bare = bare_pipeline(pipe, scheduler=request.sampling, always_guided=request.guidance_scale < 1)
        seeds = range(request.seed, request.seed + request.num_images)
        images = bare(
            request.prompt,
            negative_prompt=request.negative_prompt or None,  # SDXL reads an empty one as zeros
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            width=request.width,
            height=request.height,
            num_images_per_prompt=request.num_images,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            eta=0.3 if request.scheduler == "TCD" else 0.0,  # TCD's own, which a pipeline would overrule
        ).images
    return bytes_of(images)


# -- the same bytes as the bare pipeline


# SDXL with every third by default: what it does beside has nothing to do with the sampler.
MODELS_AND_SCHEDULERS = [
    pytest.param(model, name, marks=[pytest.mark.slow] if model == "xl" and number % 3 else [])
    for model in ("model-a", "model-v", "xl")
    for number, name in enumerate(SCHEDULER_NAMES)
]


@pytest.mark.parametrize(("model", "scheduler"), MODELS_AND_SCHEDULERS)
def test_every_scheduler_gives_the_bare_pipelines_bytes(studios, model, scheduler):
    studio = studios[model]
    for steps, num_images in ((2, 1), (5, 3)):
        changes = {"num_inference_steps": steps, "num_images": num_images, "scheduler": scheduler}
        request = replace(REQUEST, **changes)
        made = studio.txt2img(request, save=False).images
        assert bytes_of(made) == bare_bytes(studio, request)


@pytest.mark.parametrize("model", ["model-a", "model-v", "xl"])
@pytest.mark.parametrize("guidance_scale", GUIDANCES)
def test_every_guidance_gives_the_bare_pipelines_bytes(studios, model, guidance_scale):
    studio = studios[model]
    for scheduler in ("DDIM", "Euler a", "Heun"):
        request = replace(REQUEST, guidance_scale=guidance_scale, scheduler=scheduler, num_images=2)
        made = studio.txt2img(request, save=False).images
        assert bytes_of(made) == bare_bytes(studio, request)


def test_an_empty_negative_prompt_gives_the_bare_pipelines_bytes(studios):
    for model in ("model-a", "xl"):
        request = replace(REQUEST, negative_prompt="")
        assert bytes_of(studios[model].txt2img(request, save=False).images) == bare_bytes(
            studios[model], request
        )


# -- the middle: a loop of a few lines beside the real one


@torch.no_grad()
def plain_loop(studio: Studio, request: Txt2ImgRequest, start: LoopStart, kept: Any = None) -> list[Tensor]:
    """Return x_t before each step and x_0 at last, by the book, for a request of one picture."""
    assert request.guidance_scale is not None
    assert request.num_inference_steps is not None
    with studio._ready_manager().pipeline(studio.settings.model, request.sampling) as pipe:
        text, negative = embeddings.encode_pair(pipe, request.prompt, request.negative_prompt)
        scheduler = make_scheduler(request.sampling, pipe.scheduler.config)
        scheduler.set_timesteps(request.num_inference_steps, device=torch.device("cpu"))
        timesteps = scheduler.timesteps[-len(start.timesteps) :]
        if isinstance(request, Img2ImgRequest) and hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(len(scheduler.timesteps) - len(timesteps))
        x, path = start.latents, []
        for number, t in enumerate(timesteps):
            path.append(x)
            z = scheduler.scale_model_input(x, t)
            if kept is not None and kept.channels is not None:
                z = torch.cat([z, kept.channels], dim=1)
            rows = torch.cat([negative, text])
            eps_n, eps_c = pipe.unet(torch.cat([z, z]), t, rows, return_dict=False)[0].chunk(2)
            eps = eps_n + request.guidance_scale * (eps_c - eps_n)
            x = scheduler.step(eps, t, x, return_dict=False)[0]
            if kept is not None and kept.channels is None:
                following = timesteps[number + 1 : number + 2]
                old = (
                    scheduler.add_noise(kept.original, start.noise, following)
                    if len(following)
                    else kept.original
                )
                x = torch.where(kept.painted, x, old)
        return [*path, x]


class Kept:
    """What an inpainting keeps, worked out anew from the picture and the mask."""

    def __init__(self, studio: Studio, *, reads_masks: bool = False) -> None:
        cells = torch.from_numpy(np.array(MASK)).reshape(9, 8, 8, 8).amax(dim=(1, 3))
        self.painted = (cells > 0)[None, None]
        with studio._ready_manager().pipeline(studio.settings.model, "DDIM") as pipe:
            self.original = encode_image(pipe, PICTURE)
            self.channels = None
            if reads_masks:
                pixels = torch.from_numpy(np.array(PICTURE)).permute(2, 0, 1)[None].float() / 255
                blocks = self.painted.repeat_interleave(8, 2).repeat_interleave(8, 3)
                posterior = pipe.vae.encode((2 * pixels - 1) * ~blocks).latent_dist
                masked = posterior.mode() * pipe.vae.config.scaling_factor
                self.channels = torch.cat([self.painted.float(), masked], dim=1)


def watch(studio: Studio, request: Txt2ImgRequest) -> Recorder:
    recorder = Recorder()
    kind = type(request).__name__.removesuffix("Request").lower()
    getattr(studio, kind)(request, save=False, observers=[recorder])
    return recorder


@pytest.mark.parametrize(
    "scheduler",
    [
        *("DDIM", "DPM++ 2M Karras", "Euler", "UniPC", "Heun", "PLMS", "DPM++ 2S Beta", "DEIS", "LMS Karras"),
        *("DPM2", "Euler SGM Uniform", "UniPC Exponential", "Heun Karras"),
    ],
)
def test_every_step_is_that_of_a_plain_loop(studios, scheduler):
    request = replace(REQUEST, scheduler=scheduler, num_inference_steps=4)
    recorder = watch(studios["model-a"], request)
    path = plain_loop(studios["model-a"], request, recorder.starts[0])
    assert len(recorder.steps) == len(path) - 1
    for step, before, after in zip(recorder.steps, path, path[1:], strict=False):
        assert torch.equal(step.latents, before)
        assert torch.equal(step.next_latents, after)
    assert torch.equal(recorder.decoded[0][0], path[-1])


def test_img2img_runs_the_last_steps_from_the_noised_picture(studios):
    studio = studios["model-a"]
    request = Img2ImgRequest(**{**vars(REQUEST), "num_inference_steps": 5}, init_image=PICTURE, strength=0.6)
    recorder = watch(studio, request)
    (start,) = recorder.starts
    assert start.num_steps == 3
    scheduler = make_scheduler("DDIM", start.scheduler.config)
    scheduler.set_timesteps(5, device=torch.device("cpu"))
    assert start.timesteps.tolist() == scheduler.timesteps[2:].tolist()
    signal = float(scheduler.alphas_cumprod[int(start.timesteps[0])])
    expected = signal**0.5 * Kept(studio).original + (1 - signal) ** 0.5 * start.noise
    assert torch.allclose(start.latents, expected, atol=1e-6)
    path = plain_loop(studio, request, start)
    assert all(torch.equal(step.latents, x) for step, x in zip(recorder.steps, path, strict=False))
    assert torch.equal(recorder.decoded[0][0], path[-1])


def test_noise_in_the_painted_area_is_not_the_runs_own(studios):
    """The same noise twice would only make it stronger, and the area a faint copy of txt2img's picture."""
    studio = studios["model-a"]
    request = InpaintRequest(
        **{**vars(REQUEST), "num_inference_steps": 4},
        init_image=PICTURE,
        mask_image=MASK,
        strength=0.5,
        masked_content="noise",
    )
    (start,) = watch(studio, request).starts
    kept, signal = Kept(studio), float(start.scheduler.alphas_cumprod[int(start.timesteps[0])])
    content = (start.latents - (1 - signal) ** 0.5 * start.noise) / signal**0.5
    own = torch.randn(content.shape, generator=make_generator(7, CONTENT_STREAM))
    assert torch.allclose(content, torch.where(kept.painted, own, kept.original), atol=1e-4)
    assert not torch.allclose(own, start.noise)


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "DPM++ 2M"])
@pytest.mark.parametrize("strength", [1.0, 0.75])
def test_an_inpainting_is_that_of_a_plain_loop_at_every_step(studios, scheduler, strength):
    studio = studios["model-a"]
    request = InpaintRequest(
        **{**vars(REQUEST), "num_inference_steps": 4, "scheduler": scheduler},
        init_image=PICTURE,
        mask_image=MASK,
        strength=strength,
    )
    recorder = watch(studio, request)
    kept = Kept(studio)
    path = plain_loop(studio, request, recorder.starts[0], kept)
    assert len(path) == 1 + round(4 * strength)
    for step, before, after in zip(recorder.steps, path, path[1:], strict=False):
        assert torch.equal(step.latents, before)
        assert torch.equal(step.next_latents, after)
    outside = ~kept.painted.expand_as(path[-1])
    assert torch.equal(path[-1][outside], kept.original[outside])


def test_a_unet_that_reads_masks_is_given_them_and_nothing_is_put_back(studios):
    studio = studios["painter"]
    request = InpaintRequest(**vars(REQUEST), init_image=PICTURE, mask_image=MASK, strength=1.0)
    recorder = watch(studio, request)
    path = plain_loop(studio, request, recorder.starts[0], Kept(studio, reads_masks=True))
    for step, after in zip(recorder.steps, path[1:], strict=True):
        assert torch.allclose(step.next_latents, after, atol=1e-5)
        assert step.next_latents is step.stepped


# -- work that is not done twice


@pytest.mark.parametrize(("scheduler", "runs"), [("DDIM", 3), ("Heun", 5)])
def test_keys_and_values_of_the_text_are_computed_once_a_prompt(studios, scheduler, runs):
    studio = studios["model-a"]
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        attentions = [part for name, part in pipe.unet.named_modules() if name.endswith("attn2")]
    assert attentions
    count = {"to_k": 0, "to_q": 0}
    original = torch.nn.functional.linear
    weights = {id(getattr(part, name).weight): name for part in attentions for name in count}

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if id(weight) in weights:
            count[weights[id(weight)]] += 1
        return original(x, weight, bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", linear)
        studio.txt2img(replace(REQUEST, scheduler=scheduler), save=False)
        assert count == {"to_k": len(attentions), "to_q": runs * len(attentions)}
        count.update(to_k=0, to_q=0)
        studio.txt2img(replace(REQUEST, scheduler=scheduler, guidance_end=0.5), save=False)
        assert count["to_k"] == 2 * len(attentions)  # with both prompts, then with one
    assert not [part for part in pipe.unet.modules() if "forward" in vars(part)]
