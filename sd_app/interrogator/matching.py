"""Pictures against texts, the game CLIP was trained on; and pictures against a picture."""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from PIL import Image

from ..images import open_image
from ..model_manager import ModelManager
from ..requests import MatchRequest, MatchResult
from .clip import Clip, load_clip
from .models import find_clip


def match(manager: ModelManager, request: MatchRequest) -> MatchResult:
    """Compare every picture with every text: Radford et al. 2021, figure 3, without the loss."""
    started = time.perf_counter()
    settings = manager.settings
    found = find_clip(settings, request.clip_model)
    images = [
        image if isinstance(image, Image.Image) else open_image(image, max_pixels=settings.max_pixels)
        for image in request.images
    ]
    with manager.lend() as get:
        clip: Clip = get(found.label, partial(load_clip, found))
        cosines = clip.picture_features(images) @ clip.text_features(request.texts).T
        scale = clip.scale
    return MatchResult(
        cosines=_rows(cosines),
        text_chances=_rows(softmax(scale * cosines, axis=1)),
        image_chances=_rows(softmax(scale * cosines, axis=0)),
        scale=scale,
        request=request,
        clip_model=found.name,
        seconds=time.perf_counter() - started,
    )


def compare_pictures(
    manager: ModelManager, image: Image.Image, others: Sequence[Image.Image], clip_model: str | None
) -> tuple[float, ...]:
    """Return the cosine of one picture with each of the others."""
    if not others:
        return ()
    found = find_clip(manager.settings, clip_model)
    with manager.lend() as get:
        clip: Clip = get(found.label, partial(load_clip, found))
        first, *rest = clip.picture_features([image, *others])
    return tuple(float(features @ first) for features in rest)


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    """Return exp(logits), made to add up to 1 along an axis."""
    values = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return values / values.sum(axis=axis, keepdims=True)


def _rows(table: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in table)
