"""One job on its way: what is asked, the parts it is composed of, what is made, whom to tell."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

from PIL import Image

from ..checkpoints.model_info import ModelInfo
from ..metadata import save_image, to_infotext
from ..probes.observers import Observer, Observers
from ..requests import DownloadProgress, Step, Txt2ImgRequest
from ..speed import Prediction
from ..weights.memory_plan import Plan
from .frames import DrawnFrames, Frames
from .kept_area import Keeps
from .prompt_embeds import Prompts
from .saving import Saver
from .starts import StartsFrom, steps_run

OnStep = Callable[[Step], None]


class Finished(Protocol):
    """A part of a job: what becomes of a picture once it is decoded."""

    def __call__(self, image: Image.Image) -> tuple[Image.Image, Mapping[str, Image.Image]]:
        """Return the picture to keep, and what is saved beside it, by name."""


def as_it_is(image: Image.Image) -> tuple[Image.Image, Mapping[str, Image.Image]]:
    """Keep a picture as the model gives it."""
    return image, {}


@dataclass(frozen=True, kw_only=True, eq=False)
class JobParts:
    """What a job consists of. Each part is one decision; any of them go together."""

    frames: Frames  # which pictures
    start: StartsFrom  # what they begin with
    prompts: Prompts  # what the U-Net reads
    kept: Keeps | None = None  # what is not repainted
    known: Sequence[Prediction] = ()  # of the first calls, which are then not run: of one picture
    finished: Finished = as_it_is  # what becomes of the decoded picture
    on_kept: Callable[[int], None] | None = None  # is told the number of each picture that is finished
    observers: Sequence[Observer] = ()  # who measures on the way
    nothing_to_do: bool = False  # the result stands without running the model


class Progress(TypedDict, total=False):
    """What a Step may say beyond its text."""

    step: int
    num_steps: int
    image_index: int
    batch_images: int
    batch_seconds: float
    preview: Image.Image | None
    download: DownloadProgress


class ResultFields(TypedDict):
    """The fields that every result has."""

    images: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    request: Txt2ImgRequest
    seconds: float
    paths: tuple[Path, ...]
    infotexts: tuple[str, ...]
    stopped: bool
    drawn: tuple[tuple[str, str], ...]
    notice: str


@dataclass(kw_only=True, eq=False)
class Job:
    """What a running job has made so far, and the one channel to who asked for it."""

    request: Txt2ImgRequest  # resolved
    info: ModelInfo
    parts: JobParts
    on_step: OnStep | None
    outputs_dir: Path | None  # None: pictures are not saved
    plan: Plan = field(default_factory=lambda: Plan(batch_size=1))  # how it fits into the memory
    remarks: tuple[str, ...] = ()  # what the user should know when it is done
    images: list[Image.Image] = field(default_factory=list)
    saver: Saver = field(default_factory=Saver)
    _goes_on: bool = False  # whether pictures are still to be made
    _started: float = field(default_factory=time.perf_counter)

    @property
    def paths(self) -> list[Path]:
        """Return the files that are there, of the first pictures."""
        return self.saver.paths

    @property
    def num_images(self) -> int:
        """Return how many pictures the whole job makes."""
        return self.parts.frames.count

    def tell(self, text: str, **known: Unpack[Progress]) -> None:
        """Call on_step, which may raise Cancelled. Raise OSError if a picture could not be saved."""
        self.saver.check()
        if self.on_step is None:
            return
        paths = tuple(self.paths)
        defaults: Progress = {"step": 0, "image_index": len(self.images)}
        if "num_steps" not in known:
            defaults["num_steps"] = steps_run(self.request_of(0))
        step = Step(
            **(defaults | known),
            num_images=self.num_images,
            seconds=time.perf_counter() - self._started,
            text=text,
            images=tuple(self.images if self.outputs_dir is None else self.images[: len(paths)]),
            paths=paths,
        )
        self.on_step(step)

    def remark(self, sentence: str) -> None:
        """Keep a sentence for the result's notice, once."""
        if sentence not in self.remarks:
            self.remarks = (*self.remarks, sentence)

    def finish(self, images: Sequence[Image.Image], observers: Observers) -> None:
        """Keep finished pictures and save them, so that a later stop or error cannot lose them.

        That goes on behind the next batch, and only one batch is ever on its way; the last has no next one.
        """
        self.saver.wait()
        self._goes_on = len(self.images) + len(images) < self.num_images
        first = len(self.images)
        for image in images:
            self._keep(image)
        observers.tell("on_kept", first, tuple(self.images[first:]))
        if getattr(self.on_step, "paused", bool)():  # it holds the job up now: all that is made can be seen
            self.saver.wait()
        self.tell("Finished")

    def _keep(self, image: Image.Image) -> None:
        """Keep and save one finished picture, and its companions under the same number."""
        index = len(self.images)
        image, companions = self.parts.finished(image)
        if self.outputs_dir is not None:
            request = self.request_of(index)
            assert request.seed is not None
            save = partial(
                save_image,
                image,
                request,
                outputs_dir=self.outputs_dir,
                seed=request.seed,
                companions=companions,
            )
            self.saver.save(save, behind=self._goes_on)
        self.images.append(image)
        if self.parts.on_kept:
            self.parts.on_kept(index)

    def result_fields(self, order: Sequence[int] | None = None) -> ResultFields:
        """Return the fields that every result has, of all pictures or of some in this order."""
        order = range(len(self.images)) if order is None else order
        requests = [self.request_of(index) for index in order]
        paths = self.paths
        return {
            "images": tuple(self.images[index] for index in order),
            "seeds": tuple(request.seed or 0 for request in requests),
            "request": self.request,
            "seconds": time.perf_counter() - self._started,
            "paths": tuple(paths[index] for index in order if index < len(paths)),
            "infotexts": tuple(map(to_infotext, requests)),
            "stopped": len(self.images) < self.num_images,
            "drawn": tuple((request.prompt, request.negative_prompt) for request in requests)
            if isinstance(self.parts.frames, DrawnFrames)
            else (),
            "notice": " ".join(self.remarks),
        }

    def request_of(self, index: int) -> Txt2ImgRequest:
        """Return the request of one picture."""
        return self.parts.frames.request_of(index)
