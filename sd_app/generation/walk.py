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
from ..requests import Divergence, Jump, Txt2ImgRequest, WalkRequest, WalkResult
from ..weights.model_manager import ModelManager
from .frames import WalkFrames
from .job import Job, JobParts
from .neighbours import JumpSearch, Neighbours
from .plane import save_beside_last
from .prompt_embeds import PromptEach
from .run import RunOptions, run_job
from .starts import FromNoise


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
        self._frames = WalkFrames(request.places, self._request_at)
        trajectories = Trajectories()
        self._neighbours = Neighbours(trajectories, self._frames.num_asked, keep_largest=request.bisect)
        self._search = JumpSearch(self._frames, self._neighbours) if request.bisect else None
        self.job_parts = JobParts(
            frames=self._search or self._frames,
            start=FromNoise(),
            prompts=PromptEach(),
            on_kept=self._neighbours.measure,
            observers=[trajectories],
        )

    def _request_at(self, place: float) -> Txt2ImgRequest:
        return self._request.picture_of(self._request.frame_prompt(place))

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
        same = np.zeros_like(curves[0])
        rows = [same if left == right else curves[left] for left, right in pairwise(order)]
        return Divergence(distances=np.stack(rows))

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
