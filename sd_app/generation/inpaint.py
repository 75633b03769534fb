"""Pictures of which a part is painted anew, and what that did to the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor

from ..checkpoints.model_info import ModelInfo
from ..metadata import to_infotext
from ..pictures.drift import report_drift
from ..pictures.masks import composite, extend_image, extend_mask, fill_painted, masked_box, read_mask
from ..pictures.placement import Placement, place_box
from ..requests import DriftReport, InpaintRequest, InpaintResult
from ..weights.model_manager import ModelManager
from ..weights.pipeline import Pipeline
from .frames import SeedFrames
from .img2img import noised_picture, place_in_frame
from .job import JobParts
from .kept_area import KeptArea
from .prompt_embeds import SharedPrompt
from .run import RunOptions, run_job
from .starts import FromPicture, make_generator
from .vae import encode_image

CONTENT_STREAM = 1  # the noise of a seed that masked_content takes, beside the run's own
NOTHING_PAINTED = "The mask is empty, so nothing was repainted: paint white what should be redrawn."


def inpaint(manager: ModelManager, request: InpaintRequest, options: RunOptions) -> InpaintResult:
    """Repaint a part of a picture; see Studio.inpaint."""
    job = run_job(manager, request, compose_inpaint, options)
    start, remask = job.parts.start, job.parts.finished
    assert isinstance(start, FromScene)
    assert isinstance(remask, Remask)
    fields = job.result_fields()
    if job.parts.nothing_to_do:
        alone = job.request_of(0)
        fields["images"], fields["seeds"] = (start.image.copy(),), (alone.seed or 0,)
        fields["infotexts"], fields["stopped"] = (to_infotext(alone),), False
        fields["notice"] = NOTHING_PAINTED
    return InpaintResult(
        **fields,
        input_image=start.image,
        start_images=() if start.start_image is None else (start.start_image,),
        noised_start=noised_picture(job, start),
        raw_images=tuple(remask.raw_images),
        roundtrip_image=start.start_image,
        drifts=tuple(remask.drifts),
    )


def compose_inpaint(request: InpaintRequest, _: ModelInfo) -> JobParts:
    """Put an inpainting job together: an img2img whose kept area is put back, in latents and in pixels."""
    scene = make_scene(request)
    start = FromScene(scene, request.masked_content)
    return JobParts(
        frames=SeedFrames(request),
        start=start,
        prompts=SharedPrompt(),
        kept=start.kept,
        finished=Remask(request, scene, start),
        nothing_to_do=not scene.painted.any(),
    )


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The picture to repaint with all it needs, at its own size."""

    canvas: Image.Image  # the input, extended by what outpaint adds
    mask: NDArray[np.uint8]  # (H, W) uint8, see masks.py
    placement: Placement  # of what the model sees

    @cached_property
    def painted(self) -> NDArray[np.bool_]:
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
    if request.only_masked and mask.any():
        frame = request.width, request.height, request.resize_mode
        placement = place_box(masked_box(mask > 0, request.padding, *frame[:2]), *frame)
    else:
        placement = place_in_frame(request, canvas.size)
    return Scene(canvas=canvas, mask=mask, placement=placement)


class FromScene(FromPicture):
    """Begin with the canvas, where it is repainted with what the request says: itself, a fill, or noise."""

    def __init__(self, scene: Scene, masked_content: str) -> None:
        super().__init__(scene.canvas, scene.placement)
        self.kept = KeptArea(scene.canvas, scene.mask, scene.placement)
        self._scene = scene
        self._masked_content = masked_content
        self._filled_latents: Tensor | None = None  # (1, 4, h, w), with masked_content "fill"

    def encode(self, pipe: Pipeline) -> None:
        super().encode(pipe)
        assert self.start_image is not None
        self.start_image = self._scene.put_back(self.start_image)
        if self._masked_content == "fill":
            filled = fill_painted(self.image, self._scene.painted)
            self._filled_latents = encode_image(pipe, self.placement.place(filled))

    def content(self, init_latents: Tensor, generators: Sequence[Generator]) -> Tensor:
        if self._filled_latents is not None:
            return self._filled_latents
        if self._masked_content != "noise":
            return init_latents
        # Noise of its own: the same as the run's would only make that stronger.
        others = [make_generator(generator.initial_seed(), CONTENT_STREAM) for generator in generators]
        noise = torch.cat([torch.randn(init_latents.shape, generator=other) for other in others])
        painted = (self.kept.latent_mask > 0).to(init_latents.device)
        return torch.where(painted, noise.to(init_latents), init_latents)


class Remask:
    """Apply the mask again to each finished picture, and measure what the model changed outside it."""

    def __init__(self, request: InpaintRequest, scene: Scene, start: FromPicture) -> None:
        self._request = request
        self._scene = scene
        self._start = start
        self.raw_images: list[Image.Image] = []
        self.drifts: list[DriftReport] = []

    def __call__(self, image: Image.Image) -> tuple[Image.Image, Mapping[str, Image.Image]]:
        """Return the picture on the canvas's own pixels; beside it the raw one and the VAE's round trip."""
        scene, request, roundtrip = self._scene, self._request, self._start.start_image
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
        self.raw_images.append(raw)
        self.drifts.append(report)
        return final, {"raw": raw, "roundtrip": roundtrip}
