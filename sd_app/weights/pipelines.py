"""diffusers' pipelines as this app runs them: exact guidance and steps, from given latents."""

from typing import Any, cast

import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)

from ..checkpoints.folders import INPAINT_CHANNELS
from ..requests import count_steps


class ExactGuidance:
    """In a pipeline: a guidance scale between 0 and 1 means what the formula says.

    noise = uncond + guidance_scale * (cond - uncond): at 1 only cond is needed, at 0 only the negative
    prompt counts. diffusers leaves the formula out for everything up to 1.
    """

    _guidance_scale: float
    unet: Any

    @property
    def do_classifier_free_guidance(self) -> bool:
        return self._guidance_scale != 1 and self.unet.config.time_cond_proj_dim is None


class ExactSteps:
    """In a pipeline with a strength: the steps it runs are requests.count_steps."""

    def get_timesteps(
        self, num_inference_steps: int, strength: float, device: Any, **_: Any
    ) -> tuple[Any, int]:
        """Return the timesteps that are left to run, and their number."""
        steps_run = count_steps(num_inference_steps, strength)
        # The half keeps the product's rounding down from reaching the step below.
        parent: Any = super()
        return parent.get_timesteps(num_inference_steps, (steps_run + 0.5) / num_inference_steps, device)


class GivenImage:
    """In an img2img pipeline: `image` is what the run begins from, noised latents, (B, 4, h, w)."""

    def prepare_latents(self, image: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Take the latents as they are."""
        return image


class GivenLatents:
    """In an inpainting pipeline for U-Nets that read the mask: `latents` is what the run begins from."""

    def prepare_latents(self, *known: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the latents as they are; of the noise, given second, such a U-Net makes no use."""
        *_, latents = known
        return latents, latents


def cast_module(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Give a network's weights another format; diffusers' own `to` warns of parts that this one lacks."""
    torch.nn.Module.to(module, dtype)


class SameVae:
    """In SDXL's pipelines: the VAE that diffusers decodes with in float32 is itself again, come what may."""

    vae: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        dtype, parent = self.vae.dtype, cast(Any, super())
        try:
            return parent.__call__(*args, **kwargs)
        finally:
            cast_module(self.vae, dtype)  # float16 comes back from float32 as it was

    def upcast_vae(self) -> None:
        """Make the VAE float32."""
        cast_module(self.vae, torch.float32)


class Txt2ImgPipeline(ExactGuidance, StableDiffusionPipeline):
    """diffusers' pipeline with exact guidance."""


class Img2ImgPipeline(ExactGuidance, ExactSteps, GivenImage, StableDiffusionImg2ImgPipeline):
    """diffusers' pipeline with exact guidance and steps, from given latents."""


class InpaintPipeline(ExactGuidance, ExactSteps, GivenLatents, StableDiffusionInpaintPipeline):
    """diffusers' pipeline for U-Nets that read the mask, from given latents."""


class Txt2ImgXLPipeline(SameVae, ExactGuidance, StableDiffusionXLPipeline):
    """The same for SDXL."""


class Img2ImgXLPipeline(SameVae, ExactGuidance, ExactSteps, GivenImage, StableDiffusionXLImg2ImgPipeline):
    """The same for SDXL."""


class InpaintXLPipeline(SameVae, ExactGuidance, ExactSteps, GivenLatents, StableDiffusionXLInpaintPipeline):
    """The same for SDXL."""


PIPELINES: dict[str, type[Any]] = {
    "txt2img": Txt2ImgPipeline,
    "img2img": Img2ImgPipeline,
    "inpaint": InpaintPipeline,
}
XL_PIPELINES: dict[str, type[Any]] = {
    "txt2img": Txt2ImgXLPipeline,
    "img2img": Img2ImgXLPipeline,
    "inpaint": InpaintXLPipeline,
}
# What each family's pipelines do beside drawing, switched off.
OPTIONS = {"requires_safety_checker": False}
XL_OPTIONS = {"add_watermarker": False}


def choose_pipeline(kind: str, in_channels: int, *, is_xl: bool = False) -> type[Any]:
    """Return the pipeline class for "txt2img", "img2img" or "inpaint" with a U-Net of so many channels.

    A U-Net of 4 channels inpaints as img2img, and the kept latents are put back from outside.
    """
    if kind == "inpaint" and in_channels != INPAINT_CHANNELS:
        kind = "img2img"
    return (XL_PIPELINES if is_xl else PIPELINES)[kind]


def make_pipeline(kind: str, components: dict[str, Any]) -> Any:
    """Make the pipeline of a checkpoint's parts, still without a scheduler."""
    is_xl = "text_encoder_2" in components
    pipeline_class = choose_pipeline(kind, components["unet"].config.in_channels, is_xl=is_xl)
    return pipeline_class(**components, scheduler=None, **(XL_OPTIONS if is_xl else OPTIONS))
