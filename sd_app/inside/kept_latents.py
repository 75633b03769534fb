"""How inpainting keeps a place: what the sampler made of it, what is put back, and what the decoder does.

In latent space the kept cells end exactly at the encoded original. Their pixels do not: the VAE loses some,
and the decoder reads the painted cells beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..generation.inpaint import make_scene
from ..generation.vae import round_trip
from ..pictures.drift import difference
from ..pictures.masks import HALF, Painted
from ..probes.recording import Recording
from ..requests import InpaintRequest
from .look import Look
from .replay import steps_of

NO_MASK = "This picture has no mask, so no part of another picture was kept."
ALL_PAINTED = "The mask covers all of the picture, so nothing was kept."
DISTANCES = (8, 16, 32, 64)  # pixels from the painted area: the ends of the belts


@dataclass(frozen=True, kw_only=True, eq=False)
class Blends:
    """What passed at each of the n calls of an inpainting, on the CPU; nothing of it was run anew.

    With a model that reads the mask itself nothing is put back, and `mixed` is `stepped`.
    """

    recording: Recording
    stepped: Tensor  # (n, 4, h, w): what the sampler made of x_t everywhere
    mixed: Tensor  # (n, 4, h, w): with the original put back where it is kept; what the next call reads
    joined: Tensor  # (n, h, w) bool: the cells that are repainted after the call; of a soft mask ever more

    def unscaled(self, latents: Tensor, call: int) -> Tensor:
        """Return what a call left, (..., 4, h, w), with variance 1."""
        after = call + 1
        if self.recording.facts.keeps_variance or after == self.recording.num_calls:
            return latents
        return latents / (1 + float(self.recording.sigmas[after]) ** 2) ** 0.5

    @cached_property
    def strayed(self) -> NDArray[np.float32]:
        """Return how far the kept cells had strayed at each call before they were put back, (n,).

        Root mean square over kept cells and channels, with variance 1; NaN where nothing is put back.
        """
        values = []
        for call in range(len(self.stepped)):
            kept = ~self.joined[call]
            apart = self.unscaled(self.stepped[call].float() - self.mixed[call].float(), call)[:, kept]
            is_put_back = kept.any() and not self.recording.facts.reads_masks
            values.append(float(apart.square().mean().sqrt()) if is_put_back else float("nan"))
        return np.array(values, np.float32)


def why_no_mask(recording: Recording) -> str:
    """Say why there is no kept area; empty if there is one."""
    if recording.mask is None:
        return NO_MASK
    return "" if (recording.mask == 0).any() else ALL_PAINTED


def blends_of(look: Look) -> Blends:
    """Go through a recorded inpainting again with the U-Net's recorded answers; ValueError without one."""
    recording = look.recording
    if reason := why_no_mask(recording):
        raise ValueError(reason)
    assert recording.mask is not None
    steps = steps_of(look)
    left = torch.arange(recording.num_calls - 1, -1, -1).view(-1, 1, 1)
    joined = recording.mask[None] > left / recording.num_calls
    if recording.facts.reads_masks:
        joined = (recording.mask > 0).expand_as(joined)
    return Blends(recording=recording, stepped=steps.stepped, mixed=steps.next_latents, joined=joined)


