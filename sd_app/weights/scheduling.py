"""diffusers' schedulers as the denoising loop uses them, made for one job from a checkpoint's settings."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from ..schedulers import find_scheduler


class Scheduler(Protocol):
    """What the loop asks of a scheduler; diffusers' classes are such."""

    timesteps: Tensor  # (calls,), falling: when the U-Net is called
    alphas_cumprod: Tensor  # (1000,): the share of the signal's variance at each training step
    order: int  # U-Net calls of what people count as one step
    init_noise_sigma: float | Tensor  # the spread of the noise to begin from

    @property
    def config(self) -> Mapping[str, object]: ...
    def set_timesteps(self, num_inference_steps: int, *, device: torch.device) -> None: ...
    def set_begin_index(self, begin_index: int) -> None: ...
    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor: ...
    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...
    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, **known: object
    ) -> tuple[Tensor, ...]:
        """Return (x_t-1, ...) with return_dict=False."""


def make_scheduler(name: str, original_config: Mapping[str, object]) -> Scheduler:
    """Make a fresh scheduler from a checkpoint's own scheduler configuration, never from another's.

    Raise ValueError for a name that is not in the table.
    """
    import diffusers

    info = find_scheduler(name)
    scheduler: Scheduler = getattr(diffusers, info.class_name).from_config(
        dict(original_config), **info.config
    )
    return scheduler


def predict_x0(
    scheduler: Scheduler, index: int, timestep: Tensor, noise_pred: Tensor, latents: Tensor
) -> Tensor:
    """Return the clean latents that the U-Net's answer to call `index`, at `timestep`, points at.

    With sigma = noise / signal and x = x0 + sigma * eps: eps-prediction gives x0 = x - sigma * eps;
    v-prediction gives x0 = (x / sqrt(1 + sigma^2) - sigma * v) / sqrt(1 + sigma^2) (Salimans & Ho 2022).
    """
    sigma = _sigma(scheduler, index, timestep)
    norm = (1 + sigma**2) ** 0.5
    # Schedulers whose first noise has variance 1 keep x / norm, the others x itself.
    x = latents * norm if float(scheduler.init_noise_sigma) == 1 else latents
    match scheduler.config["prediction_type"]:
        case "epsilon":
            return x - sigma * noise_pred
        case "v_prediction":
            return x / norm**2 - noise_pred * (sigma / norm)
    return noise_pred  # "sample": the model says x0 itself


def _sigma(scheduler: Scheduler, index: int, timestep: Tensor) -> float:
    """Return noise / signal at a call: index counts from the first one that is run."""
    if hasattr(scheduler, "sigmas"):
        return float(scheduler.sigmas[index + (getattr(scheduler, "begin_index", None) or 0)])
    alpha = float(scheduler.alphas_cumprod[int(timestep)])
    return float(((1 - alpha) / alpha) ** 0.5)
