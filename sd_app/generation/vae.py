"""Pictures to latents and back, by the VAE (Kingma & Welling 2013; Rombach et al. 2022, section 3.1)."""

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor

from ..weights.caches import fingerprint, recall
from ..weights.pipeline import Pipeline
from ..weights.vae_format import note_overflow, works_in

log = logging.getLogger(__name__)


def encode_image(pipe: Pipeline, image: Image.Image) -> Tensor:
    """Encode a picture to (1, 4, h/8, w/8) latents as the U-Net sees them.

    The mean of the VAE's posterior is taken, not a sample: with the same picture the start differs in
    nothing but the noise.
    """
    return encode_pixels(pipe, pixels_of(pipe, image))


def pixels_of(pipe: Pipeline, image: Image.Image) -> Tensor:
    """Return a picture's pixels as the VAE reads them, (1, 3, H, W) in -1..1."""
    pixels: Tensor = _processor(pipe.vae_scale_factor).preprocess(image)
    return pixels


def round_trip(pipe: Pipeline, image: Image.Image) -> Image.Image:
    """Return a picture as the VAE gives it back; one met before is not encoded or decoded again."""
    pixels = pixels_of(pipe, image)
    key = ("round trip", *_vae_key(pipe, pixels))
    picture = recall(pipe.vae, key, lambda: decode_latents(pipe, encode_pixels(pipe, pixels))[0])
    return picture.copy()  # it is handed out, and the cache's must stay as it is


def encode_pixels(pipe: Pipeline, pixels: Tensor) -> Tensor:
    """Encode (1, 3, H, W) pixels in -1..1; see encode_image. Pixels met before are not encoded again."""

    def encode() -> Tensor:
        return once_more_in_float32(pipe, partial(_encode, pipe, pixels), pixels)

    return recall(pipe.vae, ("latents", *_vae_key(pipe, pixels)), encode)


def decode_latents(pipe: Pipeline, latents: Tensor) -> list[Image.Image]:
    """Decode (B, 4, h, w) latents, as the U-Net sees them, to B pictures."""
    return to_images(pipe, decode_pixels(pipe, latents))


def decode_pixels(pipe: Pipeline, latents: Tensor) -> Tensor:
    """Decode (B, 4, h, w) latents, as the U-Net sees them, to (B, 3, H, W) pixels, about -1..1."""
    return once_more_in_float32(pipe, partial(_decode, pipe, latents), latents)


def to_images(pipe: Pipeline, pixels: Tensor) -> list[Image.Image]:
    """Return (B, 3, H, W) pixels as pictures; what is no number is black."""
    processor = _processor(pipe.vae_scale_factor)
    images: list[Image.Image] = processor.postprocess(pixels.nan_to_num(-1.0), output_type="pil")
    return images


def once_more_in_float32(pipe: Pipeline, work: Callable[[], Tensor], given: Tensor) -> Tensor:
    """Return what the VAE makes of a tensor; if that is no numbers, have it work in float32 from now on.

    Where it is given none, or works in float32 already, that would not help.
    """
    made = work()
    in_float32 = works_in(pipe.vae, is_xl=pipe.is_xl) == torch.float32
    if is_finite(made) or in_float32 or not is_finite(given):
        return made
    log.warning("The VAE overflowed in %s; it works in float32 from now on", pipe.vae.dtype)
    note_overflow(pipe.vae)
    del made  # before twice as much is asked for
    return work()


def is_finite(tensor: Tensor) -> bool:
    """Tell whether a tensor holds numbers alone, neither infinity nor NaN."""
    return bool(tensor.isfinite().all())


@torch.no_grad()
def _encode(pipe: Pipeline, pixels: Tensor) -> Tensor:
    with exact_vae(pipe) as vae:
        latents: Tensor = vae.encode(pixels.to(pipe.device, vae.dtype)).latent_dist.mode()
    if statistics := _statistics(pipe, latents):
        latents = (latents - statistics[0]) / statistics[1]
    return (latents * vae.config.scaling_factor).to(vae.dtype)


@torch.no_grad()
def _decode(pipe: Pipeline, latents: Tensor) -> Tensor:
    with exact_vae(pipe) as vae:
        latents = latents.to(vae.dtype)
        statistics = _statistics(pipe, latents)
        if statistics:
            latents = latents * statistics[1]
        latents = latents / vae.config.scaling_factor
        if statistics:
            latents = latents + statistics[0]
        pixels: Tensor = vae.decode(latents, return_dict=False)[0]
    return pixels


@contextmanager
def exact_vae(pipe: Pipeline) -> Iterator[AutoencoderKL]:
    """Lend the VAE; in float32 where it would overflow in its own format."""
    vae, dtype = pipe.vae, pipe.vae.dtype
    try:
        _cast(vae, works_in(vae, is_xl=pipe.is_xl))  # memory may run out half-way
        yield vae
    finally:
        _cast(vae, dtype)  # float16 comes back from float32 as it was


def _cast(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Give a network's weights another format; diffusers' own `to` warns of parts that this one lacks."""
    torch.nn.Module.to(network, dtype)


def _statistics(pipe: Pipeline, latents: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return mean and spread, (1, 4, 1, 1) each, by which an SDXL VAE's latents are normalised, if at all."""
    config = pipe.vae.config
    mean, spread = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if not pipe.is_xl or mean is None or spread is None:
        return None
    shape = (1, -1, 1, 1)
    return latents.new_tensor(mean).view(shape), latents.new_tensor(spread).view(shape)


def _vae_key(pipe: Pipeline, pixels: Tensor) -> tuple[Hashable, ...]:
    """Name all that the VAE's answer to pixels depends on: tiles make it another one."""
    tiles = pipe.vae.use_tiling and (pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size)
    return (*fingerprint(pixels), tiles, pipe.merged)


@lru_cache(maxsize=8)
def _processor(vae_scale_factor: int) -> VaeImageProcessor:
    return VaeImageProcessor(vae_scale_factor=vae_scale_factor)
