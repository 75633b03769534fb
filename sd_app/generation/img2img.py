"""Pictures that start from another picture."""

from PIL import Image

from ..checkpoints.model_info import ModelInfo
from ..images import enlarge
from ..pictures.placement import CELL, Placement, place_whole
from ..probes.previews import latents_to_images
from ..requests import Img2ImgRequest, Img2ImgResult
from ..weights.model_manager import ModelManager
from .frames import SeedFrames
from .job import Job, JobParts
from .prompt_embeds import SharedPrompt
from .run import RunOptions, run_job
from .starts import FromPicture


def img2img(manager: ModelManager, request: Img2ImgRequest, options: RunOptions) -> Img2ImgResult:
    """Make pictures from a picture; see Studio.img2img."""
    job = run_job(manager, request, compose_img2img, options)
    start = job.parts.start
    assert isinstance(start, FromPicture)
    return Img2ImgResult(
        **job.result_fields(),
        input_image=start.placement.place(start.image),  # as it compares with the results, pixel for pixel
        start_images=() if start.start_image is None else (start.start_image,),
        noised_start=noised_picture(job, start),
    )


def compose_img2img(request: Img2ImgRequest, _: ModelInfo) -> JobParts:
    """Put a job together that begins from a picture under noise."""
    return JobParts(frames=SeedFrames(request), start=from_init_image(request), prompts=SharedPrompt())


def from_init_image(request: Img2ImgRequest) -> FromPicture:
    """Return the start of a resolved request: its picture, brought into its frame."""
    image = request.init_image
    assert isinstance(image, Image.Image)
    return FromPicture(image, place_in_frame(request, image.size))


def place_in_frame(request: Img2ImgRequest, size: tuple[int, int]) -> Placement:
    """Return where a picture of a size lies in the frame the model works in."""
    assert request.width is not None
    assert request.height is not None
    return place_whole(size, request.width, request.height, request.resize_mode)


def noised_picture(job: Job, start: FromPicture) -> Image.Image | None:
    """Draw what the first picture began from; None where the latents' colours are unknown."""
    if start.noised is None or not job.info.latent_rgb:
        return None
    return enlarge(latents_to_images(start.noised, job.info.latent_rgb)[0], CELL)
