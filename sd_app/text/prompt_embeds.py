"""What the U-Net reads of a batch's prompts at one step, encoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..expressions import parse_prompt
from ..requests import CHUNK_TOKENS
from .embeddings import Encoder, refuse_unequal

WINDOW = CHUNK_TOKENS + 2  # rows: start token, tokens, end token


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptEmbeds:
    """Prompts as the U-Net reads them at a step, for B pictures. Without guidance nothing is negative.

    Of k prompts joined by AND `positive` and `pooled` are the first one's. Each has as many windows as it
    has alone beside the negative prompt: an empty one to fill it up with would change what it pulls towards.
    """

    positive: Tensor  # (B, 77*n, D)
    negative: Tensor | None = None  # (B, 77*n, D)
    pooled: Tensor | None = None  # (B, P): what SDXL reads beside them
    negative_pooled: Tensor | None = None  # (B, P)
    joined: tuple[Tensor, ...] = ()  # (B, 77*m, D) of each of the other k-1 prompts
    joined_pooled: tuple[Tensor, ...] = ()  # (B, P) each
    # The k*B texts encoded, B of the first prompt, then B of the second; slots in braces as they are written.
    texts: tuple[str, ...] = ()
    negative_text: str = ""
    weights: tuple[float, ...] = (1.0,)  # of the k prompts

    def repeat(self, count: int) -> "PromptEmbeds":
        """Return the same for so many pictures of each row."""
        if count == 1:
            return self

        def rows(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.repeat_interleave(count, dim=0)

        return PromptEmbeds(
            positive=self.positive.repeat_interleave(count, dim=0),
            negative=rows(self.negative),
            pooled=rows(self.pooled),
            negative_pooled=rows(self.negative_pooled),
            joined=tuple(value.repeat_interleave(count, dim=0) for value in self.joined),
            joined_pooled=tuple(value.repeat_interleave(count, dim=0) for value in self.joined_pooled),
            texts=tuple(text for text in self.texts for _ in range(count)),
            negative_text=self.negative_text,
            weights=self.weights,
        )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return all that the U-Net reads of them."""
        given = (self.positive, self.negative, self.pooled, self.negative_pooled)
        return (*(one for one in given if one is not None), *self.joined, *self.joined_pooled)


def encode_texts(
    encoder: Encoder,
    texts: Sequence[str],
    negative_text: str | None,
    *,
    weights: tuple[float, ...] = (1.0,),
) -> PromptEmbeds:
    """Encode k*B texts and, for guidance, a negative one, which has as many windows as the first prompt."""
    negative_template = None if negative_text is None else parse_prompt(negative_text, "negative_prompt")
    least = encoder.count_chunks(negative_template) if negative_template else 1
    pictures = len(texts) // len(weights)
    parts = [texts[first : first + pictures] for first in range(0, len(texts), pictures)]
    positive, *joined = (_encode_part(encoder, part, least) for part in parts)
    negative = None
    if negative_template:
        num_chunks = positive.shape[1] // WINDOW
        negative = encoder.encode(negative_template, num_chunks).expand(pictures, -1, -1)
    embeds = PromptEmbeds(
        positive=positive,
        negative=negative,
        joined=tuple(joined),
        texts=tuple(texts),
        negative_text=negative_text or "",
        weights=weights,
    )
    return _complete(encoder, embeds)


def _encode_part(encoder: Encoder, texts: Sequence[str], num_chunks: int) -> Tensor:
    """Encode what B pictures read of one prompt to (B, 77*n, D), n being num_chunks or what it needs."""
    templates = [parse_prompt(text) for text in texts]
    counts = {text: encoder.count_chunks(template) for text, template in zip(texts, templates, strict=True)}
    if len(set(counts.values())) > 1:  # pictures in one batch are of one shape
        refuse_unequal({(text,): count for text, count in counts.items()})
    num_chunks = max(num_chunks, *counts.values())
    return torch.cat([encoder.encode(template, num_chunks) for template in templates])


def _complete(encoder: Encoder, embeds: PromptEmbeds) -> PromptEmbeds:
    """Add what SDXL reads beside the embeds.

    An empty negative prompt is all zeros to SDXL, as it was when it was trained.
    """
    if not encoder.pipe.is_xl:
        return embeds
    vectors = torch.cat([encoder.pool(parse_prompt(text)) for text in embeds.texts])
    pooled, *joined = vectors.split(len(embeds.positive))
    embeds = replace(embeds, pooled=pooled, joined_pooled=tuple(joined))
    if embeds.negative is None:
        return embeds
    negative = embeds.negative
    vector = encoder.pool(parse_prompt(embeds.negative_text)).expand(len(negative), -1)
    if not embeds.negative_text.strip():
        negative, vector = torch.zeros_like(negative), torch.zeros_like(vector)
    return replace(embeds, negative=negative, negative_pooled=vector)
