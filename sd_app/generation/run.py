"""The story every job shares: resolve, load, encode, then batch by batch denoise, decode and save."""

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from PIL import Image

from ..addons import choose_additions
from ..catalog import find_model
from ..checkpoints.model_info import LatentRgb
from ..probes.previews import preview_image, preview_sheet
from ..requests import Cancelled, DownloadProgress, Txt2ImgRequest
from ..schedulers import StepWatcher, watch_steps
from ..speed import plan_calls
from ..weights.device_memory import OUT_OF_MEMORY, is_out_of_memory
from ..weights.loaders import download_snapshot
from ..weights.model_manager import ModelManager
from ..weights.taesd import decode_latents
from .job import Job, OnStep
from .out_of_memory import Images, run_batch
from .resolve import resolve

JobT = TypeVar("JobT", bound=Job)


def run_job(
    job_type: type[JobT],
    manager: ModelManager,
    request: Txt2ImgRequest,
    on_step: OnStep | None,
    *,
    preview_every: int,
    save: bool,
) -> JobT:
    """Make the pictures of a request, settings.batch_size at a time; return the job with what is finished."""
    settings = manager.settings
    info = find_model(settings, request.model)
    job = job_type(resolve(request, info, settings), info, on_step, settings.outputs_dir if save else None)
    with job.saver, suppress(Cancelled):  # the result says that it was stopped
        if info.path is None:
            job.tell(f"Downloading {info.name}")
            download_snapshot(info.name, partial(tell_download, job) if on_step else None)
            job.info = find_model(settings, info.name)  # its size and defaults are known only now
            job.request = resolve(replace(request, seed=job.request.seed), job.info, settings)
        if job.nothing_to_do:
            return job
        job.preview_every = preview_every if on_step and job.info.latent_rgb else 0
        prompt, vae, scheduler = job.request.prompt, job.request.vae, str(job.request.scheduler)
        additions = choose_additions(settings, job.info, prompt, vae, previews=bool(job.preview_every))
        with manager.pipeline(job.kind, info.name, scheduler, job.tell, additions) as pipe:
            fit_job(manager, job)
            run = partial(denoise, pipe, job)
            for first, count in job.batches(settings.batch_size):
                for images in run_batch(manager, pipe, job, run, first, count):
                    job.finish(images)
    return job


def tell_download(job: Job, progress: DownloadProgress) -> None:
    """Tell how far the job's model is on its way here; Cancelled stops that too."""
    job.tell(f"Downloading {progress.hub_id}", download=progress)


def fit_job(manager: ModelManager, job: Job) -> None:
    """Choose the plan by which the job fits into the memory, and say so if it is short."""
    width, height = job.request.width, job.request.height
    assert width is not None and height is not None  # noqa: PT018 - one thought
    together = min(manager.settings.batch_size, job.num_images)
    job.plan = manager.fit(width=width, height=height, num_images=together)
    if job.plan.tight:
        job.tell(f"Short of memory: {job.plan.words}")


def denoise(pipe: Any, job: Job, first: int, count: int) -> Images:
    """Call the pipeline: the request's fields in diffusers' words, a CPU generator for each picture.

    Return pictures first..first+count-1.
    """
    request = job.request
    generators = [torch.Generator("cpu").manual_seed(job.seed(first + index)) for index in range(count)]
    prompts, arguments = job.prompts(pipe, first, count), job.arguments(pipe, generators)
    watched = job.preview_every or job.watches
    calls = plan_calls(pipe, request, job.num_steps)
    with (
        watch_steps(pipe.scheduler) if watched else nullcontext() as watcher,
        pipe.fast_unet.running(calls, job.tell),
    ):
        output = pipe(
            **prompts,
            **arguments,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            generator=generators,
            callback_on_step_end=progress_callback(job, watcher, first, count),
            callback_on_step_end_tensor_inputs=["latents"],
            output_type="pil",
        )
    return output.images


def progress_callback(
    job: Job, watcher: StepWatcher | None, first: int, count: int
) -> Callable[..., dict[str, Any]]:
    """Make what the pipeline calls after each timestep. What it tells changes nothing; the job may."""
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
        if watcher and job.watches:
            job.see(first, index // order, watcher.predicted_x0())
        preview = None
        if watcher and job.preview_every and job.info.latent_rgb and (index + 1) % job.preview_every == 0:
            preview = draw_preview(pipe, watcher.predicted_x0(), job.info.latent_rgb)
        job.tell("Denoising", preview=preview, **known)
        if index == pipe.num_timesteps - 1:
            job.tell("Decoding", **known)
        return job.after_step(pipe, index, tensors["latents"])

    return callback


def draw_preview(pipe: Any, latents: torch.Tensor, latent_rgb: LatentRgb) -> Image.Image:
    """Draw what a step predicts, (B, 4, h, w), by TAESD where it is and fits, else by the linear map."""
    if pipe.preview_decoder is not None:
        try:
            return preview_sheet(decode_latents(pipe.preview_decoder, latents))
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            pipe.preview_decoder = None  # for the rest of the job
    return preview_image(latents, latent_rgb)
