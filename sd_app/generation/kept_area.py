"""What an inpainting keeps, in latent space."""

from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..pictures.placement import CELL, Placement
from ..weights.pipeline import Pipeline
from .denoise import PutBack
from .starts import Start
from .vae import encode_pixels, pixels_of


class Keeps(Protocol):
    """A part of a job: it is asked after every step what shall stand in the latents' place."""

    @property
    def latent_mask(self) -> Tensor | None:
        """Return how much of each latent is repainted, (h, w) in 0..1; None: all is made alike."""

    def channels(self, pipe: Pipeline, count: int) -> Tensor | None:
        """Return what a U-Net reads below the latents, (count, C, h, w), if it does."""

    def putting_back(self, pipe: Pipeline, start: Start) -> PutBack | None:
        """Return what a batch's latents become after each step; None where they stay."""


class KeptArea:
    """The part of a picture that is not repainted.

    Most U-Nets know no masks: the kept latents are put back at every step. Those made for inpainting read the
    mask and the masked picture, and nothing is put back.
    """

    def __init__(self, canvas: Image.Image, mask: NDArray[np.uint8], placement: Placement) -> None:
        self._canvas = canvas  # RGB
        self._placement = placement
        # How much each latent is repainted, (h, w) in 0..1: the most of its 8x8 pixels.
        self.latent_mask = torch.from_numpy(placement.pool(mask)).float() / 255
        self._masked_latents: Tensor | None = None  # (1, 4, h, w), for U-Nets made for inpainting

    def channels(self, pipe: Pipeline, count: int) -> Tensor | None:
        """Return mask and masked picture, (count, 5, h, w), for a U-Net that reads them, else None."""
        if not pipe.reads_masks:
            return None
        if self._masked_latents is None:
            pixels = pixels_of(pipe, self._placement.place(self._canvas))
            kept = (self.latent_mask == 0).repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
            self._masked_latents = encode_pixels(pipe, pixels * kept)
        masked = self._masked_latents
        mask = (self.latent_mask > 0).to(masked)[None, None]
        channels = torch.cat([mask, masked], dim=1).to(pipe.device, pipe.unet.dtype)
        return channels.repeat(count, 1, 1, 1)

    def putting_back(self, pipe: Pipeline, start: Start) -> PutBack | None:
        """Return what puts the kept latents of a batch back after a step; None where the U-Net sees to it."""
        return None if pipe.reads_masks else partial(self._put_back, pipe, start)

    def _put_back(self, pipe: Pipeline, start: Start, latents: Tensor, left: int) -> Tensor:
        """Put the original back where it is kept, as noisy as the next step expects it; at last as it is.

        Of a soft mask each latent joins once its grey is above the step's threshold, which falls from 1 to 0
        (Levin & Fried 2023, differential diffusion). White is above all of them, black above none.
        """
        assert start.original is not None
        original = start.original
        if left:
            timesteps = start.timesteps[-left].repeat(len(latents))
            original = pipe.scheduler.add_noise(original.expand_as(latents), start.noise, timesteps)
        joined = self.latent_mask.to(latents.device) > left / len(start.timesteps)
        return torch.where(joined, latents, original)
