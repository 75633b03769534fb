"""What the three jobs that make pictures give back."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from .making import Txt2ImgRequest


@dataclass(frozen=True, kw_only=True)
class Txt2ImgResult:
    """What a job made. `request` is resolved: no field of it is open. All tuples have one entry a picture."""

    images: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    request: Txt2ImgRequest
    seconds: float
    paths: tuple[Path, ...] = ()  # empty when the pictures were not saved
    infotexts: tuple[str, ...] = ()
    stopped: bool = False  # cancelled: holds the pictures finished before
    # The prompt and the negative prompt of each picture, where they were drawn from templates.
    drawn: tuple[tuple[str, str], ...] = ()
    notice: str = ""  # what the user should know, for instance what of a LoRA was not used

    def request_of(self, index: int) -> Txt2ImgRequest:
        """Return the request that makes picture `index` alone."""
        request = replace(self.request, seed=self.seeds[index], num_images=1)
        return request.drawn_as(*self.drawn[index]) if self.drawn else request


@dataclass(frozen=True, kw_only=True)
class Img2ImgResult(Txt2ImgResult):
    """What img2img made, and what it began with."""

    input_image: Image.Image | None = None  # the init picture at the size of the results
    start_images: tuple[Image.Image, ...] = ()  # one: the init picture encoded and decoded again
    noised_start: Image.Image | None = None  # the first picture's noised latents; None: colours unknown


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far kept pixels moved: per pixel the largest difference of a channel, 0..255."""

    mean: float
    maximum: int
    changed_share: float  # of the kept pixels, 0..1: those that differ at all


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What inpainting changed where nothing was to change, and how visible the edge is.

    A seam is the mean colour step, 0..255, from a repainted pixel to the kept one beside it.
    """

    raw: Drift  # the picture as the model gives it
    composite: Drift  # the re-masked picture
    roundtrip: Drift  # the untouched input encoded and decoded: what the VAE does alone
    seam_input: float  # the same edge in the input: what belongs to the picture
    seam_before: float  # in the re-masked picture without feather, colour match and blending
    seam_after: float  # in the re-masked picture as it is returned
    raw_heat: Image.Image  # heat maps of what changed outside the mask; what is repainted is grey
    composite_heat: Image.Image

    @property
    def vae_share(self) -> float:
        """Return how much of the raw picture's mean drift the VAE alone explains, 0..1."""
        return min(1.0, self.roundtrip.mean / self.raw.mean) if self.raw.mean else 1.0


@dataclass(frozen=True, kw_only=True)
class InpaintResult(Img2ImgResult):
    """What inpainting made. `images` are re-masked, at the input's own size (with outpaint: the larger one).

    The files of picture k: paths[k], and beside it the same name with -raw and -roundtrip.
    """

    raw_images: tuple[Image.Image, ...] = ()  # as the model gives them, before the mask is applied again
    roundtrip_image: Image.Image | None = None  # the input encoded and decoded; None if nothing was run
    drifts: tuple[DriftReport, ...] = ()  # one a picture

    @property
    def drift(self) -> DriftReport | None:
        """Return the first picture's drift report, None if nothing was run."""
        return self.drifts[0] if self.drifts else None
