"""The denoising loop: from noise to clean latents, one page.

The symbols are those of Ho et al. 2020 and Song et al. 2021 (DDIM): x_t are the latents at timestep t, T the
first one; eps the noise that the U-Net predicts; c the prompt, n the negative one; w the guidance scale; m
the mask, white where it is repainted.
"""

from collections.abc import Callable, Sequence
from inspect import signature

import torch
from torch import Generator, Tensor

from ..probes.observers import Observers, StepTaken, UNetCall
from ..speed import Prediction
from ..text.prompt_embeds import PromptEmbeds
from ..weights.scheduling import Scheduler

UNet = Callable[[Tensor, Tensor], Prediction]  # scaled x_t and t -> both predictions
PutBack = Callable[[Tensor, int], Tensor]  # x_t-1 and the number of calls that are left -> x_t-1


@torch.no_grad()
def denoise(
    unet: UNet,
    scheduler: Scheduler,
    latents: Tensor,
    timesteps: Tensor,
    *,
    prompts: Sequence[PromptEmbeds],
    guidance_scale: float,
    generators: Sequence[Generator],
    put_back: PutBack | None = None,
    observers: Observers,
) -> Tensor:
    """Take noise away step by step: from x_T to x_0, both (B, 4, h, w).

    `prompts` are what `unet` reads at each step, for whoever watches. `put_back` replaces what an inpainting
    keeps; `generators`, one a picture, give the noise that some schedulers add on the way.
    """
    fresh_noise = noise_options(scheduler, generators)
    for index, t in enumerate(timesteps):  # t = T, ..., 1
        x_t = latents
        model_input = scheduler.scale_model_input(x_t, t)  # x_t at the spread that the U-Net knows

        both = unet(model_input, t)  # eps_c = eps(x_t, t, c) and eps_n = eps(x_t, t, n)
        read = prompts[min(index // scheduler.order, len(prompts) - 1)]
        call = UNetCall(index=index, timestep=t, model_input=model_input, prompts=read, **vars(both))
        observers.tell("on_unet_call", call)

        noise_pred = both.guided(guidance_scale)  # eps = eps_n + w (eps_c - eps_n)
        stepped = scheduler.step(noise_pred, t, x_t, return_dict=False, **fresh_noise)[0]  # x_t-1
        left = len(timesteps) - (index + 1)
        latents = put_back(stepped, left) if put_back else stepped  # m x_t-1 + (1 - m) kept_t-1

        step = StepTaken(
            index=index,
            num_calls=len(timesteps),
            timestep=t,
            latents=x_t,
            noise_pred=noise_pred,
            stepped=stepped,
            next_latents=latents,
            scheduler=scheduler,
        )
        observers.tell("on_step", step)
    return latents  # x_0


def noise_options(scheduler: Scheduler, generators: Sequence[Generator]) -> dict[str, object]:
    """Return how a scheduler's step is told where its fresh noise comes from, if it takes any."""
    takes = "generator" in signature(type(scheduler).step).parameters
    return {"generator": list(generators)} if takes else {}
