"""What the U-Net reads of a job's prompts: one prompt for all pictures, or one a picture."""

from collections.abc import Sequence
from typing import Protocol

import torch

from ..expressions import parse_prompt
from ..requests import Txt2ImgRequest
from ..text import embeddings
from ..text.embeddings import Encoder, PromptEmbeds
from ..weights.pipeline import Pipeline


class Prompts(Protocol):
    """A part of a job: it encodes the prompts of each batch."""

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> PromptEmbeds:
        """Return the embeds of a batch, a row for each request."""


class SharedPrompt:
    """All pictures have the same prompts; they are encoded once."""

    def __init__(self) -> None:
        self._embeds: PromptEmbeds | None = None

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> PromptEmbeds:
        if self._embeds is None:
            self._embeds = encode_request(pipe, requests[0])
        return self._embeds.repeat(len(requests))


class PromptEach:
    """Each picture has its own prompt, beside one negative prompt; texts they share are encoded once."""

    def __init__(self) -> None:
        self._encoder: Encoder | None = None

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> PromptEmbeds:
        first, prompts = requests[0], [request.prompt for request in requests]
        negative_prompt = parse_prompt(first.negative_prompt)
        if self._encoder is None:
            self._encoder = Encoder(pipe, first.clip_skip)
            both = parse_prompt(first.prompt), negative_prompt
            self._encoder.num_chunks = max(map(self._encoder.count_chunks, both))
        positive = torch.cat([self._encoder.encode(parse_prompt(prompt)) for prompt in prompts])
        negative = None
        if first.guidance_scale != 1:
            negative = self._encoder.encode(negative_prompt).expand(len(prompts), -1, -1)
        embeds = PromptEmbeds(positive=positive, negative=negative)
        return embeddings.complete(self._encoder, embeds, prompts, first.negative_prompt)


def encode_request(pipe: Pipeline, request: Txt2ImgRequest) -> PromptEmbeds:
    """Encode a request's prompts for one picture. At guidance 1 the formula's negative half cancels out."""
    prompt, negative_prompt, clip_skip = request.prompt, request.negative_prompt, request.clip_skip
    if request.guidance_scale == 1:
        embeds = PromptEmbeds(positive=embeddings.encode(pipe, prompt, clip_skip=clip_skip))
    else:
        positive, negative = embeddings.encode_pair(pipe, prompt, negative_prompt, clip_skip=clip_skip)
        embeds = PromptEmbeds(positive=positive, negative=negative)
    return embeddings.complete(Encoder(pipe, clip_skip), embeds, [prompt], negative_prompt)
