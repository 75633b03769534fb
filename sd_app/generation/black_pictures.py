"""A picture is black where a network gave no numbers: which one it was, and what helps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..text.prompt_embeds import PromptEmbeds
from ..weights.pipeline import Pipeline
from .starts import Start
from .vae import is_finite

OTHER_FORMATS = {
    torch.float16: "start with --dtype bfloat16 or float32",
    torch.bfloat16: "start with --dtype float32",
}
ELSE = "check the model and its add-ons"


def why_black(
    pipe: Pipeline, steps: Sequence[PromptEmbeds], start: Start, latents: Tensor, pixels: Tensor
) -> str:
    """Return a sentence on the first part that gave no numbers, if the decoded pixels show that one did.

    A VAE that overflows is not such a one, as it is run again in float32 (vae.py).
    """
    if is_finite(pixels):
        return ""
    texts = [text for embeds in dict.fromkeys(steps) for text in embeds.tensors]
    if not all(map(is_finite, texts)):
        part, dtype = "text encoder", pipe.text_encoder.dtype
    elif not is_finite(start.latents):
        part, dtype = "VAE, reading the start picture,", pipe.vae.dtype
    elif not is_finite(latents):
        part, dtype = "U-Net", pipe.unet.dtype
    else:
        part, dtype = "VAE", torch.float32
    words = str(dtype).removeprefix("torch.")
    return f"The {part} gave only NaN in {words}, so pictures are black ({OTHER_FORMATS.get(dtype, ELSE)})."
