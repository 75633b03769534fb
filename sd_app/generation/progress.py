"""The observer that tells a job's asker how far it is, with previews."""

import time

import torch
from PIL import Image

from ..checkpoints.model_info import LatentRgb
from ..failures import is_out_of_memory
from ..probes.observers import LoopStart, Observer, StepTaken
from ..probes.pace import Arrivals, Pace
from ..probes.previews import latents_to_pixels, preview_sheet
from ..requests.running import LINEAR_PREVIEW
from ..weights.device_memory import OUT_OF_MEMORY
from ..weights.pipeline import Pipeline
from ..weights.preview_decoders import decode_to_pixels, name_of
from .job import Job, Progress


class ProgressObserver(Observer):
    """Tell a job's asker of every step, with a preview every so many of them."""

    def __init__(self, job: Job, pipe: Pipeline, preview_every: int) -> None:
        self._job = job
        self._preview = Previews(pipe, job.info.latent_rgb) if preview_every and job.info.latent_rgb else None
        self._preview_every = preview_every
        self._pace = Pace(pipe.device)
        self._known: Progress = {}
        self._started = 0.0

    def before_loop(self, start: LoopStart) -> None:
        self._known = {
            "num_steps": start.num_steps,
            "image_index": start.first,
            "batch_images": len(start.latents),
        }
        self._started = time.perf_counter()
        if self._preview:
            self._preview.forget()

    def on_step(self, step: StepTaken) -> None:
        # On a card the step may still run while it is told; its preview then comes with a later one.
        known = self._known | Progress(step=step.step + 1, batch_seconds=time.perf_counter() - self._started)
        if self._preview and (step.index + 1) % self._preview_every == 0:
            self._preview.begin(step.predicted_x0)
        self._pace.step()
        preview = self._preview.take() if self._preview else None
        self._job.tell("Denoising", **(known | Progress(preview=preview)))
        if step.index == step.num_calls - 1:
            self._job.tell("Decoding", **known)


class Previews:
    """Draw what a step predicts, by the decoder that there is for it, else by the linear map."""

    def __init__(self, pipe: Pipeline, latent_rgb: LatentRgb) -> None:
        self._pipe = pipe
        self._latent_rgb = latent_rgb
        self._arrivals: Arrivals[torch.Tensor] = Arrivals(pipe.device)
        self._drawn_by = LINEAR_PREVIEW

    def begin(self, latents: torch.Tensor) -> None:
        """Have the device draw a batch's latents, (B, 4, h, w); a card is not waited for."""
        pixels = self._pixels(latents)
        self._arrivals.ask(pixels.to("cpu", non_blocking=pixels.device.type == "cuda"))

    def take(self) -> Image.Image | None:
        """Return the latest that is there, the batch side by side, if it was not taken before."""
        pixels = self._arrivals.take()
        if pixels is None:
            return None
        return preview_sheet([Image.fromarray(one) for one in pixels.numpy()], drawn_by=self._drawn_by)

    def forget(self) -> None:
        """Forget what is still to come: it is another batch's."""
        self._arrivals = Arrivals(self._pipe.device)

    def _pixels(self, latents: torch.Tensor) -> torch.Tensor:
        decoder = self._pipe.preview_decoder
        if decoder is not None:
            try:
                pixels = decode_to_pixels(decoder, latents)
            except OUT_OF_MEMORY as error:
                if not is_out_of_memory(error):
                    raise
                self._pipe.preview_decoder = None  # for the rest of the job
            else:
                self._drawn_by = name_of(decoder)
                return pixels
        self._drawn_by = LINEAR_PREVIEW
        return latents_to_pixels(latents, self._latent_rgb)
