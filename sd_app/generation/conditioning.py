"""What the U-Net reads beside latents and timestep, put together for one batch."""

import torch
from torch import Tensor

from ..requests import Txt2ImgRequest
from ..speed import Conditioning
from ..text.embeddings import PromptEmbeds
from ..weights.pipeline import Pipeline


def make_conditioning(
    pipe: Pipeline, request: Txt2ImgRequest, embeds: PromptEmbeds, channels: Tensor | None = None
) -> Conditioning:
    """Put a batch's prompt embeds, SDXL's sizes and a distilled U-Net's guidance together.

    `channels`, (B, C, h, w), are what a U-Net made for inpainting reads below the latents.
    """
    guided = is_guided(pipe, request)
    tensors = {"encoder_hidden_states": _rows(embeds.positive, embeds.negative if guided else None)}
    count = len(embeds.positive)
    if pipe.is_xl:
        assert embeds.pooled is not None
        dtype = embeds.positive.dtype
        pooled = _rows(embeds.pooled, embeds.negative_pooled if guided else None)
        # Micro-conditioning (Podell et al. 2023): size of the original, corner of the crop, size wanted.
        size = (request.height, request.width)
        time_ids = torch.tensor([[*size, 0, 0, *size]], dtype=dtype).to(pipe.device)
        tensors |= {
            "added_cond_kwargs.text_embeds": pooled,
            "added_cond_kwargs.time_ids": time_ids.repeat(len(pooled), 1),
        }
    if pipe.reads_guidance:
        assert request.guidance_scale is not None
        scale = torch.tensor(request.guidance_scale - 1).repeat(count)
        embedded = embed_guidance(scale, pipe.unet.config.time_cond_proj_dim)
        tensors["timestep_cond"] = embedded.to(pipe.device, embeds.positive.dtype)
    return Conditioning(
        tensors={name: tensor.to(pipe.device) for name, tensor in tensors.items()},
        is_guided=guided,
        channels=channels,
    )


def is_guided(pipe: Pipeline, request: Txt2ImgRequest) -> bool:
    """Tell whether the U-Net runs with both prompts: at w = 1, eps_n + w (eps_c - eps_n) is eps_c alone."""
    return request.guidance_scale != 1 and not pipe.reads_guidance


def embed_guidance(scale: Tensor, dimensions: int) -> Tensor:
    """Return (B, dimensions) sines and cosines of guidance scales w - 1, (B,) (Luo et al. 2023, LCM).

    Of 1000 w at frequencies 10000^(-k / (half - 1)), as timesteps are embedded (Vaswani et al. 2017).
    """
    half = dimensions // 2
    step = torch.log(torch.tensor(10000.0)) / (half - 1)
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -step)
    angles = (scale * 1000.0)[:, None] * frequencies[None]
    embedded = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    return torch.nn.functional.pad(embedded, (0, dimensions % 2))


def _rows(positive: Tensor, negative: Tensor | None) -> Tensor:
    """Put the unconditional rows before the conditional ones."""
    return positive if negative is None else torch.cat([negative, positive])
