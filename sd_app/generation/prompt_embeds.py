"""What the U-Net reads of a job's prompts at each step: one prompt for all pictures, or one a picture."""

from collections.abc import Sequence
from typing import Protocol

from ..expressions import parse_prompt
from ..expressions.editing import MAX_TEXTS_READ, Reading, readings
from ..requests import Txt2ImgRequest
from ..text.embeddings import Encoder
from ..text.prompt_embeds import PromptEmbeds, encode_texts
from ..weights.pipeline import Pipeline
from .starts import steps_of

Steps = tuple[PromptEmbeds, ...]  # one for each step of the schedule; steps alike share one


class Prompts(Protocol):
    """A part of a job: it encodes the prompts of each batch."""

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> Steps:
        """Return the embeds of a batch at each step, counted from the first one that is run."""


class SharedPrompt:
    """All pictures have the same prompts; they are encoded once."""

    def __init__(self) -> None:
        self._steps: Steps | None = None

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> Steps:
        if self._steps is None:
            self._steps = encode_steps(Encoder(pipe, requests[0].clip_skip), requests[:1])
        repeated = {embeds: embeds.repeat(len(requests)) for embeds in dict.fromkeys(self._steps)}
        return tuple(repeated[embeds] for embeds in self._steps)


class PromptOfBatch:
    """The pictures of a batch have the same prompts, those of another one others."""

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> Steps:
        return SharedPrompt().encode(pipe, requests)


class PromptEach:
    """Each picture has its own prompt, beside one negative prompt; texts they share are encoded once.

    `others` are prompts of the same job, to be refused before the first picture is drawn.
    """

    def __init__(self, others: Sequence[Txt2ImgRequest] = ()) -> None:
        self._encoder: Encoder | None = None
        self._others = others

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> Steps:
        if self._encoder is None:
            self._encoder = Encoder(pipe, requests[0].clip_skip)
            for request in self._others:
                for reading in dict.fromkeys(readings(request.prompt, steps_of(requests[0]))):
                    for text in reading.texts:
                        self._encoder.count_chunks(parse_prompt(text))
        return encode_steps(self._encoder, requests)


def encode_steps(encoder: Encoder, requests: Sequence[Txt2ImgRequest]) -> Steps:
    """Encode what requests that differ in their prompt alone read at each step, every text once.

    At guidance 1 the formula's negative half cancels out, but not of prompts joined by AND.
    """
    first, steps = requests[0], steps_of(requests[0])
    read = [readings(request.prompt, steps) for request in requests]
    negative = readings(first.negative_prompt, steps, "negative_prompt", joins=False)
    known: dict[tuple[Reading, ...], PromptEmbeds] = {}
    for step in range(steps):
        here = (*(each[step] for each in read), negative[step])
        if here not in known:
            known[here] = _encode(encoder, first, here[:-1], here[-1].texts[0])
        if len(known) > MAX_TEXTS_READ:
            raise ValueError(
                f"prompt and negative_prompt must become at most {MAX_TEXTS_READ} different pairs of texts in"
                f" one run, and they become more in {steps} steps (use fewer [a|b] that take turns at"
                " different lengths)"
            )
    return tuple(known[*(each[step] for each in read), negative[step]] for step in range(steps))


def _encode(
    encoder: Encoder, request: Txt2ImgRequest, read: Sequence[Reading], negative_text: str
) -> PromptEmbeds:
    """Encode what B pictures read at one step."""
    weights = read[0].weights
    joined = weights != (1.0,)
    if joined and encoder.pipe.reads_guidance:
        raise ValueError(
            "prompt must not join prompts by AND with this model, which is guided without a negative prompt"
            " to compare with (write and in small letters for the word, or choose another model)"
        )
    texts = [reading.texts[part] for part in range(len(weights)) for reading in read]
    guided = joined or request.guidance_scale != 1
    return encode_texts(encoder, texts, negative_text if guided else None, weights=weights)
