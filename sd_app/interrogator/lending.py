"""A CLIP lent for one piece of work; when memory runs out in it, other models make room."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ..weights.device_memory import try_twice
from ..weights.model_manager import ModelManager
from .clip import Clip, load_clip
from .models import ClipName

T = TypeVar("T")


def with_clip(manager: ModelManager, found: ClipName, work: Callable[[Clip], T]) -> T:
    """Return what work, which may be called twice, makes of a CLIP. Raise MemoryError if that is too much."""
    with manager.lend() as get:
        return try_twice(
            lambda: work(get(found.label, partial(load_clip, found))),
            manager.drop_others,
            ran_out_of_memory(manager, found),
        )


def ran_out_of_memory(manager: ModelManager, found: ClipName) -> str:
    """Return the words for a CLIP that runs out of memory though no other model is there."""
    return (
        f"{found.name} ran out of the memory of {manager.device}"
        " (choose a smaller clip_model, or close other programs)"
    )
