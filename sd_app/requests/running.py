"""How a job runs and where: its steps, its stop, what the machine is doing. Plain data."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .downloading import DownloadProgress

# How a preview was drawn: a linear map of the latents, eight times smaller than the picture; TAESD; a small
# decoder made for the model.
LINEAR_PREVIEW, TAESD_PREVIEW, OWN_PREVIEW = "linear", "taesd", "own"
PREVIEW_BY = "drawn by"  # the key in the picture's info


class Cancelled(Exception):  # noqa: N818 - not an error: a wish
    """Raise it inside on_step to stop the job: the call then returns what is finished."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One sign of life of a running job. Several pictures are denoised together: a batch."""

    step: int  # finished steps of the running batch, 1-based; 0 before the first
    num_steps: int
    image_index: int  # the first picture of the running batch
    num_images: int  # of the whole job
    seconds: float  # since the call
    text: str = "Denoising"  # or "Loading NAME", "Decoding"
    batch_images: int = 1  # pictures in the running batch
    batch_seconds: float = 0.0  # since the running batch's first step began
    preview: Image.Image | None = None  # the predicted end (x0) of the running batch, small
    images: tuple[Image.Image, ...] = ()  # pictures finished since the call
    paths: tuple[Path, ...] = ()  # their files, if they are saved
    download: DownloadProgress | None = None  # while a hub model is fetched, before the first picture

    @property
    def preview_by(self) -> str:
        """Return how the preview was drawn: LINEAR_PREVIEW, rough, TAESD_ or OWN_PREVIEW; "" without one."""
        return str(self.preview.info.get(PREVIEW_BY, "")) if self.preview else ""

    @property
    def fraction(self) -> float:
        """Return how much of the whole job is done, 0..1; of the download while there is one."""
        if self.download:
            return self.download.fraction
        batch = self.step / max(self.num_steps, 1)
        return min(1.0, (self.image_index + self.batch_images * batch) / self.num_images)

    @property
    def steps_per_second(self) -> float | None:
        """Return the speed of the running batch, None before its first step."""
        return self.step / self.batch_seconds if self.step and self.batch_seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """Return the expected time to the end of the job, None before the first step."""
        speed = self.steps_per_second
        if speed is None:
            return None
        later_images = max(0, self.num_images - self.image_index - self.batch_images)
        steps = self.num_steps - self.step + self.num_steps * later_images / self.batch_images
        return steps / speed


@dataclass(frozen=True, kw_only=True)
class Status:
    """What runs where. Memory is the GPU's if there is one, else the machine's; in bytes, 0 if unknown."""

    device: str  # "starting" until torch is there
    device_name: str = ""
    dtype: str = ""
    memory_used: int = 0
    memory_total: int = 0
    loaded: tuple[str, ...] = ()  # models whose weights are in memory
    loaded_bytes: tuple[int, ...] = ()  # what each of them takes
    plan: str = ""  # how the last job fitted into it, in words
