"""What the U-Net reads of a batch's prompts at one step, encoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..expressions import parse_prompt
from .embeddings import Encoder, refuse_unequal


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptEmbeds:
    """Prompts as the U-Net reads them at a step, for B pictures. Without guidance nothing is negative.

    Of k prompts joined by AND the B rows of the first come first, then the B rows of the second, and so on.
    """

    positive: Tensor  # (k*B, 77*n, D)
    negative: Tensor | None = None  # (B, 77*n, D)
    pooled: Tensor | None = None  # (k*B, P): what SDXL reads beside them
    negative_pooled: Tensor | None = None  # (B, P)
    texts: tuple[str, ...] = ()  # the k*B texts encoded, slots in braces as they are written
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
            texts=tuple(text for text in self.texts for _ in range(count)),
            negative_text=self.negative_text,
            weights=self.weights,
        )


def encode_texts(
    encoder: Encoder,
    texts: Sequence[str],
    negative_text: str | None,
    *,
    weights: tuple[float, ...] = (1.0,),
) -> PromptEmbeds:
    """Encode k*B texts and, for guidance, a negative one; all get as many windows as the longest needs."""
    templates = [parse_prompt(text) for text in texts]
    negative_template = None if negative_text is None else parse_prompt(negative_text, "negative_prompt")
    pictures = len(texts) // len(weights)
    counts = [encoder.count_chunks(template) for template in templates]
    for first in range(
        0, len(texts), pictures
    ):  # of one place in AND: pictures in one batch are of one shape
        alike = dict(zip(texts[first : first + pictures], counts[first : first + pictures], strict=True))
        if len(set(alike.values())) > 1:
            refuse_unequal({(text,): count for text, count in alike.items()})
    num_chunks = max(counts)
    if negative_template:
        num_chunks = max(num_chunks, encoder.count_chunks(negative_template))
    positive = torch.cat([encoder.encode(template, num_chunks) for template in templates])
    negative = None
    if negative_template:
        negative = encoder.encode(negative_template, num_chunks).expand(pictures, -1, -1)
    embeds = PromptEmbeds(
        positive=positive,
        negative=negative,
        texts=tuple(texts),
        negative_text=negative_text or "",
        weights=weights,
    )
    return _complete(encoder, embeds)


def _complete(encoder: Encoder, embeds: PromptEmbeds) -> PromptEmbeds:
    """Add what SDXL reads beside the embeds.

    An empty negative prompt is all zeros to SDXL, as it was when it was trained.
    """
    if not encoder.pipe.is_xl:
        return embeds
    pooled = torch.cat([encoder.pool(parse_prompt(text)) for text in embeds.texts])
    if embeds.negative is None:
        return replace(embeds, pooled=pooled)
    negative = embeds.negative
    vector = encoder.pool(parse_prompt(embeds.negative_text)).expand(len(negative), -1)
    if not embeds.negative_text.strip():
        negative, vector = torch.zeros_like(negative), torch.zeros_like(vector)
    return replace(embeds, negative=negative, pooled=pooled, negative_pooled=vector)
