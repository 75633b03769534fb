"""diffusers' schedulers as the denoising loop uses them, made for one job from a checkpoint's settings."""

from collections.abc import Mapping
from contextlib import suppress
from inspect import signature
from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.noise_schedule import noise_schedule
from ..schedulers import find_scheduler


class Scheduler(Protocol):
    """What the loop asks of a scheduler; diffusers' classes are such."""

    timesteps: Tensor  # (calls,), falling: when the U-Net is called
    alphas_cumprod: Tensor  # (1000,): the share of the signal's variance at each training step
    order: int  # U-Net calls of what people count as one step
    init_noise_sigma: float | Tensor  # the spread of the noise to begin from

    @property
    def config(self) -> Mapping[str, object]: ...
    def register_to_config(self, **changes: object) -> None: ...
    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        *,
        device: torch.device,
        timesteps: list[int] | None = None,
    ) -> None: ...
    def set_begin_index(self, begin_index: int) -> None: ...
    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor: ...
    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...
    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, **known: object
    ) -> tuple[Tensor, ...]:
        """Return (x_t-1, ...) with return_dict=False."""


# These know no models that predict x0 itself.
_NO_SAMPLE = (
    *("PNDMScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler"),
    *("KDPM2AncestralDiscreteScheduler", "EulerAncestralScheduler"),
)
_NEARLY_ZERO = 2.0**-24  # the signal's share where it would be none: diffusers' own, since its root divides
_LARGEST_SIGMA = 300.0  # noise / signal beyond which the noise says nothing about the picture; usual is 14.6
_STRONG = 0.9  # the share of the timesteps from which on a start counts as pure noise


def make_scheduler(name: str, original_config: Mapping[str, object]) -> Scheduler:
    """Make a fresh scheduler by its full name from a checkpoint's own scheduler configuration.

    Of that only the noise schedule counts. Raise ValueError for a name that is not in the table, and for a
    sampler that cannot draw with such a model.
    """
    import diffusers

    from . import samplers

    info = find_scheduler(name)
    config = noise_schedule(original_config)
    if config.get("prediction_type") == "sample" and info.class_name in _NO_SAMPLE:
        raise ValueError(
            f"scheduler must be another one than {info.name} with this model, which predicts the picture"
            " instead of the noise (choose DPM++ 2M)"
        )
    scheduler_class = getattr(samplers, info.class_name, None) or getattr(diffusers, info.class_name)
    if config.get("rescale_betas_zero_snr") and not _takes(scheduler_class, "rescale_betas_zero_snr"):
        config |= {"trained_betas": _zero_snr_betas(config)}
    scheduler: Scheduler = scheduler_class.from_config(config, **info.config)
    return scheduler


def _takes(scheduler_class: type, keyword: str) -> bool:
    return keyword in signature(scheduler_class).parameters


def _zero_snr_betas(config: Mapping[str, object]) -> list[float]:
    """Return the betas of a schedule that ends in pure noise (Lin et al. 2023)."""
    from diffusers import EulerDiscreteScheduler

    signal = EulerDiscreteScheduler.from_config(dict(config)).alphas_cumprod.double()
    signal[-1] = _NEARLY_ZERO
    before = torch.cat([signal.new_ones(1), signal[:-1]])
    betas: list[float] = (1 - signal / before).tolist()
    return betas


def set_steps(scheduler: Scheduler, num_inference_steps: int, device: torch.device) -> None:
    """Lay out a scheduler's steps; where its spacing has no room for so many, without offset or trailing.

    A single step of "linspace" would stand at the least noise, where there is nothing to do. Raise ValueError
    where no spacing has room.
    """
    timesteps = int(str(scheduler.config["num_train_timesteps"]))
    for change in ({}, {"steps_offset": 0}, {"timestep_spacing": "trailing"}):
        scheduler.register_to_config(**change)
        # diffusers finds no room in several ways.
        with suppress(ValueError, IndexError, ZeroDivisionError):
            scheduler.set_timesteps(num_inference_steps, device=device)
            if _are_sound(scheduler, num_inference_steps, timesteps):
                return
    if num_inference_steps == timesteps and not _takes(type(scheduler), "timestep_spacing"):
        scheduler.set_timesteps(timesteps=list(reversed(range(timesteps))), device=device)  # all there are
        return
    raise ValueError(
        f"num_inference_steps must be lower with this sampler, since the model knows {timesteps} levels of"
        f" noise, got {num_inference_steps} (lower it, or choose Euler)"
    )


