"""Pictures on the way from one prompt to another, on one noise, and where it jumps."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..checkpoints.model_info import ModelInfo
from ..metadata import save_beside
from ..pictures.charts import divergence_plot
from ..pictures.films import film_bytes
from ..probes.trajectories import Trajectories
from ..requests import Divergence, Img2ImgRequest, Jump, Txt2ImgRequest, WalkRequest, WalkResult
from ..weights.model_manager import ModelManager
from .frames import WalkFrames
from .img2img import from_init_image
from .job import Job, JobParts
from .neighbours import JumpSearch, Neighbours
from .plane import save_beside_last
from .prompt_embeds import PromptEach
from .run import RunOptions, run_job
from .starts import FromNoise, StartsFrom, steps_run


def walk(manager: ModelManager, request: WalkRequest, options: RunOptions) -> WalkResult:
    """Make the pictures of a walk; see Studio.walk."""
    parts: WalkParts

    def compose(request: WalkRequest, _: ModelInfo) -> JobParts:
        nonlocal parts
        parts = WalkParts(request)
        return parts.job_parts

    job = run_job(manager, request, compose, options)
    return parts.result(job)


class WalkParts:
    """A walk's parts, and its result once they have run."""

    def __init__(self, request: WalkRequest) -> None:
        self._request = request
        # Frames of different strengths run different numbers of steps.
        together = None if request.to_strength is None else 1
        self._frames = WalkFrames(request.places, request.frame_at, together=together)
        trajectories = Trajectories()
        self._neighbours = Neighbours(trajectories, self._frames.num_asked, keep_largest=request.bisect)
        self._search = JumpSearch(self._frames, self._neighbours, self._is_atomic) if request.bisect else None
        self.job_parts = JobParts(
            frames=self._search or self._frames,
            start=self._start(),
            prompts=PromptEach(self._to_check()),
            on_kept=self._neighbours.measure,
            observers=[trajectories],
        )

    def _start(self) -> StartsFrom:
        first = self._request.frame_at(0.0)
        return from_init_image(first) if isinstance(first, Img2ImgRequest) else FromNoise()

    def _to_check(self) -> list[Txt2ImgRequest]:
        """Return the frames whose prompts must be possible, with one between the ends if some may follow."""
        places = {*self._request.places, *([0.5] if self._request.bisect else [])}
        return [self._request.frame_at(place) for place in sorted(places)]

    def _is_atomic(self, left: Txt2ImgRequest, right: Txt2ImgRequest) -> bool:
        """Tell frames that differ in strength alone, by one step: no picture lies between them."""
        only_strength = self._request.to_strength is not None and self._request.a == self._request.b
        return only_strength and abs(steps_run(left) - steps_run(right)) <= 1

    def result(self, job: Job) -> WalkResult:
        """Return the pictures in the order of the walk, and what was measured; save what lies beside them."""
        made = self._frames.places[: min(len(job.images), self._frames.num_asked)]
        kept = [place for place in self._request.places if place in made]
        order = [made.index(place) for place in kept]
        result = WalkResult(
            **job.result_fields(order),
            ts=tuple(kept),
            prompts=tuple(job.request_of(index).prompt for index in order),
            divergence=self._divergence(order),
            jump=self._jump(job),
        )
        return self._save_companions(job, result) if len(result.images) > 1 else result

    def _divergence(self, order: Sequence[int]) -> Divergence | None:
        """Return the distances between the result's neighbours, 0 between a frame and itself."""
        curves = self._neighbours.curves
        if not curves:
            return None
        length = max(map(len, curves))
        same = np.zeros(length, np.float32)
        rows = [same if left == right else curves[left] for left, right in pairwise(order)]
        missing = [(length - len(row), 0) for row in rows]  # steps that one of two strengths does not take
        padded = [np.pad(row, pad, constant_values=np.nan) for row, pad in zip(rows, missing, strict=True)]
        return Divergence(distances=np.stack(padded))

    def _jump(self, job: Job) -> Jump | None:
        search = self._search
        if search is None or search.pair is None or search.curve is None:
            return None
        left, right = search.pair
        paths = job.paths
        return Jump(
            t_left=self._frames.places[left],
            t_right=self._frames.places[right],
            left=job.images[left],
            right=job.images[right],
            left_prompt=job.request_of(left).prompt,
            right_prompt=job.request_of(right).prompt,
            left_path=paths[left] if paths else None,
            right_path=paths[right] if paths else None,
            distances=search.curve,
            history=tuple(search.history),
        )

    def _save_companions(self, job: Job, result: WalkResult) -> WalkResult:
        """Save film, strip, sheet and plot beside the last frame; return the result with their paths."""
        pictures = {"strip": result.strip(), "sheet": result.grid()}
        if result.divergence is not None:
            pictures["plot"] = divergence_plot(result.divergence, result.ts)
        saved = save_beside_last(job, pictures)
        film, film_path = self._request.film, None
        if job.paths and film != "none":
            data = film_bytes(result.images, fps=self._request.fps, kind=film)
            film_path = save_beside(job.paths[-1], f"-film.{film}", data)
        return replace(
            result,
            strip_path=saved.get("strip"),
            sheet_path=saved.get("sheet"),
            plot_path=saved.get("plot"),
            film_path=film_path,
        )
