"""What the VAE loses: a picture encoded and decoded again, how far it is from itself, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..addons import choose_additions
from ..catalog import find_model
from ..generation.starts import FromPicture
from ..generation.vae import round_trip
from ..images import scaled_size
from ..pictures import likeness
from ..pictures.drift import difference
from ..pictures.likeness import Floats, KindOfLoss
from ..requests import Img2ImgRequest
from ..schedulers import find_scheduler
from ..weights.model_manager import ModelManager
from ..weights.pipeline import Pipeline
from .again import parts_of
from .look import Look

MOST_PIXELS = 1024 * 1024  # of what is sent through; larger pictures are scaled down
LEAST_SIDE = 16  # pixels: below, nothing can be said of a picture's parts
TIMES = 10  # the difference is shown so many times as large
CELL = 8  # pixels: one latent, and the map's resolution


@dataclass(frozen=True, kw_only=True, eq=False)
class VaeLoss:
    """A picture there and back."""

    original: Image.Image  # as it was sent through, RGB
    back: Image.Image
    model: str
    notes: tuple[str, ...] = ()  # what was done to the picture before

    @cached_property
    def psnr(self) -> float:
        """Return the peak signal-to-noise ratio in dB; infinite if nothing is lost."""
        return likeness.psnr(self.original, self.back)

    @cached_property
    def ssim(self) -> float:
        """Return the structural similarity, 1 if nothing is lost."""
        return likeness.ssim(self.original, self.back)

    @cached_property
    def difference(self) -> NDArray[np.uint8]:
        """Return each pixel's largest difference of a channel, (H, W) 0..255."""
        return difference(self.original, self.back)

    @property
    def largest(self) -> int:
        """Return the largest difference of any channel, 0..255."""
        return int(self.difference.max())

    @property
    def largest_at(self) -> tuple[int, int]:
        """Return row and column of the first pixel with the largest difference."""
        row, column = divmod(int(self.difference.argmax()), self.difference.shape[1])
        return row, column

    @cached_property
    def error(self) -> Floats:
        """Return each pixel's squared difference, averaged over the channels, (H, W)."""
        return likeness.squared_error(self.original, self.back)

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """Return what is at each pixel of the original, an index into KINDS, (H, W)."""
        return likeness.kinds_of_places(self.original)

    @cached_property
    def by_kind(self) -> Mapping[str, KindOfLoss]:
        """Return what was lost in flat areas, at edges, in fine texture."""
        return likeness.loss_by_kind(self.error, self.kinds)

    @property
    def cells(self) -> Floats:
        """Return the root mean square error of each 8x8 pixels, (H/8, W/8) 0..255."""
        cells: Floats = np.sqrt(likeness.mean_over_cells(self.error, CELL))
        return cells

    @property
    def times_ten(self) -> Image.Image:
        """Return the absolute difference, ten times as large, as a picture."""
        a, b = (np.asarray(image, np.int16) for image in (self.original, self.back))
        return Image.fromarray(np.clip(np.abs(a - b) * TIMES, 0, 255).astype(np.uint8))

    @property
    def sentences(self) -> list[str]:
        """Say how much is lost, and where."""
        if not self.largest:
            return [*self.notes, "Nothing is lost: the picture comes back the same to the byte."]
        row, column = self.largest_at
        said = [
            *self.notes,
            f"There and back through the VAE of {self.model}: PSNR {self.psnr:.1f} dB, SSIM {self.ssim:.3f};"
            f" the largest error is {self.largest} of 255, at pixel ({column}, {row}).",
        ]
        there = [each for each in self.by_kind.values() if each.share]
        parts = [
            f"{100 * each.share:.0f} % of the pixels are {each.kind}, with {100 * each.loss_share:.0f} %"
            " of the loss"
            for each in there
        ]
        return [*said, f"{'; '.join(parts)}."]


def vae_loss(
    manager: ModelManager, image: Image.Image, model: str | None = None, vae: str | None = None
) -> VaeLoss:
    """Send any picture through a model's VAE and back; None is the app's own model, and the model's own VAE.

    Waits for the running job. A picture is scaled down to a megapixel and cut to whole cells, which is said.
    Raise ValueError for a model that is not here and for a picture below 16x16 pixels.
    """
    info = find_model(manager.settings, model)
    additions = choose_additions(manager.settings, info, "", vae)
    scheduler = find_scheduler(info.default_scheduler)
    with manager.pipeline(info.name, scheduler.full_name, additions=additions) as pipe:
        prepared, notes = prepare(image)
        manager.fit(width=prepared.width, height=prepared.height, num_images=1, is_guided=False)
        return loss_of(pipe, prepared, info.name, notes)


def prepare(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Bring a picture to what a VAE can read; return it and what was done, a sentence each."""
    if min(image.size) < LEAST_SIDE:
        raise ValueError(
            f"the picture must have at least {LEAST_SIDE}x{LEAST_SIDE} pixels to be sent through the VAE, got"
            f" {image.width}x{image.height}"
        )
    image, notes = image.convert("RGB"), []
    if image.width * image.height > MOST_PIXELS:
        size = scaled_size(*image.size, MOST_PIXELS)
        if min(size) < LEAST_SIDE:
            raise ValueError(
                f"the picture must be less long and narrow, got {image.width}x{image.height} (cut a part out)"
            )
        notes.append(
            f"The picture was scaled down from {image.width}x{image.height} to {size[0]}x{size[1]} first,"
            " which is not counted."
        )
        image = image.resize(size, Image.Resampling.LANCZOS)
    width, height = (side // CELL * CELL for side in image.size)
    if (width, height) != image.size:
        left, top = (image.width - width) // 2, (image.height - height) // 2
        notes.append(
            f"Its middle of {width}x{height} pixels was taken, since the VAE reads whole cells of 8."
        )
        image = image.crop((left, top, left + width, top + height))
    return image, tuple(notes)


def loss_of(pipe: Pipeline, image: Image.Image, model: str, notes: tuple[str, ...] = ()) -> VaeLoss:
    """Send an RGB picture whose sides are multiples of 8 through the lent VAE and back."""
    if pipe.vae.use_tiling and min(image.size) > pipe.vae.tile_sample_min_size:
        notes = (*notes, "It went through in tiles, since memory is short, which adds a loss at their edges.")
    return VaeLoss(original=image, back=round_trip(pipe, image), model=model, notes=notes)


def losses_of_recording(look: Look) -> dict[str, VaeLoss]:
    """Return what is lost of a recorded picture as the model drew it, and of the one it began from."""
    recording = look.recording
    pictures = {"finished": recording.decoded.convert("RGB")}
    if (start := placed_start(look)) is not None:
        pictures = {"start": start, **pictures}
    with look.pipe() as pipe:
        return {name: loss_of(pipe, picture, recording.facts.model) for name, picture in pictures.items()}


def placed_start(look: Look) -> Image.Image | None:
    """Return the picture that a recorded one began from, as the model was given it; None from noise alone."""
    if not isinstance(look.request, Img2ImgRequest):
        return None
    start = parts_of(look.request, find_model(look.manager.settings, look.request.model)).start
    assert isinstance(start, FromPicture)
    return start.placement.place(start.image)
