"""One job on its way: what was asked, what is made, whom to tell."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..checkpoints.model_info import ModelInfo
from ..metadata import save_image, to_infotext
from ..requests import Step, Txt2ImgRequest, Txt2ImgResult
from ..text import embeddings
from ..weights.memory_plan import Plan
from .saving import Saver

OnStep = Callable[[Step], None]


class Job:
    """What a running job has made so far, and the one channel to who asked for it.

    This is txt2img's; the others give the pipeline other arguments and their results more fields.
    """

    kind = "txt2img"  # of the model manager's pipelines
    watches = False  # whether see() wants what each step predicts

    def __init__(
        self,
        request: Txt2ImgRequest,
        info: ModelInfo,
        on_step: OnStep | None,
        outputs_dir: Path | None,
    ) -> None:
        self.request = request  # resolved
        self.info = info
        self.preview_every = 0  # steps from one preview to the next; 0 for none
        self.plan = Plan(batch_size=request.num_images)  # how it fits into the memory
        self.images: list[Image.Image] = []
        self.saver = Saver()
        self._on_step = on_step
        self._outputs_dir = outputs_dir
        self._goes_on = False  # whether pictures are still to be made
        self._started = time.perf_counter()
        self._embeds: dict[str, Any] | None = None

    @property
    def paths(self) -> list[Path]:
        """Return the files that are there, of the first pictures."""
        return self.saver.paths

    @property
    def num_images(self) -> int:
        """Return how many pictures the whole job makes."""
        return self.request.num_images

    @property
    def nothing_to_do(self) -> bool:
        """Tell whether the result stands without running the model."""
        return False

    @property
    def num_steps(self) -> int:
        """Return how many steps a picture takes."""
        assert self.request.num_inference_steps is not None
        return self.request.num_inference_steps

    def batches(self, batch_size: int) -> Iterator[tuple[int, int]]:
        """Yield the first picture and the number of each batch; asked for the next when one is finished."""
        for first in range(0, self.num_images, batch_size):
            yield first, min(batch_size, self.num_images - first)

    def prompts(self, pipe: Any, first: int, count: int) -> dict[str, Any]:
        """Return the pipeline's arguments that say what pictures first..first+count-1 show."""
        if self._embeds is None:
            self._embeds = encode(pipe, self.request)
        return {**self._embeds, "num_images_per_prompt": count}

    def see(self, first: int, step: int, predicted_x0: torch.Tensor) -> None:
        """Take what a step, counted from 0, says the batch will become, (B, 4, h, w). Changes nothing."""

    def arguments(self, pipe: Any, generators: list[torch.Generator]) -> dict[str, Any]:
        """Return what the pipeline needs besides prompt and sampling, for one picture a generator."""
        return {"width": self.request.width, "height": self.request.height}

    def after_step(self, pipe: Any, index: int, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the pipeline shall replace after timestep `index`: nothing."""
        return {}

    def tell(self, text: str, **known: Any) -> None:
        """Call on_step, which may raise Cancelled. Raise OSError if a picture could not be saved."""
        self.saver.check()
        if self._on_step is None:
            return
        paths = tuple(self.paths)
        defaults = {"step": 0, "num_steps": self.num_steps, "image_index": len(self.images)}
        step = Step(
            **(defaults | known),
            num_images=self.num_images,
            seconds=time.perf_counter() - self._started,
            text=text,
            images=tuple(self.images if self._outputs_dir is None else self.images[: len(paths)]),
            paths=paths,
        )
        self._on_step(step)

    def finish(self, images: list[Image.Image]) -> None:
        """Keep finished pictures and save them, so that a later stop or error cannot lose them.

        That goes on behind the next batch, and only one batch is ever on its way; the last has no next one.
        """
        self.saver.wait()
        self._goes_on = len(self.images) + len(images) < self.num_images
        for image in images:
            self.keep(image)
        self.tell("Finished")

    def keep(self, image: Image.Image, companions: Mapping[str, Image.Image] | None = None) -> None:
        """Keep and save one finished picture, and its companions under the same number."""
        index = len(self.images)
        if self._outputs_dir is not None:
            save = partial(
                save_image,
                image,
                self.request_of(index),
                outputs_dir=self._outputs_dir,
                seed=self.seed(index),
                companions=companions,
            )
            self.saver.save(save, behind=self._goes_on)
        self.images.append(image)

    def result(self) -> Txt2ImgResult:
        """Return what is finished."""
        return Txt2ImgResult(**self.result_fields())

    def result_fields(self) -> dict[str, Any]:
        """Return the fields that every result has."""
        seeds = tuple(self.seed(index) for index in range(len(self.images)))
        return {
            "images": tuple(self.images),
            "seeds": seeds,
            "request": self.request,
            "seconds": time.perf_counter() - self._started,
            "paths": tuple(self.paths),
            "infotexts": tuple(to_infotext(self.request_of(index)) for index in range(len(self.images))),
            "stopped": len(self.images) < self.num_images,
        }

    def seed(self, index: int) -> int:
        """Return picture index's own seed."""
        assert self.request.seed is not None
        return self.request.seed + index

    def request_of(self, index: int) -> Txt2ImgRequest:
        """Return the request of one picture."""
        return replace(self.request, seed=self.seed(index), num_images=1)


def encode(pipe: Any, request: Txt2ImgRequest) -> dict[str, torch.Tensor]:
    """Encode the prompts to the pipeline's arguments, (1, 77*n, D) each, of SDXL also (1, P)."""
    prompt, negative_prompt, clip_skip = request.prompt, request.negative_prompt, request.clip_skip
    if request.guidance_scale == 1:  # the formula's unconditional half cancels out
        arguments = {"prompt_embeds": embeddings.encode(pipe, prompt, clip_skip=clip_skip)}
    else:
        positive, negative = embeddings.encode_pair(pipe, prompt, negative_prompt, clip_skip=clip_skip)
        arguments = {"prompt_embeds": positive, "negative_prompt_embeds": negative}
    return embeddings.complete(embeddings.Encoder(pipe, clip_skip), arguments, [prompt], negative_prompt)
