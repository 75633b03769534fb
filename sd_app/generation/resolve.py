"""What a request leaves open, filled in: files opened, the model's own defaults, a random seed."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from PIL import Image

from ..checkpoints.model_info import ModelInfo
from ..checks import MAX_RANDOM_SEED
from ..images import look_at_image, open_image, open_mask
from ..pictures.placement import round_size, round_up_size, working_size
from ..requests import Img2ImgRequest, InpaintRequest, Txt2ImgRequest, WalkRequest, check_limits
from ..schedulers import SchedulerInfo, find_scheduler
from ..settings import Settings

RequestT = TypeVar("RequestT", bound=Txt2ImgRequest)


def resolve(request: RequestT, info: ModelInfo, settings: Settings) -> RequestT:
    """Fill in what the request leaves to the model, and a random seed.

    Raise ValueError over the limits and for a file that is no picture.
    """
    scheduler = find_scheduler(request.scheduler or info.default_scheduler, request.schedule_type)
    request = open_pictures(fit_photo(request, info, settings), settings)
    random_seed = secrets.randbelow(MAX_RANDOM_SEED - request.num_images + 2)
    width, height = default_size(request, info, settings)
    resolved = replace(
        request,
        model=info.name,
        scheduler=scheduler.name,
        schedule_type=scheduler.schedule_type,
        num_inference_steps=request.num_inference_steps or info.default_steps,
        guidance_scale=info.default_guidance_scale
        if request.guidance_scale is None
        else request.guidance_scale,
        seed=random_seed if request.seed is None else request.seed,
        width=request.width or width,
        height=request.height or height,
    )
    check_limits(resolved, settings)
    check_steps(resolved, scheduler)
    if isinstance(resolved, InpaintRequest):
        check_canvas(resolved, settings)
    check_model(resolved, info)
    return resolved


def check_steps(request: Txt2ImgRequest, scheduler: SchedulerInfo) -> None:
    """Refuse more steps than a scheduler has."""
    steps = request.num_inference_steps
    if scheduler.max_steps is not None and steps is not None and steps > scheduler.max_steps:
        raise ValueError(
            f"num_inference_steps must be at most {scheduler.max_steps} with {scheduler.name}, got {steps}"
            " (lower it, or choose another scheduler)"
        )


def canvas_size(request: InpaintRequest) -> tuple[int, int]:
    """Return the width and height of the picture with what outpaint adds."""
    assert isinstance(request.init_image, Image.Image)
    left, top, right, bottom = request.outpaint
    return request.init_image.width + left + right, request.init_image.height + top + bottom


def check_canvas(request: InpaintRequest, settings: Settings) -> None:
    """Refuse to add more to a picture than the owner allows; the picture itself may be larger."""
    assert isinstance(request.init_image, Image.Image)
    width, height = canvas_size(request)
    pixels = request.init_image.width * request.init_image.height
    limit = settings.max_pixels + (pixels if pixels > settings.max_pixels else 0)
    if any(request.outpaint) and width * height > limit:
        raise ValueError(
            f"outpaint must leave at most {limit:,} pixels here, got {width}x{height}"
            " (add less, or scale the picture down first)"
        )


def check_model(request: Txt2ImgRequest, info: ModelInfo) -> None:
    """Refuse what a checkpoint made for inpainting cannot do."""
    if not info.only_inpaints:
        return
    if not isinstance(request, InpaintRequest):
        raise ValueError(
            f"model must make whole pictures, and {info.name} only inpaints (choose another one)"
        )
    if request.soft_mask:
        raise ValueError(f"soft_mask must be False with {info.name}, which takes only hard masks")


def fit_photo(request: RequestT, info: ModelInfo, settings: Settings) -> RequestT:
    """Choose the model's own area for a file of more pixels than may be made, unless the request says.

    A phone's photo has ten times what a model can draw at once.
    """
    size = _file_size(request)
    if size is None or request.width is not None or request.height is not None:
        return request
    if isinstance(request, InpaintRequest):
        if request.only_masked:
            return request
        left, top, right, bottom = request.outpaint
        size = size[0] + left + right, size[1] + top + bottom
    if size[0] * size[1] <= settings.max_pixels:
        return request
    width, height = working_size(*size, info.native_size)
    return replace(request, width=width, height=height)


def remark_on_picture(request: Txt2ImgRequest, settings: Settings) -> str:
    """Say what of the file to start from is not used as it is: other frames, too many pixels."""
    if _file_size(request) is None:
        return ""
    assert isinstance(request, Img2ImgRequest | WalkRequest)
    assert isinstance(request.init_image, str | Path)
    keeps_size = isinstance(request, InpaintRequest)
    return look_at_image(request.init_image).remark(None if keeps_size else settings.max_pixels)


def _file_size(request: Txt2ImgRequest) -> tuple[int, int] | None:
    """Return width and height of the file to start from, None without one."""
    image = request.init_image if isinstance(request, Img2ImgRequest | WalkRequest) else None
    if not isinstance(image, str | Path):
        return None
    facts = look_at_image(image)
    return facts.width, facts.height


def open_pictures(request: RequestT, settings: Settings) -> RequestT:
    """Open the files a request names. Raise ValueError for what is no picture.

    What is repainted keeps its size; elsewhere a picture is scaled down to what may be made.
    """
    if isinstance(request, Img2ImgRequest | WalkRequest) and isinstance(request.init_image, str | Path):
        limit = None if isinstance(request, InpaintRequest) else settings.max_pixels
        request = replace(request, init_image=open_image(request.init_image, max_pixels=limit))
    if isinstance(request, InpaintRequest) and not isinstance(request.mask_image, Image.Image):
        assert isinstance(request.init_image, Image.Image)
        if request.mask_image is not None:
            mask_image = open_mask(request.mask_image)
        else:  # only what outpaint adds is repainted
            mask_image = Image.new("L", request.init_image.size, 255 * request.invert_mask)
        request = replace(request, mask_image=mask_image)
    return request


def default_size(request: Txt2ImgRequest, info: ModelInfo, settings: Settings) -> tuple[int, int]:
    """Return the width and height of a request that names none."""
    if isinstance(request, InpaintRequest):
        if request.only_masked:
            return info.native_size, info.native_size
        return round_up_size(*canvas_size(request), settings.max_pixels)
    if isinstance(request, Img2ImgRequest | WalkRequest) and isinstance(request.init_image, Image.Image):
        return round_size(*request.init_image.size, settings.max_pixels)
    return info.native_size, info.native_size
