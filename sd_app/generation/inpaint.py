"""Pictures of which a part is painted anew, and what that did to the rest."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..metadata import to_infotext
from ..pictures.drift import report_drift
from ..pictures.masks import composite, extend_image, extend_mask, fill_painted, masked_box, read_mask
from ..pictures.placement import CELL, Placement, place_box, place_whole
from ..requests import DriftReport, InpaintRequest, InpaintResult
from ..weights.model_manager import ModelManager
from .img2img import Img2ImgJob, encode_image, encode_pixels
from .job import OnStep
from .run import run_job

CONTENT_STREAM = 2**32  # added to a seed, it is no other picture's: seeds are smaller
NOTHING_PAINTED = "The mask is empty, so nothing was repainted: paint white what is to be made anew."


def inpaint(
    manager: ModelManager,
    request: InpaintRequest,
    on_step: OnStep | None = None,
    *,
    preview_every: int = 3,
    save: bool = True,
) -> InpaintResult:
    """Repaint a part of a picture; see Studio.inpaint."""
    return run_job(InpaintJob, manager, request, on_step, preview_every=preview_every, save=save).result()


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The picture to repaint with all it needs, at its own size."""

    canvas: Image.Image  # the input, extended by what outpaint adds
    mask: np.ndarray  # (H, W) uint8, see masks.py
    placement: Placement  # of what the model sees

    @cached_property
    def painted(self) -> np.ndarray:
        """Return which pixels are repainted, (H, W) bool."""
        return self.mask > 0

    def put_back(self, frame: Image.Image) -> Image.Image:
        """Return the canvas with the model's frame in its place."""
        picture = self.canvas.copy()
        picture.paste(self.placement.take_back(frame), self.placement.box[:2])
        return picture


def make_scene(request: InpaintRequest) -> Scene:
    """Work out canvas, mask and placement of a resolved request."""
    assert isinstance(request.init_image, Image.Image)
    assert isinstance(request.mask_image, Image.Image)
    assert request.width is not None
    assert request.height is not None
    canvas = extend_image(request.init_image, request.outpaint)
    mask = read_mask(request.mask_image, invert=request.invert_mask, soft=request.soft_mask)
    mask = extend_mask(mask, request.outpaint)
    frame = request.width, request.height, request.resize_mode
    if request.only_masked and mask.any():
        placement = place_box(masked_box(mask > 0, request.padding, *frame[:2]), *frame)
    else:
        placement = place_whole(canvas.size, *frame)
    return Scene(canvas=canvas, mask=mask, placement=placement)


