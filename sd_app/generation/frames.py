"""Many prompts on one noise: blends, walks and planes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil, log2
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..expressions import parse_prompt
from ..metadata import png_bytes, save_beside
from ..pictures.charts import divergence_plot
from ..pictures.films import film_bytes
from ..requests import (
    JUMP_WIDTH,
    ArithmeticRequest,
    Divergence,
    Jump,
    PlaneRequest,
    PlaneResult,
    Txt2ImgRequest,
    WalkRequest,
    WalkResult,
)
from ..text.embeddings import Encoder, complete
from ..weights.model_manager import ModelManager
from .job import Job, OnStep
from .run import run_job

ResultT = TypeVar("ResultT", WalkResult, PlaneResult)


def walk(
    manager: ModelManager,
    request: WalkRequest,
    on_step: OnStep | None = None,
    *,
    preview_every: int = 3,
    save: bool = True,
) -> WalkResult:
    """Make the pictures of a walk; see Studio.walk."""
    job_type = BisectJob if request.bisect else WalkJob
    return run_job(job_type, manager, request, on_step, preview_every=preview_every, save=save).result()


def plane(
    manager: ModelManager,
    request: PlaneRequest,
    on_step: OnStep | None = None,
    *,
    preview_every: int = 3,
    save: bool = True,
) -> PlaneResult:
    """Make the pictures of a plane; see Studio.plane."""
    return run_job(PlaneJob, manager, request, on_step, preview_every=preview_every, save=save).result()


class FramesJob(Job):
    """A job whose pictures share noise and differ in their prompts, several of them in one batch."""

    request: ArithmeticRequest
    frame_prompts: list[str]
    _encoder: Encoder | None = None

    @property
    def num_images(self) -> int:
        return len(self.frame_prompts)

    def prompts(self, pipe: Any, first: int, count: int) -> dict[str, Any]:
        negative_prompt = parse_prompt(self.request.negative_prompt)
        if self._encoder is None:  # what the frames share is encoded once
            self._encoder = Encoder(pipe, self.request.clip_skip)
            both = parse_prompt(self.frame_prompts[0]), negative_prompt
            self._encoder.num_chunks = max(map(self._encoder.count_chunks, both))
        frame_prompts = self.frame_prompts[first : first + count]
        templates = [parse_prompt(prompt) for prompt in frame_prompts]
        embeds = {"prompt_embeds": torch.cat([self._encoder.encode(template) for template in templates])}
        if self.request.guidance_scale != 1:
            negative = self._encoder.encode(negative_prompt)
            embeds["negative_prompt_embeds"] = negative.expand(count, -1, -1)
        return complete(self._encoder, embeds, frame_prompts, self.request.negative_prompt)

    def seed(self, index: int) -> int:
        """Return the one seed of all frames."""
        return super().seed(0)

    def request_of(self, index: int) -> Txt2ImgRequest:
        return self.request.picture_of(self.frame_prompts[index])

    def save_beside_last(self, image: Image.Image, name: str) -> dict[str, Any]:
        """Save a picture of all frames under the last one's number; return the result's field."""
        if not self.paths:
            return {}
        infotext = self.result_fields()["infotexts"][-1]
        return {f"{name}_path": save_beside(self.paths[-1], f"-{name}.png", png_bytes(image, infotext))}


class PlaneJob(FramesJob):
    """A job that makes the cells of a plane, row by row."""

    request: PlaneRequest

    def __init__(self, *known: Any) -> None:
        super().__init__(*known)
        self.frame_prompts = list(self.request.prompts)

    def result(self) -> PlaneResult:
        prompts = tuple(self.frame_prompts[: len(self.images)])
        result = PlaneResult(**self.result_fields(), prompts=prompts, columns=self.request.columns)
        if not result.images:
            return result
        return replace(result, **self.save_beside_last(result.grid(), "sheet"))


class WalkJob(FramesJob):
    """A job that makes the frames of a walk and measures how far neighbours are apart at every step.

    Both ends are made alone, not in a batch, which would round differently: so they are, byte for byte, the
    pictures of their plain prompts.
    """

    request: WalkRequest
    watches = True

    def __init__(self, *known: Any) -> None:
        super().__init__(*known)
        self.ts = list(dict.fromkeys(self.request.places))  # a place asked for twice is made once
        self.frame_prompts = [self.request.frame_prompt(t) for t in self.ts]
        self.num_places = len(self.ts)
        self.curves: list[np.ndarray] = []  # (steps,) for each pair of neighbours
        self._trajectories: dict[int, dict[int, Tensor]] = {}  # frame -> step -> predicted x0, (4, h, w)

    def batches(self, batch_size: int) -> Iterator[tuple[int, int]]:
        yield 0, 1
        last = self.num_places - 1
        for first in range(1, last, batch_size):
            yield first, min(batch_size, last - first)
        if last:
            yield last, 1

    def see(self, first: int, step: int, predicted_x0: Tensor) -> None:
        # Of a step that calls the model twice, the second call overwrites the first.
        for index, x0 in enumerate(predicted_x0):
            self._trajectories.setdefault(first + index, {})[step] = x0

    def keep(self, image: Image.Image, companions: Any = None) -> None:
        index = len(self.images)
        super().keep(image, companions)
        if 0 < index < self.num_places:
            self.curves.append(self.distances(index - 1, index))
            self.forget(index - 1)

    def distances(self, left: int, right: int) -> np.ndarray:
        """Return how far two frames are apart, (steps,) float32; see Divergence."""
        pair = (self._trajectories[left], self._trajectories[right])
        a, b = (torch.stack([frame[step] for step in sorted(frame)]).float() for frame in pair)
        return (a - b).square().mean(dim=(1, 2, 3)).sqrt().cpu().numpy()

    def forget(self, index: int) -> None:
        """Drop the trajectory of a frame whose neighbours are both measured."""
        self._trajectories.pop(index, None)

    def result(self) -> WalkResult:
        made = min(len(self.images), self.num_places)
        kept = [t for t in self.request.places if t in self.ts[:made]]
        order = [self.ts.index(t) for t in kept]
        known = self.result_fields()
        for name in ("images", "seeds", "infotexts", "paths"):
            known[name] = tuple(known[name][index] for index in order) if known[name] else ()
        result = WalkResult(
            **known,
            ts=tuple(kept),
            prompts=tuple(self.frame_prompts[index] for index in order),
            divergence=self.divergence(order),
            jump=self.jump(),
        )
        return replace(result, **self.save_companions(result)) if len(result.images) > 1 else result

    def divergence(self, order: list[int]) -> Divergence | None:
        """Return the distances between the result's neighbours, 0 between a frame and itself."""
        if not self.curves:
            return None
        same = np.zeros_like(self.curves[0])
        rows = [same if left == right else self.curves[left] for left, right in pairwise(order)]
        return Divergence(distances=np.stack(rows))

    def jump(self) -> Jump | None:
        """Return the narrowed jump of a job that looks for one."""
        return None

    def save_companions(self, result: WalkResult) -> dict[str, Any]:
        """Save film, strip, sheet and plot beside the last frame; return the result's fields."""
        if not self.paths:
            return {}
        saved = self.save_beside_last(result.strip(), "strip") | self.save_beside_last(result.grid(), "sheet")
        if result.divergence is not None:
            saved |= self.save_beside_last(divergence_plot(result.divergence, result.ts), "plot")
        if self.request.film != "none":
            data = film_bytes(result.images, fps=self.request.fps, kind=self.request.film)
            saved["film_path"] = save_beside(self.paths[-1], f"-film.{self.request.film}", data)
        return saved