@dataclass(frozen=True, kw_only=True)
class Belt:
    """The kept pixels at some distance from the repainted cells; at 0 they lie over one of those."""

    least: float  # pixels, itself not inside
    most: float
    pixels: int
    vae: float  # mean difference from the original, 0..255, that the VAE alone makes
    spill: float  # and how far the inpainted frame is from that


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptPixels:
    """What the decoder did to the kept pixels, before the finished picture gets its own pixels back."""

    original: Image.Image  # the picture in the model's frame
    through_vae: Image.Image  # its encoded original decoded
    frame: Image.Image  # the inpainted frame as the model made it
    painted: Painted  # (H, W): the mask
    repainted: Painted  # (H, W): the cells that it touches, which are repainted whole
    latents_moved: float  # RMS over kept cells, from the encoded original; 0 where it is put back

    @cached_property
    def total(self) -> NDArray[np.uint8]:
        """Return how far each pixel of the frame is from the original, (H, W) 0..255."""
        return difference(self.original, self.frame)

    @cached_property
    def by_vae(self) -> NDArray[np.uint8]:
        """Return how far the VAE alone brings each pixel, (H, W) 0..255."""
        return difference(self.original, self.through_vae)

    @cached_property
    def spill(self) -> NDArray[np.uint8]:
        """Return how far each pixel of the frame is from what the VAE alone gives, (H, W) 0..255."""
        return difference(self.through_vae, self.frame)

    def mean(self, change: NDArray[np.uint8]) -> float:
        """Return the mean of a difference over the kept pixels, 0..255; 0 if there are none."""
        kept = change[~self.painted]
        return float(kept.mean()) if kept.size else 0.0

    @cached_property
    def belts(self) -> list[Belt]:
        """Return what happened over the repainted cells beside the mask, and at growing distances."""
        away = cv2.distanceTransform((~self.repainted).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        ends = (-1, 0, *DISTANCES, float("inf"))
        found = []
        for least, most in pairwise(ends):
            inside = (away > least) & (away <= most) & ~self.painted
            if inside.any():
                found.append(
                    Belt(
                        least=max(least, 0),
                        most=min(most, float(np.ceil(away.max()))),
                        pixels=int(inside.sum()),
                        vae=float(self.by_vae[inside].mean()),
                        spill=float(self.spill[inside].mean()),
                    )
                )
        return found

    @property
    def sentences(self) -> list[str]:
        """Say what became of the kept pixels."""
        said = [
            "The kept latents ended exactly at the encoded original."
            if not self.latents_moved
            else "The kept latents were not put back, since this model reads the mask itself: they ended"
            f" {self.latents_moved:.3f} from the encoded original (root mean square).",
            f"Outside the mask the decoded frame is {self.mean(self.total):.2f} of 255 from the original on"
            f" average; the VAE alone makes {self.mean(self.by_vae):.2f}, and the frame is"
            f" {self.mean(self.spill):.2f} from that.",
        ]
        over = [belt for belt in self.belts if not belt.most]
        beside = [belt for belt in self.belts if belt.most]
        if over:
            said.append(
                f"{over[0].pixels:,} kept pixels lie over cells that the mask touches, which are repainted"
                f" whole: the frame is {over[0].spill:.2f} from what the VAE alone gives there."
            )
        if len(beside) > 1:
            why = (
                "the kept latents have moved too"
                if self.latents_moved
                else "the decoder reads the painted cells beside the kept ones"
            )
            said.append(
                f"Up to {beside[0].most:.0f} pixels from these cells it is {beside[0].spill:.2f}, beyond"
                f" {beside[-1].least:.0f} pixels {beside[-1].spill:.2f}: {why}."
            )
        return [*said, "The finished picture has your own pixels there, which are put back after decoding."]


def kept_pixels(look: Look) -> KeptPixels:
    """Measure what the decoder did to the kept pixels. Raise ValueError where nothing was kept."""
    recording, request = look.recording, look.request
    if reason := why_no_mask(recording):
        raise ValueError(reason)
    assert isinstance(request, InpaintRequest)
    assert recording.original is not None
    assert recording.mask is not None
    scene = make_scene(request)
    original = scene.placement.place(scene.canvas)
    with look.pipe() as pipe:
        through_vae = round_trip(pipe, original)
    mask = Image.fromarray(scene.painted.astype(np.uint8) * np.uint8(255)).convert("RGB")
    kept = recording.mask == 0
    apart = (recording.final.float() - recording.original.float())[:, kept]
    return KeptPixels(
        original=original,
        through_vae=through_vae,
        frame=recording.decoded.convert("RGB"),
        painted=np.asarray(scene.placement.place(mask))[..., 0] >= HALF,
        repainted=over_pixels(~kept, scene.placement.height // kept.shape[0]),
        latents_moved=float(apart.square().mean().sqrt()),
    )


def over_pixels(cells: Tensor, side: int) -> Painted:
    """Return which pixels lie over the (h, w) bool cells, (h * side, w * side)."""
    return cells.numpy().repeat(side, 0).repeat(side, 1)


def shown_calls(recording: Recording, most: int = 5) -> Sequence[int]:
    """Return some calls over the whole run, the last one among them."""
    return sorted({round(place) for place in np.linspace(0, recording.num_calls - 1, most)})
