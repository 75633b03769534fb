"""What a request leaves open, filled in: files opened, the model's own defaults, a random seed."""

import secrets
from dataclasses import replace
from typing import TypeVar

from PIL import Image

from ..catalog import ModelInfo
from ..images import open_image
from ..placement import round_size
from ..requests import MAX_SEED, Img2ImgRequest, Txt2ImgRequest, check_limits
from ..schedulers import find_scheduler
from ..settings import Settings

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest)


def resolve(request: RequestT, info: ModelInfo, settings: Settings) -> RequestT:
    """Fill in what the request leaves to the model, and a random seed.

    Raise ValueError over the limits and for a file that is no picture.
    """
    find_scheduler(request.scheduler or info.default_scheduler)
    request = open_pictures(request, settings)
    random_seed = secrets.randbelow(MAX_SEED - request.num_images + 2)
    width, height = default_size(request, info, settings)
    resolved = replace(
        request,
        model=info.name,
        scheduler=request.scheduler or info.default_scheduler,
        num_inference_steps=request.num_inference_steps or info.default_steps,
        guidance_scale=info.default_guidance_scale
        if request.guidance_scale is None
        else request.guidance_scale,
        seed=random_seed if request.seed is None else request.seed,
        width=request.width or width,
        height=request.height or height,
    )
    check_limits(resolved, settings)
    return resolved


def open_pictures(request: RequestT, settings: Settings) -> RequestT:
    """Open the files a request names. Raise ValueError for what is no picture."""
    if isinstance(request, Img2ImgRequest) and not isinstance(request.init_image, Image.Image):
        init_image = open_image(request.init_image, max_pixels=settings.max_pixels)
        return replace(request, init_image=init_image)
    return request


def default_size(request: Txt2ImgRequest, info: ModelInfo, settings: Settings) -> tuple[int, int]:
    """Return the width and height of a request that names none."""
    if isinstance(request, Img2ImgRequest):
        assert isinstance(request.init_image, Image.Image)
        return round_size(*request.init_image.size, settings.max_pixels)
    return info.native_size, info.native_size
