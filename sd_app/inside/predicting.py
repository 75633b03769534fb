"""Ask the U-Net again at a recorded step, with other words: one call, no new run."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..catalog import find_model
from ..expressions.editing import readings
from ..generation.conditioning import make_conditioning
from ..generation.inpaint import compose_inpaint
from ..generation.starts import steps_of
from ..probes.recording import Recording
from ..requests import InpaintRequest
from ..speed.call_plan import CallPlan
from ..text.embeddings import Encoder
from ..text.prompt_embeds import PromptEmbeds, encode_texts
from ..weights.model_manager import ModelManager
from ..weights.pipeline import Pipeline

CELLS_TOGETHER = 8 * 64 * 64  # of the latents asked at once: 8 pictures of 512x512
MOST_TOGETHER = 64


def encode_as_in_run(
    pipe: Pipeline, recording: Recording, call: int, texts: Sequence[str]
) -> list[PromptEmbeds]:
    """Encode texts as the run would have read them at a call, each alone: (1, 77*n, D), nothing negative.

    Each has at least as many windows as the negative prompt, as in the run; SDXL's pooled vectors are there.
    """
    request = recording.request
    encoder = Encoder(pipe, request.clip_skip)
    steps = steps_of(request)
    negative = readings(request.negative_prompt, steps, "negative_prompt", joins=False)
    negative_text = negative[min(call // recording.facts.order, steps - 1)].texts[0]
    guided = negative_text if recording.guided_calls else None
    found = []
    for text in texts:
        embeds = encode_texts(encoder, [text], guided)
        found.append(replace(embeds, negative=None, negative_pooled=None))
    return found


@torch.no_grad()
def predict(
    manager: ModelManager,
    pipe: Pipeline,
    recording: Recording,
    call: int,
    embeds: Sequence[PromptEmbeds],
    latents: Tensor | None = None,
) -> Tensor:
    """Return the U-Net's outputs with other texts at a call's timestep, (len(embeds), 4, h, w) on the CPU.

    They are asked on the recorded x_t, or on `latents`, x_t as the sampler keeps it: (4, h, w) for all or
    (len(embeds), 4, h, w). Texts of one length are asked together.
    """
    if latents is None:
        latents = recording.latents[call]
    if latents.ndim == 3:
        latents = latents.expand(len(embeds), -1, -1, -1)
    if not recording.facts.keeps_variance:  # as scale_model_input does
        latents = latents / (float(recording.sigmas[call]) ** 2 + 1) ** 0.5
    groups: dict[int, list[int]] = {}
    for number, one in enumerate(embeds):
        groups.setdefault(one.positive.shape[1], []).append(number)
    together = max(1, min(MOST_TOGETHER, CELLS_TOGETHER // latents[0, 0].numel()))
    outputs: dict[int, Tensor] = {}
    for numbers in groups.values():
        for start in range(0, len(numbers), together):
            part = numbers[start : start + together]
            made = _ask(manager, pipe, recording, call, [embeds[number] for number in part], latents[part])
            outputs |= dict(zip(part, made, strict=True))
    return torch.stack([outputs[number] for number in range(len(embeds))])


def _ask(
    manager: ModelManager,
    pipe: Pipeline,
    recording: Recording,
    call: int,
    embeds: Sequence[PromptEmbeds],
    model_input: Tensor,
) -> Tensor:
    """Run one call of B texts on (B, 4, h, w)."""
    request = recording.request
    channels = None
    if pipe.reads_masks and isinstance(request, InpaintRequest):
        kept = compose_inpaint(request, find_model(manager.settings, request.model)).kept
        assert kept
        channels = kept.channels(pipe, len(embeds))
    pooled = [one.pooled for one in embeds if one.pooled is not None]
    merged = PromptEmbeds(
        positive=torch.cat([one.positive for one in embeds]),
        pooled=torch.cat(pooled) if pooled else None,
    )
    conditioning = make_conditioning(pipe, request, merged, channels)
    timestep = recording.timesteps[call]
    if timestep == timestep.round():
        timestep = timestep.long()
    with pipe.fast_unet.running(CallPlan(), [conditioning], lambda _: None) as unet:
        answer = unet(model_input.to(pipe.device, pipe.unet.dtype), timestep)
    return answer.conditional.cpu()
