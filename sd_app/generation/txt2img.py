"""Pictures of a prompt."""

from ..checkpoints.model_info import ModelInfo
from ..requests import Txt2ImgRequest, Txt2ImgResult
from ..weights.model_manager import ModelManager
from .frames import SeedFrames
from .job import JobParts
from .prompt_embeds import SharedPrompt
from .run import RunOptions, run_job
from .starts import FromNoise


def txt2img(manager: ModelManager, request: Txt2ImgRequest, options: RunOptions) -> Txt2ImgResult:
    """Make the pictures of a request; see Studio.txt2img."""
    return Txt2ImgResult(**run_job(manager, request, compose_txt2img, options).result_fields())


def compose_txt2img(request: Txt2ImgRequest, _: ModelInfo) -> JobParts:
    """Put a job together that begins from noise alone."""
    return JobParts(frames=SeedFrames(request), start=FromNoise(), prompts=SharedPrompt())
