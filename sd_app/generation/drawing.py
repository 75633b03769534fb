"""Prompts with choices and wildcards: each picture's own is drawn by its seed, before anything is loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from ..requests import Txt2ImgRequest
from ..settings import Settings
from ..templates import Style, Wildcards, apply_styles, draw, read_styles
from .frames import Batch, DrawnFrames
from .job import JobParts
from .prompt_embeds import PromptOfBatch


def with_drawn_prompts(parts: JobParts, request: Txt2ImgRequest, settings: Settings) -> JobParts:
    """Return a job's parts with every picture's prompts drawn; without templates they stay as they are.

    Raise ValueError for a wildcard that is not there, and for a prompt that no request may hold.
    """
    if not request.is_template:
        return parts
    wildcards = Wildcards(settings.wildcards_dir)
    styles = read_styles(settings.styles_file).styles if request.styles else {}
    pictures = [parts.frames.request_of(index) for index in range(parts.frames.count)]
    drawn = [drawn_request(one, wildcards, styles) for one in pictures]
    return replace(parts, frames=DrawnFrames(drawn), prompts=PromptOfBatch())


def drawn_request(
    request: Txt2ImgRequest, wildcards: Wildcards, styles: Mapping[str, Style]
) -> Txt2ImgRequest:
    """Return a picture's request: styles applied, prompts drawn by its seed, what they were beside them."""
    assert request.seed is not None
    prompt, negative = apply_styles(request.prompt, request.negative_prompt, request.styles, styles)
    prompt = draw(prompt, request.seed, wildcards.lines)
    negative = draw(negative, request.seed, wildcards.lines, "negative_prompt")
    return request.drawn_as(prompt, negative)


def groups(
    parts: JobParts, request: Txt2ImgRequest, batch_size: int
) -> Iterator[tuple[str, Iterator[Batch]]]:
    """Yield the batches made with the same LoRAs and learned words, after the prompt that names those."""
    batches = parts.frames.batches(batch_size)
    if not isinstance(frames := parts.frames, DrawnFrames):
        yield request.prompt, batches
        return
    yield from groupby(batches, lambda batch: frames.request_of(batch[0]).prompt)
