"""Pictures of an expression, and prompts as the tensors they become."""

import time
from collections.abc import Sequence

import torch

from ..addons import choose_additions
from ..catalog import find_model
from ..checkpoints.model_info import ModelInfo
from ..checks import check_int, check_text
from ..expressions import parse_prompt
from ..expressions.editing import readings, refuse_changing
from ..expressions.tags import find_tags
from ..requests import (
    MAX_PROMPT,
    BlendRequest,
    BlendResult,
    Encoding,
    NearWord,
    RowReport,
    Step,
    Txt2ImgRequest,
    request_fields,
)
from ..text import embeddings, prompts
from ..weights.model_manager import ModelManager
from ..weights.pipeline import Pipeline
from .frames import SeedFrames
from .job import JobParts, OnStep
from .prompt_embeds import SharedPrompt, Steps
from .run import RunOptions, run_job
from .starts import FromNoise, steps_of

READING = "Reading the vocabulary"

MAX_NEAR = 100  # words or channels of a report


def blend(manager: ModelManager, request: BlendRequest, options: RunOptions) -> BlendResult:
    """Make the picture of an expression; see Studio.blend."""
    explained: ExplainedPrompt

    def compose(request: Txt2ImgRequest, info: ModelInfo) -> JobParts:
        nonlocal explained
        explained = ExplainedPrompt(info.name)
        return JobParts(frames=SeedFrames(request), start=FromNoise(), prompts=explained)

    job = run_job(manager, request.picture_of(request.blended_prompt), compose, options)
    return BlendResult(**job.result_fields(), encoding=explained.encoding, near=explained.near)


class ExplainedPrompt(SharedPrompt):
    """A prompt for all pictures that also keeps what it became: the text of the first step."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model
        self.encoding: Encoding | None = None
        self.near: tuple[tuple[NearWord, ...], ...] = ()

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> Steps:
        if self.encoding is None:
            request = requests[0]
            text = readings(request.prompt, steps_of(request))[0].texts[0]
            self.encoding = encoding_of(pipe, text, self._model, request.clip_skip)
            self.near = near_tokens(pipe, text, request.clip_skip)
        return super().encode(pipe, requests)


def encode(manager: ModelManager, prompt: str, model: str | None, *, clip_skip: int = 1) -> Encoding:
    """Return a prompt's numbers; see Studio.encode."""
    check_prompt(prompt, clip_skip)
    info = find_model(manager.settings, model)
    additions = choose_additions(manager.settings, info, prompt)
    with manager.pipeline(info.name, info.default_scheduler, additions=additions) as pipe:
        return encoding_of(pipe, prompt, info.name, clip_skip)


def look_up(
    manager: ModelManager,
    prompt: str,
    row: int,
    model: str | None,
    *,
    clip_skip: int = 1,
    count: int = 8,
    on_step: OnStep | None = None,
) -> RowReport:
    """Describe one row of an encoded prompt; see Studio.look_up."""
    check_prompt(prompt, clip_skip)
    check_int("count", count, 1, MAX_NEAR)
    info = find_model(manager.settings, model)
    started = time.perf_counter()

    def on_batch(done: int, words: int) -> None:
        if on_step:
            seconds = time.perf_counter() - started
            on_step(
                Step(step=done, num_steps=words, image_index=0, num_images=1, seconds=seconds, text=READING)
            )

    additions = choose_additions(manager.settings, info, prompt)
    with manager.pipeline(info.name, info.default_scheduler, additions=additions) as pipe:
        encoding = encoding_of(pipe, prompt, info.name, clip_skip)
        check_int("row", row, 0, len(encoding.embeds) - 1)
        vector = torch.from_numpy(encoding.embeds[row])
        near = embeddings.nearest_words(pipe, vector, clip_skip=clip_skip, count=count, on_batch=on_batch)
    return RowReport(
        token=encoding.table.rows[row],
        norm=float(encoding.norms[row]),
        channels=encoding.largest_channels(row, count),
        near=near,
    )


def check_prompt(prompt: str, clip_skip: int) -> None:
    """Refuse what is no prompt; the empty one is."""
    check_text("prompt", prompt, MAX_PROMPT)
    find_tags(prompt)
    refuse_changing("prompt", prompt)
    parse_prompt(prompt)
    request_fields(Txt2ImgRequest)["clip_skip"].checked(clip_skip)


def encoding_of(pipe: Pipeline, prompt: str, model: str, clip_skip: int) -> Encoding:
    """Encode a prompt on a pipe and bring it to NumPy."""
    embeds = embeddings.encode(pipe, prompt, clip_skip=clip_skip)[0]
    empty = prompts.encode(pipe, "", clip_skip=clip_skip)[0]
    windows = len(embeds) // len(empty)
    return Encoding(
        prompt=prompt,
        model=model,
        clip_skip=clip_skip,
        embeds=embeds.float().cpu().numpy(),
        empty=empty.repeat(windows, 1).float().cpu().numpy(),
        table=prompts.token_table(pipe.tokenizer, prompt, pipe.words, num_chunks=windows),
    )


def near_tokens(pipe: Pipeline, prompt: str, clip_skip: int) -> tuple[tuple[NearWord, ...], ...]:
    """Return the tokens nearest to a blended word's vectors, an entry for each row of the prompt's slots."""
    template = parse_prompt(prompt)
    encoder = embeddings.Encoder(pipe, clip_skip)
    return tuple(
        embeddings.nearest_tokens(pipe, vector)
        for slot in range(len(template.slots))
        for vector in encoder.input_vectors(template, slot)
    )