class BisectJob(WalkJob):
    """A walk that then halves the largest jump, going on in the half whose ends are further apart."""

    def __init__(self, *known: Any) -> None:
        super().__init__(*known)
        widest = max(right - left for left, right in pairwise(self.ts))
        self._rounds = max(0, ceil(log2(widest / JUMP_WIDTH)))
        self._pair: tuple[int, int] | None = None
        self._curve: np.ndarray | None = None
        self._history: list[tuple[float, float, float]] = []

    @property
    def num_images(self) -> int:
        return max(self.num_places + self._rounds, len(self.frame_prompts))

    def forget(self, index: int) -> None:
        """Keep only the trajectories of the pair that is furthest apart, and the last one."""
        pair = index, index + 1
        if self._curve is None or self.curves[-1][-1] > self._curve[-1]:
            self._narrow(pair, self.curves[-1])
        assert self._pair is not None
        for other in set(self._trajectories) - {*self._pair, index + 1}:
            # Frames of the same batch that are not measured yet stay.
            if other <= index:
                super().forget(other)

    def batches(self, batch_size: int) -> Iterator[tuple[int, int]]:
        yield from super().batches(batch_size)
        assert self._pair is not None
        self._history = self._history[-1:]  # the walk's own largest pair is where the narrowing begins
        while self.ts[self._pair[1]] - self.ts[self._pair[0]] > JUMP_WIDTH:
            left, right = self._pair
            middle = len(self.ts)
            self.ts.append((self.ts[left] + self.ts[right]) / 2)
            self.frame_prompts.append(self.request.frame_prompt(self.ts[middle]))
            yield middle, 1
            halves = [(left, middle), (middle, right)]
            curves = [self.distances(*half) for half in halves]
            wider = int(curves[1][-1] > curves[0][-1])
            self._narrow(halves[wider], curves[wider])
            for other in set(self._trajectories) - set(halves[wider]):
                del self._trajectories[other]
        self._rounds = len(self.ts) - self.num_places

    def _narrow(self, pair: tuple[int, int], curve: np.ndarray) -> None:
        self._pair, self._curve = pair, curve
        self._history.append((self.ts[pair[0]], self.ts[pair[1]], float(curve[-1])))

    def jump(self) -> Jump | None:
        if self._pair is None or self._curve is None or len(self.images) < self.num_places:
            return None
        left, right = self._pair
        return Jump(
            t_left=self.ts[left],
            t_right=self.ts[right],
            left=self.images[left],
            right=self.images[right],
            left_prompt=self.frame_prompts[left],
            right_prompt=self.frame_prompts[right],
            left_path=self.paths[left] if self.paths else None,
            right_path=self.paths[right] if self.paths else None,
            distances=self._curve,
            history=tuple(self._history),
        )
