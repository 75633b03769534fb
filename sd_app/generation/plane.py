"""A grid of pictures on one noise: rows go from one prompt to another, columns add a third."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ..checkpoints.model_info import ModelInfo
from ..metadata import png_bytes, save_beside
from ..requests import PlaneRequest, PlaneResult
from ..weights.model_manager import ModelManager
from .frames import ListedFrames
from .job import Job, JobParts
from .prompt_embeds import PromptEach
from .run import RunOptions, run_job
from .starts import FromNoise


def plane(manager: ModelManager, request: PlaneRequest, options: RunOptions) -> PlaneResult:
    """Make the pictures of a plane; see Studio.plane."""

    def compose(request: PlaneRequest, _: ModelInfo) -> JobParts:
        cells = [request.picture_of(prompt) for prompt in request.prompts]
        return JobParts(frames=ListedFrames(cells), start=FromNoise(), prompts=PromptEach(cells))

    job = run_job(manager, request, compose, options)
    prompts = tuple(job.request_of(index).prompt for index in range(len(job.images)))
    result = PlaneResult(**job.result_fields(), prompts=prompts, columns=request.columns)
    if not result.images:
        return result
    return replace(result, sheet_path=save_beside_last(job, {"sheet": result.grid()}).get("sheet"))


def save_beside_last(job: Job, pictures: Mapping[str, Image.Image]) -> dict[str, Path]:
    """Save pictures of all frames under the last one's number; return their paths by name."""
    if not job.paths:
        return {}
    infotext = job.result_fields()["infotexts"][-1]
    return {
        name: save_beside(job.paths[-1], f"-{name}.png", png_bytes(picture, infotext))
        for name, picture in pictures.items()
    }
