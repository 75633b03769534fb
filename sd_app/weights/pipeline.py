"""A checkpoint's parts as one job is lent them."""

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ..addons import NO_WORDS, WordBook
from ..checkpoints.folders import INPAINT_CHANNELS
from ..speed import FastUNet
from .components import LoadedParts
from .scheduling import Scheduler


@dataclass(kw_only=True, eq=False, repr=False)
class Pipeline:
    """The parts that make a picture, with what the job added to them. The model manager makes it.

    The networks are the checkpoint's own, shared by all jobs; the scheduler is this job's alone.
    """

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler: Scheduler
    fast_unet: FastUNet  # how the U-Net is called
    device: torch.device  # where the parts run
    offloads: bool = False  # they wait in main memory, and visit the device one by one
    tokenizer_2: CLIPTokenizer | None = None  # these two: SDXL's
    text_encoder_2: CLIPTextModelWithProjection | None = None
    words: WordBook = NO_WORDS  # learned words that prompts may hold
    merged: Hashable = (
        None  # the name of what changed the networks' weights since they were loaded; None: nothing
    )
    preview_decoder: nn.Module | None = None
    remarks: tuple[str, ...] = ()  # sentences on what of its add-ons is not used

    @property
    def is_xl(self) -> bool:
        """Tell SDXL, which reads a prompt with two text encoders."""
        return self.text_encoder_2 is not None

    @property
    def reads_masks(self) -> bool:
        """Tell a U-Net made for inpainting: it reads mask and masked picture beside the latents."""
        return bool(self.unet.config.in_channels == INPAINT_CHANNELS)

    @property
    def reads_guidance(self) -> bool:
        """Tell a U-Net distilled with guidance inside: it reads the scale and has no second half."""
        return self.unet.config.time_cond_proj_dim is not None

    @property
    def vae_scale_factor(self) -> int:
        """Return how many pixels a latent stands for along each side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def text_encoders(self) -> list[CLIPTextModel]:
        """Return the text encoders, one or SDXL's two."""
        return [self.text_encoder, *([self.text_encoder_2] if self.text_encoder_2 is not None else [])]

    @property
    def tokenizers(self) -> list[CLIPTokenizer]:
        """Return each text encoder's tokenizer."""
        return [self.tokenizer, *([self.tokenizer_2] if self.tokenizer_2 is not None else [])]

    @property
    def networks(self) -> list[nn.Module]:
        """Return the networks in the order in which a job calls them."""
        return [*self.text_encoders, self.unet, self.vae]

    @property
    def components(self) -> LoadedParts:
        """Return the parts by diffusers' names: what its own pipelines are made of."""
        parts: LoadedParts = {
            "tokenizer": self.tokenizer,
            "text_encoder": self.text_encoder,
            "unet": self.unet,
            "vae": self.vae,
            "scheduler": self.scheduler,
        }
        if self.is_xl:
            parts["tokenizer_2"], parts["text_encoder_2"] = self.tokenizers[1], self.text_encoders[1]
        return parts
