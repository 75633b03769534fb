"""What the U-Net reads beside latents and timestep, put together for one batch."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from ..expressions.editing import parse_joined
from ..requests import Txt2ImgRequest
from ..speed import Conditioning
from ..text.prompt_embeds import PromptEmbeds
from ..weights.pipeline import Pipeline


def make_conditionings(
    pipe: Pipeline,
    request: Txt2ImgRequest,
    steps: Sequence[PromptEmbeds],
    channels: Tensor | None = None,
) -> tuple[Conditioning, ...]:
    """Return the conditioning of every step; steps that share their embeds share it too, tensors and all."""
    made = {id(embeds): make_conditioning(pipe, request, embeds, channels) for embeds in dict.fromkeys(steps)}
    return tuple(made[id(embeds)] for embeds in steps)


def make_conditioning(
    pipe: Pipeline, request: Txt2ImgRequest, embeds: PromptEmbeds, channels: Tensor | None = None
) -> Conditioning:
    """Put a batch's prompt embeds, SDXL's sizes and a distilled U-Net's guidance together.

    `channels`, (B, C, h, w), are what a U-Net made for inpainting reads below the latents.
    """
    guided = embeds.negative is not None and not pipe.reads_guidance
    first = embeds.positive, embeds.pooled
    if guided:
        assert embeds.negative is not None
        tables = [[(embeds.negative, embeds.negative_pooled), first]]
    else:
        tables = [[first]]
    # Two at a time, of one shape: no call needs more memory than that of one guided prompt.
    pooled = embeds.joined_pooled or (None,) * len(embeds.joined)
    alike = groupby(zip(embeds.joined, pooled, strict=True), key=lambda part: part[0].shape)
    for _, group in alike:
        others = list(group)
        tables += [others[at : at + 2] for at in range(0, len(others), 2)]
    tensors, *more = (_arguments(pipe, request, table) for table in tables)
    return Conditioning(
        tensors=tensors, is_guided=guided, channels=channels, more=tuple(more), weights=embeds.weights
    )


def _arguments(
    pipe: Pipeline, request: Txt2ImgRequest, parts: Sequence[tuple[Tensor, Tensor | None]]
) -> dict[str, Tensor]:
    """Return the U-Net's arguments for texts, (B, 77*n, D) and of SDXL (B, P) each, one below the other."""
    texts, vectors = zip(*parts, strict=True)
    tensors = {"encoder_hidden_states": _below(texts)}
    dtype = texts[0].dtype
    if pipe.is_xl:
        pooled = _below(vectors)
        # Micro-conditioning (Podell et al. 2023): size of the original, corner of the crop, size wanted.
        size = (request.height, request.width)
        time_ids = torch.tensor([[*size, 0, 0, *size]], dtype=dtype).to(pipe.device)
        tensors |= {
            "added_cond_kwargs.text_embeds": pooled,
            "added_cond_kwargs.time_ids": time_ids.repeat(len(pooled), 1),
        }
    if pipe.reads_guidance:
        assert request.guidance_scale is not None
        scale = torch.tensor(request.guidance_scale - 1).repeat(len(texts[0]))
        embedded = embed_guidance(scale, pipe.unet.config.time_cond_proj_dim)
        tensors["timestep_cond"] = embedded.to(pipe.device, dtype)
    return {name: tensor.to(pipe.device) for name, tensor in tensors.items()}


def _below(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def is_guided(pipe: Pipeline, request: Txt2ImgRequest) -> bool:
    """Tell whether the U-Net runs with both prompts: at w = 1, eps_n + w (eps_c - eps_n) is eps_c alone.

    Not so of prompts joined by AND, which are always compared with the negative one.
    """
    if pipe.reads_guidance:
        return False
    return request.guidance_scale != 1 or len(parse_joined(request.prompt)) > 1


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
