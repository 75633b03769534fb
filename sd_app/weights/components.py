"""What a checkpoint consists of, by the names that diffusers gives its parts."""

from typing import TypedDict

from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


class Components(TypedDict, total=False):
    """The parts of a checkpoint; those ending in _2 are SDXL's."""

    tokenizer: CLIPTokenizer
    tokenizer_2: CLIPTokenizer
    text_encoder: CLIPTextModel
    text_encoder_2: CLIPTextModelWithProjection
    unet: UNet2DConditionModel
    vae: AutoencoderKL


class LoadedParts(Components, total=False):
    """A checkpoint as it is on disk: its scheduler too."""

    scheduler: SchedulerMixin
