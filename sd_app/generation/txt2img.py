"""Pictures of a prompt."""

from ..requests import Txt2ImgRequest, Txt2ImgResult
from ..weights.model_manager import ModelManager
from .job import Job, OnStep
from .run import run_job


def txt2img(
    manager: ModelManager,
    request: Txt2ImgRequest,
    on_step: OnStep | None = None,
    *,
    preview_every: int = 3,
    save: bool = True,
) -> Txt2ImgResult:
    """Make the pictures of a request; see Studio.txt2img."""
    return run_job(Job, manager, request, on_step, preview_every=preview_every, save=save).result()
