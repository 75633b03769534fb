"""A recorded run gone through again by the real loop, with the U-Net's recorded answers in its place.

So the sampler, its memory of earlier steps and its source of noise stand where they stood, to the bit, and a
run can go on from any step with something changed there, or be shown between two of its recorded places
without one call of the U-Net.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Generator, Tensor

from ..generation.denoise import PutBack
from ..generation.job import JobParts
from ..generation.kept_area import Keeps
from ..generation.starts import Start, StartsFrom
from ..probes.observers import Observer, StepTaken
from ..probes.recorder import Recorder
from ..probes.recording import Recording
from ..requests import Txt2ImgRequest
from ..speed import Prediction
from ..weights.pipeline import Pipeline
from .again import make_frames
from .look import Look


@dataclass(frozen=True, kw_only=True, eq=False)
class Poke:
    """Something that is added to x_t before a call."""

    call: int  # 0..n-1
    change: Tensor  # (4, h, w), in x_t's own scale


def answers(recording: Recording, calls: int) -> list[Prediction]:
    """Return what the U-Net answered at so many first calls.

    With cache_interval they end at a call that runs all blocks, which the next ones take the deep ones from.
    """
    calls -= calls % (recording.request.cache_interval * recording.facts.order)
    known = []
    for call in range(calls):
        unconditional = recording.unconditional_at(call)
        known.append(
            Prediction(
                conditional=recording.conditional[call][None],
                unconditional=None if unconditional is None else unconditional[None],
                is_full=call not in recording.shallow_calls,
            )
        )
    return known


def go_on(look: Look, poke: Poke) -> Recording:
    """Go through a run up to a call, change x_t there, go on from there, and return what passed.

    With nothing added it is the recorded run to the bit, if the picture was made alone: in a batch numbers
    are rounded otherwise. Raise ValueError for a call that there is none, and as the job itself; Cancelled
    where the look's on_step raised it.
    """
    recording = look.recording
    if not 0 <= poke.call < recording.num_calls:
        raise ValueError(f"call must be 0 to {recording.num_calls - 1}, got {poke.call}")
    recorder = Recorder()

    def change(parts: JobParts) -> JobParts:
        known = answers(recording, poke.call)
        if not poke.call:
            return replace(parts, start=PokedStart(parts.start, poke), known=known)
        return replace(parts, kept=PokedOnTheWay(parts.kept, poke), known=known)

    make_frames(look, recording.request, change=change, observers=[recorder])
    return recorder.recordings[0]


class PokedStart:
    """A start with something added."""

    def __init__(self, inner: StartsFrom, poke: Poke) -> None:
        self._inner, self._poke = inner, poke

    def begin(self, pipe: Pipeline, request: Txt2ImgRequest, generators: Sequence[Generator]) -> Start:
        """Return the start of a batch."""
        start = self._inner.begin(pipe, request, generators)
        return replace(start, latents=start.latents + self._poke.change.to(start.latents))


class PokedOnTheWay:
    """What is kept of a picture, if anything is, and after one step something added."""

    def __init__(self, inner: Keeps | None, poke: Poke) -> None:
        self._inner, self._poke = inner, poke

    @property
    def latent_mask(self) -> Tensor | None:
        """Return the mask of what is kept."""
        return self._inner.latent_mask if self._inner else None

    def channels(self, pipe: Pipeline, count: int) -> Tensor | None:
        """Return what a U-Net made for inpainting reads."""
        return self._inner.channels(pipe, count) if self._inner else None

    def putting_back(self, pipe: Pipeline, start: Start) -> PutBack:
        """Return what puts the kept latents back and adds the change when its step has come."""
        put_back = self._inner.putting_back(pipe, start) if self._inner else None
        left_then = len(start.timesteps) - self._poke.call

        def change(latents: Tensor, left: int) -> Tensor:
            kept = put_back(latents, left) if put_back else latents
            return kept + self._poke.change.to(kept) if left == left_then else kept

        return change


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """What a run's sampler made of each call's x_t, (n, 4, h, w) on the CPU."""

    stepped: Tensor  # x_t-1 as the sampler gives it
    next_latents: Tensor  # x_t-1 with what is kept put back
    decoded: Image.Image  # of x_0


class _Collector(Observer):
    def __init__(self) -> None:
        self.stepped: list[Tensor] = []
        self.next_latents: list[Tensor] = []

    def on_step(self, step: StepTaken) -> None:
        self.stepped.append(step.stepped[0].cpu())
        self.next_latents.append(step.next_latents[0].cpu())


def steps_of(look: Look) -> Steps:
    """Go through the whole run with the recorded answers, without a call of the U-Net."""
    collector = _Collector()
    known = answers(look.recording, look.recording.num_calls)

    def change(parts: JobParts) -> JobParts:
        return replace(parts, known=known)

    [picture] = make_frames(look, look.request, change=change, observers=[collector])
    return Steps(
        stepped=torch.stack(collector.stepped),
        next_latents=torch.stack(collector.next_latents),
        decoded=picture,
    )