def _are_sound(scheduler: Scheduler, num_inference_steps: int, num_train_timesteps: int) -> bool:
    """Tell whether all timesteps are some that the model knows, and the noise falls."""
    within = 0 <= float(scheduler.timesteps.min()) <= float(scheduler.timesteps.max()) < num_train_timesteps
    if float(scheduler.timesteps[0]) == 0 and num_train_timesteps > 1:
        return False
    if not within or not hasattr(scheduler, "sigmas"):
        return within and len(scheduler.timesteps.unique()) >= num_inference_steps
    levels = scheduler.sigmas[: len(scheduler.timesteps)].unique_consecutive()
    falls = bool((levels.diff() < 0).all()) and bool(levels.isfinite().all())
    return falls and len(levels) >= num_inference_steps


def check_first_signal(scheduler: Scheduler, timestep: Tensor) -> None:
    """Refuse to begin where the noise that a model predicts says nothing about the picture.

    From pure noise x0 = (x - sqrt(1 - a) eps) / sqrt(a) divides by nothing (Lin et al. 2023, section 3.3).
    """
    too_much = noise_over_signal(scheduler, 0, timestep) > _LARGEST_SIGMA
    if scheduler.config["prediction_type"] == "epsilon" and too_much:
        raise ValueError(
            "schedule_type must leave out the model's first noise level, which is pure noise: this model"
            " predicts the noise and can say nothing there (choose the sampler DDIM, schedule type DDIM)"
        )


def weak_start(scheduler: Scheduler) -> str:
    """Say that all the steps begin where a picture still shows through the noise; empty if they do not.

    "leading" spacing (Lin et al. 2023, table 2) leaves out the strongest noise when the steps are few, or
    many and no divisor of the timesteps.
    """
    timesteps = int(str(scheduler.config["num_train_timesteps"]))
    first = float(scheduler.timesteps[0])
    if first >= _STRONG * timesteps:
        return ""
    return (
        f"With this number of steps the sampler began at noise level {first:.0f} of {timesteps - 1}, so the"
        " picture may look flat or unfinished: other numbers of steps begin elsewhere, and the schedule type"
        " SGM Uniform always begins at the strongest noise."
    )


def predict_x0(
    scheduler: Scheduler, index: int, timestep: Tensor, noise_pred: Tensor, latents: Tensor
) -> Tensor:
    """Return the clean latents that the U-Net's answer to call `index`, at `timestep`, points at.

    With sigma = noise / signal and x = x0 + sigma * eps: eps-prediction gives x0 = x - sigma * eps;
    v-prediction gives x0 = (x / sqrt(1 + sigma^2) - sigma * v) / sqrt(1 + sigma^2) (Salimans & Ho 2022).
    """
    return x0_of(
        str(scheduler.config["prediction_type"]),
        noise_over_signal(scheduler, index, timestep),
        noise_pred,
        latents,
        keeps_variance=keeps_variance(scheduler),
    )


def keeps_variance(scheduler: Scheduler) -> bool:
    """Tell whether a scheduler's x_t has variance 1 at every step; others let it grow with the noise."""
    return float(scheduler.init_noise_sigma) == 1


def x0_of(
    prediction_type: str, sigma: float, noise_pred: Tensor, latents: Tensor, *, keeps_variance: bool
) -> Tensor:
    """Return the clean latents of an answer at noise / signal `sigma`; see predict_x0."""
    norm = (1 + sigma**2) ** 0.5
    # Schedulers whose first noise has variance 1 keep x / norm, the others x itself.
    x = latents * norm if keeps_variance else latents
    match prediction_type:
        case "epsilon":
            return x - sigma * noise_pred
        case "v_prediction":
            return x / norm**2 - noise_pred * (sigma / norm)
    return noise_pred  # "sample": the model says x0 itself


def noise_over_signal(scheduler: Scheduler, index: int, timestep: Tensor) -> float:
    """Return noise / signal at a call: index counts from the first one that is run."""
    if hasattr(scheduler, "sigmas"):
        place = index + (getattr(scheduler, "begin_index", None) or 0)
        if place % 2 and hasattr(scheduler, "sigmas_interpol"):  # DPM2's second call, between two levels
            return float(scheduler.sigmas_interpol[place - hasattr(scheduler, "sigmas_up")])
        return float(scheduler.sigmas[place])
    alpha = max(float(scheduler.alphas_cumprod[int(timestep)]), _NEARLY_ZERO)
    return float(((1 - alpha) / alpha) ** 0.5)
