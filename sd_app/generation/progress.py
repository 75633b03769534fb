"""The observer that tells a job's asker how far it is, with previews."""

import time

import torch
from PIL import Image

from ..checkpoints.model_info import LatentRgb
from ..full_memory import is_out_of_memory
from ..probes.observers import LoopStart, Observer, StepTaken
from ..probes.previews import preview_image, preview_sheet
from ..weights.device_memory import OUT_OF_MEMORY
from ..weights.pipeline import Pipeline
from ..weights.taesd import decode_latents
from .job import Job, Progress


class ProgressObserver(Observer):
    """Tell a job's asker of every step, with a preview every so many of them."""

    def __init__(self, job: Job, pipe: Pipeline, preview_every: int) -> None:
        self._job = job
        self._preview = Previews(pipe, job.info.latent_rgb) if preview_every and job.info.latent_rgb else None
        self._preview_every = preview_every
        self._known: Progress = {}
        self._started = 0.0

    def before_loop(self, start: LoopStart) -> None:
        self._known = {
            "num_steps": start.num_steps,
            "image_index": start.first,
            "batch_images": len(start.latents),
        }
        self._started = time.perf_counter()

    def on_step(self, step: StepTaken) -> None:
        known = self._known | Progress(step=step.step + 1, batch_seconds=time.perf_counter() - self._started)
        preview = None
        if self._preview and (step.index + 1) % self._preview_every == 0:
            preview = self._preview.draw(step.predicted_x0)
        self._job.tell("Denoising", **(known | Progress(preview=preview)))
        if step.index == step.num_calls - 1:
            self._job.tell("Decoding", **known)


class Previews:
    """Draw what a step predicts, by TAESD where it is and fits, else by the linear map."""

    def __init__(self, pipe: Pipeline, latent_rgb: LatentRgb) -> None:
        self._pipe = pipe
        self._latent_rgb = latent_rgb

    def draw(self, latents: torch.Tensor) -> Image.Image:
        """Draw a batch's latents, (B, 4, h, w), side by side."""
        decoder = self._pipe.preview_decoder
        if decoder is not None:
            try:
                return preview_sheet(decode_latents(decoder, latents))
            except OUT_OF_MEMORY as error:
                if not is_out_of_memory(error):
                    raise
                self._pipe.preview_decoder = None  # for the rest of the job
        return preview_image(latents, self._latent_rgb)
