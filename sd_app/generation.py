"""From a request to pictures: the whole story of one job."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from . import prompts
from .catalog import ModelInfo, find_model
from .loaders import download_snapshot
from .metadata import save_image, to_infotext
from .model_manager import OUT_OF_MEMORY, ModelManager, is_out_of_memory
from .requests import MAX_SEED, Cancelled, Step, Txt2ImgRequest, Txt2ImgResult, check_limits
from .schedulers import StepWatcher, find_scheduler, watch_steps
from .settings import Settings
from .visualize import preview_image

OnStep = Callable[[Step], None]

TILE_PIXELS = 512  # side of the tiles in which the frugal setting decodes

Images = list[Image.Image]
Run = Callable[[int, int], Images]  # first picture, number of pictures


def txt2img(
    manager: ModelManager,
    request: Txt2ImgRequest,
    on_step: OnStep | None = None,
    *,
    preview_every: int = 3,
    save: bool = True,
) -> Txt2ImgResult:
    """Make the pictures of a request, settings.batch_size at a time; see Studio.txt2img."""
    settings = manager.settings
    info = find_model(settings, request.model)
    job = Job(resolve(request, info, settings), info, on_step, settings.outputs_dir if save else None)
    try:
        if info.path is None:
            job.tell(f"Downloading {info.name}")
            download_snapshot(info.name)
            job.info = find_model(settings, info.name)  # its size and defaults are known only now
            job.request = resolve(replace(request, seed=job.request.seed), job.info, settings)
        job.preview_every = preview_every if on_step and job.info.latent_rgb else 0
        with manager.pipeline("txt2img", info.name, str(job.request.scheduler), job.tell) as pipe:
            run = partial(denoise, pipe, job, encode(pipe, job.request))
            for first in range(0, job.request.num_images, settings.batch_size):
                count = min(settings.batch_size, job.request.num_images - first)
                for images in run_batch(manager, pipe, job, run, first, count):
                    job.finish(images)
    except Cancelled:
        pass  # the result says so
    return job.result()


def resolve(request: Txt2ImgRequest, info: ModelInfo, settings: Settings) -> Txt2ImgRequest:
    """Fill in what the request leaves to the model, and a random seed. Raise ValueError over the limits."""
    find_scheduler(request.scheduler or info.default_scheduler)
    random_seed = secrets.randbelow(MAX_SEED - request.num_images + 2)
    resolved = replace(
        request,
        model=info.name,
        scheduler=request.scheduler or info.default_scheduler,
        num_inference_steps=request.num_inference_steps or info.default_steps,
        guidance_scale=info.default_guidance_scale
        if request.guidance_scale is None
        else request.guidance_scale,
        seed=random_seed if request.seed is None else request.seed,
        width=request.width or info.native_size,
        height=request.height or info.native_size,
    )
    check_limits(resolved, settings)
    return resolved


def encode(pipe: Any, request: Txt2ImgRequest) -> dict[str, torch.Tensor]:
    """Encode the prompts to the pipeline's arguments, (1, 77*n, D) each."""
    if request.guidance_scale == 1:  # the formula's unconditional half cancels out
        return {"prompt_embeds": prompts.encode(pipe, request.prompt, clip_skip=request.clip_skip)}
    positive, negative = prompts.encode_pair(
        pipe, request.prompt, request.negative_prompt, clip_skip=request.clip_skip
    )
    return {"prompt_embeds": positive, "negative_prompt_embeds": negative}


