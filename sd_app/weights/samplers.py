"""Some of diffusers' samplers, with what they lack."""

from typing import Any

import torch
from diffusers import (
    DEISMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LMSDiscreteScheduler,
)
from diffusers.configuration_utils import register_to_config
from torch import Tensor


class EulerAncestralScheduler(EulerAncestralDiscreteScheduler):
    """Euler a that can also stop at the noise levels of Karras et al. 2022 and their like, as Euler can."""

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: list[float] | None = None,
        prediction_type: str = "epsilon",
        timestep_spacing: str = "linspace",
        steps_offset: int = 0,
        rescale_betas_zero_snr: bool = False,
        use_karras_sigmas: bool = False,
        use_exponential_sigmas: bool = False,
        use_beta_sigmas: bool = False,
    ) -> None:
        super().__init__(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            trained_betas=trained_betas,
            prediction_type=prediction_type,
            timestep_spacing=timestep_spacing,
            steps_offset=steps_offset,
            rescale_betas_zero_snr=rescale_betas_zero_snr,
        )

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None, **known: Any
    ) -> None:
        super().set_timesteps(num_inference_steps, device=device, **known)
        config = self.config
        if config.use_karras_sigmas or config.use_exponential_sigmas or config.use_beta_sigmas:
            levels = EulerDiscreteScheduler.from_config(config)
            levels.set_timesteps(num_inference_steps, device=device)
            # In float32 step() can come to a square below 0, of 4096 and its neighbour.
            self.timesteps, self.sigmas = levels.timesteps, levels.sigmas.double()


class LMSScheduler(LMSDiscreteScheduler):
    """LMS that can begin in the middle of its schedule: its order is what it has seen, not where it is.

    diffusers takes the coefficients of the fourth order there, and the one derivative that is known.
    """

    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, return_dict: bool = True
    ) -> Any:
        order = min(4, len(self.derivatives) + 1)
        return super().step(model_output, timestep, sample, order=order, return_dict=return_dict)


class DEISScheduler(DEISMultistepScheduler):
    """DEIS whose only step, where there is but one, ends with the least noise.

    diffusers ends Karras' levels and their like with the last one twice: a step that does nothing.
    """

    def set_timesteps(self, *args: Any, **known: Any) -> None:
        super().set_timesteps(*args, **known)
        if len(self.timesteps) == 1:
            signal = float(self.alphas_cumprod[0])
            self.sigmas[-1] = ((1 - signal) / signal) ** 0.5
