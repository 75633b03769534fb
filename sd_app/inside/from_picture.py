"""What img2img and inpaint begin from: the encoded picture under noise, and what of it still shows through.

Noise is the same in all frequencies, and a picture is mostly low ones: averaged over some cells the noise
goes and the picture's coarse colours stay. That is what a run can still see of its start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ..catalog import find_model
from ..generation.starts import make_generators
from ..probes.recording import Recording
from ..requests import Img2ImgRequest, count_steps
from ..weights.scheduling import keeps_variance, noise_over_signal
from .again import parts_of
from .look import Look

STRENGTHS = (0.3, 0.6, 0.9)
LOW = 12  # the low-pass averages over a spread of the longer side divided by this
FROM_NOISE = (
    "This picture began from noise alone: only Image to image and Inpaint begin from another picture."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class StartAt:
    """What a run of some strength begins with."""

    strength: float
    steps: int  # that would be run
    timestep: float
    sigma: float  # noise / signal
    latents: Tensor  # x_t, (4, h, w), as the sampler keeps it
    unscaled: Tensor  # with variance 1
    low: Tensor  # averaged, in the picture's own scale: x_t / signal
    likeness: float  # correlation of `low` with the averaged start picture, -1..1

    @property
    def signal(self) -> float:
        """Return the picture's share in x_t's variance, 0..1."""
        return 1 / (1 + self.sigma**2)

    @property
    def sentence(self) -> str:
        """Say how much of the picture is in it."""
        run = "1 step is run" if self.steps == 1 else f"{self.steps} steps are run"
        return (
            f"Strength {self.strength:g}: {run} from noise level {self.timestep:.0f} on;"
            f" the picture has {100 * self.signal:.1f} % of the variance there, and its coarse colours still"
            f" correlate with the start's by {self.likeness:.2f}."
        )


def why_from_noise(recording: Recording) -> str:
    """Say why there is no start picture; empty if there is one."""
    return "" if recording.original is not None else FROM_NOISE


def starts_at(look: Look, strengths: Sequence[float] | None = None) -> tuple[list[StartAt], list[str]]:
    """Return the starts of a recorded request at some strengths, and what could not be made.

    By default at three, and at its own. The noise is the request's. Raise ValueError for a picture that began
    from noise alone.
    """
    recording, request = look.recording, look.request
    if recording.original is None or not isinstance(request, Img2ImgRequest):
        raise ValueError(FROM_NOISE)
    if strengths is None:
        strengths = sorted({*STRENGTHS, request.strength})
    made: list[StartAt] = []
    said: list[str] = []
    for strength in strengths:
        steps = count_steps(request.num_inference_steps or 0, strength)
        if not steps:
            said.append(f"Strength {strength:g} runs none of {request.num_inference_steps} steps.")
            continue
        made.append(_start_at(look, replace(request, strength=strength), steps))
    return made, said


def _start_at(look: Look, request: Img2ImgRequest, steps: int) -> StartAt:
    """Let the job's own part make the start, with the scheduler as it then stands."""
    recording = look.recording
    assert recording.original is not None
    with look.pipe() as pipe:
        parts = parts_of(request, find_model(look.manager.settings, request.model))
        start = parts.start.begin(pipe, request, make_generators([request]))
        sigma = noise_over_signal(pipe.scheduler, 0, start.timesteps[0])
        varies = not keeps_variance(pipe.scheduler)
    latents = start.latents[0].cpu()
    unscaled = latents / (1 + sigma**2) ** 0.5 if varies else latents
    low = low_pass(unscaled) * (1 + sigma**2) ** 0.5
    return StartAt(
        strength=request.strength,
        steps=steps,
        timestep=float(start.timesteps[0]),
        sigma=sigma,
        latents=latents,
        unscaled=unscaled,
        low=low,
        likeness=correlation(low, low_pass(recording.original)),
    )


def low_pass(latents: Tensor) -> Tensor:
    """Average (C, h, w) latents by a Gaussian whose spread is a twelfth of the longer side, in cells."""
    spread = max(latents.shape[-2:]) / LOW
    blurred = [
        cv2.GaussianBlur(channel, (0, 0), spread, borderType=cv2.BORDER_REFLECT)
        for channel in latents.float().numpy()
    ]
    return torch.from_numpy(np.stack(blurred)).to(latents.dtype)


def correlation(first: Tensor, second: Tensor) -> float:
    """Return the correlation of two (C, h, w), each channel about its own mean; 0 where one is constant."""
    a, b = (each.float() - each.float().mean(dim=(1, 2), keepdim=True) for each in (first, second))
    norm = float(a.norm() * b.norm())
    return float((a * b).sum()) / norm if norm else 0.0
