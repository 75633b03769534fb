"""What guidance did: how far it pushed at every step, where, and from when on the prompt was not needed.

All in x0 units, that is as a change of the predicted picture: w * (x0(c) - x0(u)), which for a model that
predicts noise is w * noise/signal * (c - u). The angle between c and u is not shown: it is about three
degrees always, and says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..generation.job import JobParts
from ..generation.prompt_embeds import SharedPrompt, Steps
from ..probes.recording import CONDITIONAL, UNCONDITIONAL, Recording
from ..requests import Txt2ImgRequest
from ..text.embeddings import Encoder
from ..text.prompt_embeds import encode_texts
from ..weights.pipeline import Pipeline
from .again import Again, make_frames, of_picture
from .answers import Answers, are_same, num_windows
from .look import Look
from .prompt_words import reader_of
from .word_effects import Floats

NEEDLESS = 0.1  # of the finished latents' own spread: two predictions that differ by less show the same

NO_GUIDANCE = "This run had no half without the prompt, so nothing was pushed: "


@dataclass(frozen=True, kw_only=True, eq=False)
class Push:
    """How far something pushed the predicted picture at each of n U-Net calls; NaN where it did not."""

    maps: Floats  # (n, h, w): length over the four channels, in x0 units
    sizes: Floats  # (n,): root mean square over places and channels
    scale: float  # what the difference was multiplied by

    @property
    def calls(self) -> list[int]:
        """Return the calls with a push."""
        return [int(call) for call in np.flatnonzero(~np.isnan(self.sizes))]


def guidance_push(recording: Recording, scale: float | None = None) -> Push:
    """Return w * (x0(c) - x0(u)) of every call, with another w if `scale` says so.

    Raise ValueError where the run had no second half.
    """
    refuse_unguided(recording)
    w = recording.guidance_scale if scale is None else scale
    pairs = [
        (recording.x0(call, CONDITIONAL), recording.x0(call, UNCONDITIONAL)) for call in _calls(recording)
    ]
    return _push([None if u is None or c is None else w * (c - u) for c, u in pairs], recording, w)


def negative_push(look: Look, calls: Sequence[int] | None = None) -> Push:
    """Return what the negative prompt pushed, against an empty one: (1 - w) * (x0(u) - x0(empty)).

    The U-Net is asked once for each of the calls, by default all that were guided. Raise ValueError where the
    run had no second half.
    """
    recording = look.recording
    refuse_unguided(recording)
    factor = 1 - recording.guidance_scale
    chosen = set(recording.guided_calls if calls is None else calls) & set(recording.guided_calls)
    read = reader_of(look, negative=True).read(recording.request.negative_prompt)
    changes: list[Tensor | None] = [None] * recording.num_calls
    with look.pipe() as pipe:
        answers = Answers(look, pipe)
        for call in sorted(chosen):
            text = read[min(call // recording.facts.order, len(read) - 1)].texts[0]
            count = next(num_windows(text) for text in recording.texts if call in text.calls)
            both = [answers.encode(each, count, negative=True) for each in (text, "")]
            if are_same(*both):
                changes[call] = torch.zeros_like(recording.final)
                continue
            own, empty = (recording.x0_from(call, answer) for answer in answers.ask(call, both))
            changes[call] = factor * (own - empty)
    return _push(changes, recording, factor)


def needless_from(recording: Recording) -> int | None:
    """Return the first call from which on the model no longer needs the prompt, None if it does to the end.

    Decided so: there and at every later call the pictures predicted with the prompt and without it, neither
    of them guided, differ by less than a tenth of the finished latents' own spread (root mean squares).
    without_prompt_from tells what really becomes of the picture.
    """
    refuse_unguided(recording)
    sizes = guidance_push(recording, 1.0).sizes
    limit = needless_limit(recording)
    needed = [call for call in _calls(recording) if call in recording.guided_calls and sizes[call] >= limit]
    first = needed[-1] + 1 if needed else 0
    return first if first < recording.num_calls else None


def needless_limit(recording: Recording) -> float:
    """Return the size below which two predictions of this run show the same, in x0 units."""
    return NEEDLESS * float(recording.final.float().std())


def without_prompt_from(look: Look, step: int) -> Again:
    """Make the picture again with the prompt taken away from a step on (from 0): an empty one is read."""

    def change(parts: JobParts) -> JobParts:
        return replace(parts, prompts=UntilStep(step))

    [picture] = make_frames(look, look.request, change=change)
    return of_picture(look.recording, picture, label=f"no prompt from step {step + 1} on")


class UntilStep(SharedPrompt):
    """The prompts of a job, of which the positive one is empty from a step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> Steps:
        steps = super().encode(pipe, requests)
        request = requests[0]
        negative = request.negative_prompt if steps[0].negative is not None else None
        empty = encode_texts(Encoder(pipe, request.clip_skip), [""], negative).repeat(len(requests))
        return *steps[: self._step], *(empty for _ in steps[self._step :])


def refuse_unguided(recording: Recording) -> None:
    """Raise ValueError, saying why, where a run had no half without the prompt."""
    if not recording.guided_calls:
        raise ValueError(why_unguided(recording))


def why_unguided(recording: Recording) -> str:
    """Say why a run had no half without the prompt; empty if it had one."""
    if recording.guided_calls:
        return ""
    if recording.facts.reads_guidance:
        return NO_GUIDANCE + "guidance is inside this model, which reads it as a number."
    scale = recording.request.guidance_scale
    return NO_GUIDANCE + f"at guidance {scale:g} the model runs with the prompt alone."


def _calls(recording: Recording) -> range:
    return range(recording.num_calls)


def _push(changes: Sequence[Tensor | None], recording: Recording, scale: float) -> Push:
    h, w = recording.latents.shape[-2:]
    maps = np.full((len(changes), h, w), np.nan, np.float32)
    sizes = np.full(len(changes), np.nan, np.float32)
    for call, change in enumerate(changes):
        if change is not None:
            squares = change.float().square()
            maps[call] = squares.sum(dim=0).sqrt().numpy()
            sizes[call] = float(squares.mean().sqrt())
    return Push(maps=maps, sizes=sizes, scale=scale)
