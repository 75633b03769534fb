"""A recorded request run again on its noise with one thing changed, through the studio's own generation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..checkpoints.model_info import ModelInfo
from ..generation.frames import Batch, ListedFrames, split
from ..generation.img2img import compose_img2img
from ..generation.inpaint import compose_inpaint
from ..generation.job import JobParts
from ..generation.prompt_embeds import PromptEach
from ..generation.run import RunOptions, run_job
from ..generation.txt2img import compose_txt2img
from ..pictures.drift import difference
from ..probes.observers import Observer
from ..probes.recording import Recording
from ..requests import Cancelled, Img2ImgRequest, InpaintRequest, Txt2ImgRequest
from .answers import num_windows
from .look import Look
from .prompt_words import PromptWord, with_other, without

VISIBLE = 25  # of 255: from this difference of a channel on a pixel counts as changed
NEARLY_SAME, IN_PART = 0.05, 0.4  # shares of changed pixels up to which a picture is said to be so

Change = Callable[[JobParts], JobParts]


@dataclass(frozen=True, kw_only=True, eq=False)
class Again:
    """A picture made again with one thing changed, beside the recorded one."""

    label: str
    request: Txt2ImgRequest
    picture: Image.Image  # as the model made it: an inpainting's frame before anything is put back
    difference: NDArray[np.uint8]  # (H, W): each pixel's largest difference of a channel, 0..255

    @property
    def is_identical(self) -> bool:
        """Tell whether not one byte has changed."""
        return not self.difference.any()

    @property
    def mean_change(self) -> float:
        """Return the mean difference, 0..255."""
        return float(self.difference.mean())

    @property
    def changed_share(self) -> float:
        """Return the share of pixels that changed visibly, 0..1."""
        return float((self.difference > VISIBLE).mean())

    @property
    def changes(self) -> dict[str, object]:
        """Return all of these for the page."""
        return {
            "changed": self.changed_share,
            "mean": self.mean_change,
            "is_identical": self.is_identical,
        }

    @property
    def sentence(self) -> str:
        """Say how far the picture is from the recorded one."""
        if self.is_identical:
            return "The picture is the same to the byte."
        if self.changed_share <= NEARLY_SAME:
            said = "The picture stays nearly the same"
        elif self.changed_share <= IN_PART:
            said = "The picture changes in part"
        else:
            said = "It becomes another picture"
        share, mean = f"{100 * self.changed_share:.0f} %", f"{self.mean_change:.1f} of 255"
        return f"{said}: {share} of its pixels change visibly, the average one by {mean}."


def without_words(look: Look, words: Sequence[PromptWord]) -> list[Again]:
    """Make the picture again without each of these words."""
    prompts = [without(look.request.prompt, word.start, word.end) for word in words]
    labels = [f"without {word.label}" for word in words]
    return with_prompts(look, prompts, labels)


def with_another_word(look: Look, word: PromptWord, other: str) -> Again:
    """Make the picture again with another text in a word's place; an empty one takes it out."""
    prompt = with_other(look.request.prompt, word.start, word.end, other)
    label = f"{other.strip()} instead of {word.label}" if other.strip() else f"without {word.label}"
    return with_prompts(look, [prompt], [label])[0]


def with_prompts(look: Look, prompts: Sequence[str], labels: Sequence[str]) -> list[Again]:
    """Make the picture again with each of these prompts, several together."""
    if not prompts:
        return []
    requests = [replace(look.request, prompt=prompt) for prompt in prompts]
    # Pictures in one batch read equally many windows, which longer prompts do not all have.
    alone = len(requests) == 1 or any(num_windows(text) > 1 for text in look.recording.texts)
    frames = OneByOne(requests) if alone else ListedFrames(requests)

    def change(parts: JobParts) -> JobParts:
        return replace(parts, frames=frames, prompts=PromptEach())

    pictures = make_frames(look, requests[0], change=change)
    return [
        of_picture(look.recording, picture, label=label, request=request)
        for label, request, picture in zip(labels, requests, pictures, strict=True)
    ]


def of_picture(
    recording: Recording, picture: Image.Image, *, label: str, request: Txt2ImgRequest | None = None
) -> Again:
    """Compare a frame with the recorded one."""
    return Again(
        label=label,
        request=request or recording.request,
        picture=picture,
        difference=difference(recording.decoded.convert("RGB"), picture.convert("RGB")),
    )


class OneByOne(ListedFrames):
    """Pictures made one after the other, each as it is alone."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        yield from split(0, self.count, 1)


class Decoded(Observer):
    """Collects what the VAE made of each picture's last latents."""

    def __init__(self) -> None:
        self.pictures: list[Image.Image] = []

    def after_decoding(self, latents: Tensor, images: Sequence[Image.Image]) -> None:
        self.pictures += images


def make_frames(
    look: Look,
    request: Txt2ImgRequest,
    *,
    change: Change = lambda parts: parts,
    observers: Sequence[object] = (),
) -> list[Image.Image]:
    """Run a request's job, with its parts changed, and return the model's own frames. Nothing is saved.

    Raise Cancelled where the look's on_step raised it, and as the job itself.
    """

    def compose(request: Txt2ImgRequest, info: ModelInfo) -> JobParts:
        return change(parts_of(request, info))

    decoded = Decoded()
    options = RunOptions(look.on_step, 0, save=False, observers=[*observers, decoded])
    job = run_job(look.manager, request, compose, options)
    if len(decoded.pictures) < job.num_images:
        raise Cancelled
    return decoded.pictures


def parts_of(request: Txt2ImgRequest, info: ModelInfo) -> JobParts:
    """Put the job of a resolved request of any kind together."""
    if isinstance(request, InpaintRequest):
        return compose_inpaint(request, info)
    if isinstance(request, Img2ImgRequest):
        return compose_img2img(request, info)
    return compose_txt2img(request, info)