class InpaintJob(Img2ImgJob):
    """A job that repaints a part. What it keeps is, in latent space, the encoded picture at every step."""

    kind = "inpaint"
    request: InpaintRequest
    filled_latents: Tensor | None = None  # (1, 4, h, w), with masked_content "fill"
    masked_latents: Tensor | None = None  # (1, 4, h, w), for checkpoints made for inpainting

    def __init__(self, *known: Any) -> None:
        super().__init__(*known)
        self.raw_images: list[Image.Image] = []
        self.drifts: list[DriftReport] = []

    @cached_property
    def scene(self) -> Scene:
        return make_scene(self.request)

    @cached_property
    def latent_mask(self) -> Tensor:
        """Return how much each latent is repainted, (h, w) in 0..1: the most of its 8x8 pixels."""
        return torch.from_numpy(self.scene.placement.pool(self.scene.mask)).float() / 255

    @property
    def nothing_to_do(self) -> bool:
        return not self.scene.painted.any()

    def init_image(self) -> Image.Image:
        return self.scene.canvas

    def input_image(self) -> Image.Image:
        return self.scene.canvas

    def placement(self) -> Placement:
        return self.scene.placement

    def arguments(self, pipe: Any, generators: list[torch.Generator]) -> dict[str, Any]:
        arguments = super().arguments(pipe, generators)
        if self.masked_latents is None:
            return arguments
        # diffusers takes one pixel of each 8x8: give it blocks of one value.
        blocks = Image.fromarray((self.latent_mask.numpy() > 0) * np.uint8(255))
        return {
            "image": self.placement().place(self.scene.canvas),
            "mask_image": blocks.resize(
                (blocks.width * CELL, blocks.height * CELL), Image.Resampling.NEAREST
            ),
            "masked_image_latents": self.masked_latents.expand(len(generators), -1, -1, -1),
            "latents": arguments["image"],
            "strength": self.request.strength,
            "width": self.request.width,
            "height": self.request.height,
        }

    def encode(self, pipe: Any) -> Tensor:
        init_latents = super().encode(pipe)
        assert self.start_image is not None
        self.start_image = self.scene.put_back(self.start_image)
        if self.request.masked_content == "fill":
            filled = fill_painted(self.scene.canvas, self.scene.painted)
            self.filled_latents = encode_image(pipe, self.placement().place(filled))
        if not blends_latents(pipe):
            pixels = pipe.image_processor.preprocess(self.placement().place(self.scene.canvas))
            kept = (self.latent_mask == 0).repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
            self.masked_latents = encode_pixels(pipe, pixels * kept)
        return init_latents

    def content(self, init_latents: Tensor, generators: list[torch.Generator]) -> Tensor:
        if self.filled_latents is not None:
            return self.filled_latents
        if self.request.masked_content == "noise":
            # Noise of its own: the same as the run's would only make that stronger.
            others = [torch.Generator().manual_seed(g.initial_seed() + CONTENT_STREAM) for g in generators]
            noise = torch.cat([torch.randn(init_latents.shape, generator=other) for other in others])
            painted = (self.latent_mask > 0).to(init_latents.device)
            return torch.where(painted, noise.to(init_latents), init_latents)
        return init_latents

    def after_step(self, pipe: Any, index: int, latents: Tensor) -> dict[str, Tensor]:
        """Put the original back where it is kept, as noisy as the next step expects it; at last as it is.

        Of a soft mask each latent joins once its grey is above the step's threshold, which falls from 1 to 0
        (Levin & Fried 2023, differential diffusion). White is above all of them, black above none.
        """
        if not blends_latents(pipe):
            return {}
        assert self.init_latents is not None
        original, left = self.init_latents, pipe.num_timesteps - (index + 1)
        if left:
            timesteps = pipe.scheduler.timesteps[-left].repeat(len(latents))
            original = pipe.scheduler.add_noise(original.expand_as(latents), self.noise, timesteps)
        joined = self.latent_mask.to(latents.device) > left / pipe.num_timesteps
        return {"latents": torch.where(joined, latents, original)}

    def keep(self, image: Image.Image, companions: Any = None) -> None:
        """Apply the mask again; keep and save the result, the raw picture and the VAE's round trip."""
        scene, request, roundtrip = self.scene, self.request, self.start_image
        assert roundtrip is not None
        raw = scene.put_back(image)
        plain = composite(scene.canvas, raw, scene.painted)
        final = composite(
            scene.canvas,
            raw,
            scene.painted,
            feather=request.feather,
            color_match=request.color_match,
            blend=request.blend,
        )
        report = report_drift(
            scene.canvas, raw, final, plain_composite=plain, roundtrip=roundtrip, painted=scene.painted
        )
        super().keep(final, {"raw": raw, "roundtrip": roundtrip})
        self.raw_images.append(raw)
        self.drifts.append(report)

    def result(self) -> InpaintResult:
        fields = self.result_fields() | {
            "raw_images": tuple(self.raw_images),
            "roundtrip_image": self.start_image,
            "drifts": tuple(self.drifts),
        }
        if self.nothing_to_do:
            seed = self.seed(0)
            fields |= {
                "images": (self.scene.canvas.copy(),),
                "seeds": (seed,),
                "infotexts": (to_infotext(self.request_of(0)),),
                "stopped": False,
                "notice": NOTHING_PAINTED,
            }
        return InpaintResult(**fields)


def blends_latents(pipe: Any) -> bool:
    """Tell whether the U-Net knows no masks, so that the kept latents have to be put back at every step."""
    return pipe.unet.config.in_channels == pipe.vae.config.latent_channels
