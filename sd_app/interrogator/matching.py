"""Pictures against texts, the game CLIP was trained on; and pictures against a picture."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..images import open_image
from ..requests import MatchRequest, MatchResult, Score
from ..settings import Settings
from ..weights.model_manager import ModelManager
from . import rarity
from .clip import Clip
from .lending import with_clip
from .models import ClipName, find_clip
from .phrases import load_groups
from .scoring import make_score
from .tables import PhraseTable, build_tables, read_tables


def match(manager: ModelManager, request: MatchRequest) -> MatchResult:
    """Compare every picture with every text: Radford et al. 2021, figure 3, without the loss."""
    started = time.perf_counter()
    settings = manager.settings
    found = find_clip(settings, request.clip_model)
    images = [
        image if isinstance(image, Image.Image) else open_image(image, max_pixels=settings.max_pixels)
        for image in request.images
    ]

    def compare(
        clip: Clip,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], float, tuple[PhraseTable, ...]]:
        pictures = clip.picture_features(images)
        cosines = pictures @ clip.text_features(request.texts).T
        return pictures, cosines, clip.scale, random_phrases(settings, found, clip)

    pictures, cosines, scale, tables = with_clip(manager, found, compare)
    return MatchResult(
        scores=tuple(
            score_row(request.texts, row, picture, tables)
            for row, picture in zip(cosines, pictures, strict=True)
        ),
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
    first, *rest = with_clip(manager, found, lambda clip: clip.picture_features([image, *others]))
    return tuple(float(features @ first) for features in rest)


def random_phrases(settings: Settings, found: ClipName, clip: Clip) -> tuple[PhraseTable, ...]:
    """Return the lists that percentiles are taken from: short ones, and long ones that were built before."""
    groups = load_groups(settings, found.folder, None)
    if sum(len(group.phrases) for group in groups) <= rarity.SAMPLE:
        return build_tables(groups, clip.tower, clip.key, settings.cache_dir, lambda *_: None)
    return read_tables(groups, clip.key, settings.cache_dir)


def score_row(
    texts: Sequence[str],
    cosines: NDArray[np.float32],
    picture: NDArray[np.float32],
    tables: Sequence[PhraseTable],
) -> tuple[Score, ...]:
    """Return the cosines of one picture, (N,), with their rarity."""
    random = rarity.sample_cosines([table.cosines(picture) for table in tables]) if tables else ()
    return tuple(
        make_score(text, float(cosine), random, len(picture))
        for text, cosine in zip(texts, cosines, strict=True)
    )


def softmax(logits: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return exp(logits), made to add up to 1 along an axis."""
    values = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return values / values.sum(axis=axis, keepdims=True)


def _rows(table: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in table)
