"""Pictures that start from another picture."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from ..images import enlarge
from ..pictures.placement import CELL, Placement, place_whole
from ..probes.previews import latents_to_images
from ..requests import Img2ImgRequest, Img2ImgResult
from ..text import prompts
from ..weights.caches import dressing_of, fingerprint, recall
from ..weights.model_manager import ModelManager
from ..weights.pipelines import cast_module
from .job import Job, OnStep
from .run import run_job


def img2img(
    manager: ModelManager,
    request: Img2ImgRequest,
    on_step: OnStep | None = None,
    *,
    preview_every: int = 3,
    save: bool = True,
) -> Img2ImgResult:
    """Make pictures from a picture; see Studio.img2img."""
    return run_job(Img2ImgJob, manager, request, on_step, preview_every=preview_every, save=save).result()


class Img2ImgJob(Job):
    """A job that starts from a picture. Encoding it is part of the first batch, so a full memory is met."""

    kind = "img2img"
    request: Img2ImgRequest
    init_latents: Tensor | None = None  # (1, 4, h, w), the picture encoded
    noise: Tensor | None = None  # (B, 4, h, w) of the running batch
    start_image: Image.Image | None = None  # decoded again
    noised_start: Image.Image | None = None

    @property
    def num_steps(self) -> int:
        steps_run = self.request.steps_run
        assert steps_run is not None
        return steps_run

    def arguments(self, pipe: Any, generators: list[torch.Generator]) -> dict[str, Any]:
        if self.init_latents is None:
            self.init_latents = self.encode(pipe)
        content = self.content(self.init_latents, generators)
        latents, self.noise, shown = noised_latents(pipe, self.request, content, generators)
        if self.noised_start is None and self.info.latent_rgb:
            self.noised_start = enlarge(latents_to_images(shown[:1], self.info.latent_rgb)[0], CELL)
        return {"image": latents, "strength": self.request.strength}

    def encode(self, pipe: Any) -> Tensor:
        """Return the picture as latents, (1, 4, h, w)."""
        image = self.placement().place(self.init_image())
        init_latents = encode_image(pipe, image)
        self.start_image = round_trip(pipe, image)
        return init_latents

    def content(self, init_latents: Tensor, generators: list[torch.Generator]) -> Tensor:
        """Return the latents to be noised, (1 or B, 4, h, w)."""
        return init_latents

    def init_image(self) -> Image.Image:
        """Return the opened picture."""
        assert isinstance(self.request.init_image, Image.Image)
        return self.request.init_image

    def placement(self) -> Placement:
        """Return where the picture lies in the frame the model works in."""
        width, height = self.request.width, self.request.height
        assert width is not None and height is not None  # noqa: PT018 - one thought
        return place_whole(self.init_image().size, width, height, self.request.resize_mode)

    def result_fields(self) -> dict[str, Any]:
        start_images = () if self.start_image is None else (self.start_image,)
        return super().result_fields() | {
            "input_image": self.input_image(),
            "start_images": start_images,
            "noised_start": self.noised_start,
        }

    def input_image(self) -> Image.Image:
        """Return the init picture as it compares with the results, pixel for pixel."""
        return self.placement().place(self.init_image())

    def result(self) -> Img2ImgResult:
        return Img2ImgResult(**self.result_fields())


def encode_image(pipe: Any, image: Image.Image) -> Tensor:
    """Encode a picture to (1, 4, h/8, w/8) latents as the U-Net sees them.

    The mean of the VAE's posterior is taken, not a sample: with the same picture the start differs in
    nothing but the noise.
    """
    return encode_pixels(pipe, pipe.image_processor.preprocess(image))


def round_trip(pipe: Any, image: Image.Image) -> Image.Image:
    """Return a picture as the VAE gives it back; one met before is not encoded or decoded again."""
    pixels = pipe.image_processor.preprocess(image)
    key = ("round trip", *_vae_key(pipe, pixels))
    picture = recall(pipe.vae, key, lambda: decode_latents(pipe, encode_pixels(pipe, pixels))[0])
    return picture.copy()  # it is handed out, and the cache's must stay as it is


def encode_pixels(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode (1, 3, H, W) pixels in -1..1; see encode_image. Pixels met before are not encoded again."""

    @torch.no_grad()
    def encode() -> Tensor:
        with exact_vae(pipe) as vae:
            latents = vae.encode(pixels.to(pipe._execution_device, vae.dtype)).latent_dist.mode()
        return (latents * vae.config.scaling_factor).to(vae.dtype)

    return recall(pipe.vae, ("latents", *_vae_key(pipe, pixels)), encode)


def _vae_key(pipe: Any, pixels: Tensor) -> tuple[Hashable, ...]:
    """Name all that the VAE's answer to pixels depends on: tiles make it another one."""
    tiles = pipe.vae.use_tiling and (pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size)
    return (*fingerprint(pixels), tiles, dressing_of(pipe))


@torch.no_grad()
def decode_latents(pipe: Any, latents: Tensor) -> list[Image.Image]:
    """Decode (B, 4, h, w) latents to B pictures."""
    with exact_vae(pipe) as vae:
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    return pipe.image_processor.postprocess(pixels, output_type="pil")


@contextmanager
def exact_vae(pipe: Any) -> Iterator[Any]:
    """Lend the VAE; SDXL's in float32 where it would overflow in float16, as its pipelines do."""
    vae, dtype = pipe.vae, pipe.vae.dtype
    if dtype == torch.float16 and vae.config.force_upcast and prompts.has_two_encoders(pipe):
        cast_module(vae, torch.float32)
    try:
        yield vae
    finally:
        cast_module(vae, dtype)


def noised_latents(
    pipe: Any, request: Img2ImgRequest, x0: Tensor, generators: list[torch.Generator]
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise x0, (1 or B, 4, h, w), as far as the request's strength says.

    Return (B, 4, h, w) each: the latents to begin from, the noise alone, and the latents scaled as the U-Net
    sees them. The noise is what the generators give first, as in txt2img; with all steps run it is all there
    is, so the picture does not count.
    """
    scheduler, device = pipe.scheduler, pipe._execution_device
    scheduler.set_timesteps(request.num_inference_steps, device=device)
    timesteps, _ = pipe.get_timesteps(request.num_inference_steps, request.strength, device)
    noise = randn_tensor((len(generators), *x0.shape[1:]), generators, device=device, dtype=x0.dtype)
    if request.steps_run == request.num_inference_steps:
        latents = noise * scheduler.init_noise_sigma
    else:
        x0 = x0.expand(len(generators), -1, -1, -1)
        latents = scheduler.add_noise(x0, noise, timesteps[:1].repeat(len(generators)))
    return latents, noise, scheduler.scale_model_input(latents, timesteps[0])
