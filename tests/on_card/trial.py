"""What a trial is, what it is given and what it gives back."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.speed.graphs import Graphs

PROMPT = "a big orange cat in a meadow"


class Skipped(Exception):  # noqa: N818 - no error
    """What a trial needs is not here; the words say what."""


@dataclass(kw_only=True)
class Outcome:
    """What a trial found. `figures` are numbers or words by name; a number's unit is the end of its name."""

    passed: bool
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where a trial runs: device, models and scale."""

    folder: Path  # holds models/ with tiny-sd, sd1, sd1-small, v-small and xl-small, xl where it is large
    device: torch.device
    is_small: bool  # small models stand in for large ones

    @property
    def is_cuda(self) -> bool:
        """Tell whether the device is a card of CUDA's kind."""
        return self.device.type == "cuda"

    @property
    def sd1(self) -> str:
        """Name Stable Diffusion 1.5 with random weights, or what stands in for it."""
        return "sd1-small" if self.is_small else "sd1"

    @property
    def xl(self) -> str:
        """Name SDXL with random weights, or what stands in for it."""
        return "xl-small" if self.is_small else "xl"

    @property
    def side(self) -> int:
        """Return the side, in pixels, of the square pictures of `sd1`."""
        return 64 if self.is_small else 512

    def studio(self, model: str = "tiny-sd", **changes: Any) -> Studio:
        """Open a studio over the models, on the device in float16 unless changes say otherwise."""
        known: dict[str, Any] = {
            "models_dir": self.folder / "models",
            "outputs_dir": self.folder / "outputs",
            "cache_dir": self.folder / "cache",
            "model": model,
            "device": str(self.device),
            "dtype": "float16" if self.is_cuda else "float32",  # a CPU takes ages over float16
        }
        return Studio(Settings(**(known | changes)))

    def need_cuda(self) -> None:
        """Raise Skipped where the device is no card."""
        if not self.is_cuda:
            raise Skipped("needs CUDA")


def request_for(bench: Bench, **changes: Any) -> Txt2ImgRequest:
    """Return a request that records a graph in its first job: enough steps are left."""
    known: dict[str, Any] = {
        "prompt": PROMPT,
        "negative_prompt": "blurry",
        "scheduler": "DPM++ 2M Karras",
        "num_inference_steps": 14,
        "guidance_scale": 5.0,
        "seed": 7,
    }
    return Txt2ImgRequest(**(known | changes))


def draw(studio: Studio, request: Txt2ImgRequest, **options: Any) -> tuple[Image.Image, ...]:
    """Return the pictures of a request, unsaved."""
    return studio.txt2img(request, save=False, **options).images


def pixels(images: tuple[Image.Image, ...]) -> NDArray[np.int16]:
    """Return pictures as numbers that can be subtracted, (B, H, W, 3)."""
    return np.stack([np.asarray(image, np.int16) for image in images])


def difference(mine: tuple[Image.Image, ...], theirs: tuple[Image.Image, ...]) -> int:
    """Return the largest difference of two sets of pictures, of 255."""
    return int(np.abs(pixels(mine) - pixels(theirs)).max())


def is_a_picture(images: tuple[Image.Image, ...]) -> bool:
    """Tell a picture from one colour: what is compared must be able to differ."""
    return bool(pixels(images).std() > 1)


@contextlib.contextmanager
def counted_replays() -> Iterator[list[int]]:
    """Count how often a recording is replayed; yields a list that holds the number."""
    count, replay = [0], Graphs._replay

    def counting(self: Graphs, *args: Any) -> Any:
        count[0] += 1
        return replay(self, *args)

    Graphs._replay = counting  # type: ignore[method-assign, assignment]
    try:
        yield count
    finally:
        Graphs._replay = replay  # type: ignore[method-assign]


def checkpoint_of(studio: Studio) -> Any:
    """Return what the model manager holds of the studio's model."""
    return studio._ready_manager()._checkpoints[studio.settings.model]


def with_seed(request: Txt2ImgRequest, seed: int) -> Txt2ImgRequest:
    """Return the request with another seed."""
    return replace(request, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One step of card.py."""

    name: str
    words: str  # what it shows, for the table
    run: Callable[[Bench], Outcome]
    seconds: int  # at most, on a card
    needs: tuple[str, ...] = ()  # packages beyond those that all need