class Job:
    """What a running job has made so far, and the one channel to who asked for it."""

    def __init__(
        self,
        request: Txt2ImgRequest,
        info: ModelInfo,
        on_step: OnStep | None,
        outputs_dir: Path | None,
    ) -> None:
        self.request = request  # resolved
        self.info = info
        self.preview_every = 0  # steps from one preview to the next; 0 for none
        self.images: list[Image.Image] = []
        self.paths: list[Path] = []
        self._on_step = on_step
        self._outputs_dir = outputs_dir
        self._started = time.perf_counter()

    def tell(self, text: str, **known: Any) -> None:
        """Call on_step, which may raise Cancelled."""
        if self._on_step is None:
            return
        assert self.request.num_inference_steps is not None
        defaults = {"step": 0, "num_steps": self.request.num_inference_steps, "image_index": len(self.images)}
        step = Step(
            **(defaults | known),
            num_images=self.request.num_images,
            seconds=time.perf_counter() - self._started,
            text=text,
            images=tuple(self.images),
            paths=tuple(self.paths),
        )
        self._on_step(step)

    def finish(self, images: list[Image.Image]) -> None:
        """Keep and save finished pictures at once, so that a later stop or error cannot lose them."""
        for image in images:
            if self._outputs_dir is not None:
                seed = self.seed(len(self.images))
                path = save_image(image, self._request_of(seed), outputs_dir=self._outputs_dir, seed=seed)
                self.paths.append(path)
            self.images.append(image)
        self.tell("Finished")

    def result(self) -> Txt2ImgResult:
        """Return what is finished."""
        seeds = tuple(self.seed(index) for index in range(len(self.images)))
        return Txt2ImgResult(
            images=tuple(self.images),
            seeds=seeds,
            request=self.request,
            seconds=time.perf_counter() - self._started,
            paths=tuple(self.paths),
            infotexts=tuple(to_infotext(self._request_of(seed)) for seed in seeds),
            stopped=len(self.images) < self.request.num_images,
        )

    def seed(self, index: int) -> int:
        """Return picture index's own seed."""
        assert self.request.seed is not None
        return self.request.seed + index

    def _request_of(self, seed: int) -> Txt2ImgRequest:
        return replace(self.request, seed=seed, num_images=1)


def run_batch(
    manager: ModelManager, pipe: Any, job: Job, run: Run, first: int, count: int
) -> Iterator[Images]:
    """Denoise and decode pictures first..first+count-1 together; yield them.

    When memory runs out, free what is not needed and try once more, one picture at a time in the frugal
    setting. Raise MemoryError saying what to lower if that fails too.
    """
    try:
        with frugal(pipe) if manager.settings.lowvram else nullcontext():
            images = run(first, count)
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
    else:
        yield images
        return
    # Only here are the failed run's tensors free: they lived as long as the exception.
    manager.free_memory(keep=job.info.name)
    for index in range(first, first + count):
        try:
            with frugal(pipe):
                images = run(index, 1)
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"{job.request.width}x{job.request.height} does not fit into the memory of {manager.device}"
                " (lower width or height, close other programs, or start with --lowvram)"
            ) from error
        yield images


@contextmanager
def frugal(pipe: Any) -> Iterator[None]:
    """Trade time for memory: decode in tiles and, where attention is not memory-efficient, slice it."""
    vae, processors = pipe.vae, dict(pipe.unet.attn_processors)
    tile_sides = vae.tile_sample_min_size, vae.tile_latent_min_size
    # Smaller tiles would save little and show more: each tile is normalised by itself.
    vae.tile_sample_min_size, vae.tile_latent_min_size = TILE_PIXELS, TILE_PIXELS // 8
    vae.enable_tiling()
    vae.enable_slicing()
    if pipe._execution_device.type != "cuda":
        pipe.unet.set_attention_slice("max")
    try:
        yield
    finally:
        vae.disable_tiling()
        vae.disable_slicing()
        vae.tile_sample_min_size, vae.tile_latent_min_size = tile_sides
        pipe.unet.set_attn_processor(processors)


def denoise(pipe: Any, job: Job, embeds: dict[str, torch.Tensor], first: int, count: int) -> Images:
    """Call the pipeline: the request's fields in diffusers' words, a CPU generator for each picture.

    Return pictures first..first+count-1.
    """
    request = job.request
    generators = [torch.Generator("cpu").manual_seed(job.seed(first + index)) for index in range(count)]
    with watch_steps(pipe.scheduler) if job.preview_every else nullcontext() as watcher:
        output = pipe(
            **embeds,
            width=request.width,
            height=request.height,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            num_images_per_prompt=count,
            generator=generators,
            callback_on_step_end=progress_callback(job, watcher, first, count),
            output_type="pil",
        )
    return output.images


def progress_callback(
    job: Job, watcher: StepWatcher | None, first: int, count: int
) -> Callable[..., dict[str, Any]]:
    """Make what the pipeline calls after each timestep. It reads, and changes nothing."""
    started = time.perf_counter()

    def callback(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        # A second-order scheduler takes two timesteps for what people count as one step.
        order = pipe.scheduler.order
        known = {
            "step": index // order + 1,
            "num_steps": -(-pipe.num_timesteps // order),
            "image_index": first,
            "batch_images": count,
            "batch_seconds": time.perf_counter() - started,
        }
        preview = None
        if watcher and job.info.latent_rgb and (index + 1) % job.preview_every == 0:
            preview = preview_image(watcher.predicted_x0(), job.info.latent_rgb)
        job.tell("Denoising", preview=preview, **known)
        if index == pipe.num_timesteps - 1:
            job.tell("Decoding", **known)
        return {}

    return callback
