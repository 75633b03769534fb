"""A part of a picture made anew: what is asked."""

from pathlib import Path

from PIL import Image

from ..checks import check_margins, check_same_size
from .fields import InfotextKey, request_class, request_field, request_fields
from .making import Img2ImgRequest

INVERTED, ONLY_MASKED, LATENT = "Inpaint not masked", "Only masked", "latent "  # AUTOMATIC1111's values


@request_class
class InpaintRequest(Img2ImgRequest):
    """Ask to paint a part of a picture anew and keep the rest pixel for pixel.

    In `mask_image`, of the same size as `init_image`, white is repainted; with `soft_mask` grey is changed
    less, without it grey counts as white from 128 on. `outpaint` adds pixels at (left, top, right, bottom):
    the new border is repainted too, and the mask may be left out. Results have the size of the picture, so
    "crop" is no `resize_mode` here. `width` and `height` are the size the model works at; without them it is
    the picture's own, or the model's native one with `only_masked`.
    """

    resize_mode: str = "pad"
    mask_image: Image.Image | str | Path | None = request_field(
        default=None,
        modes=("1", "L", "RGB"),
        label="Mask",
        help="picture of the same size: white is repainted; may be left out with --outpaint",
    )
    feather: int = request_field(
        default=0,
        low=0,
        high=512,
        slider=(0, 128),
        label="Feather",
        long_label="Feather, pixels",
        help="fades the new part in over this many pixels inside the mask; what is outside stays yours",
        infotext=InfotextKey("Mask blur"),
    )
    masked_content: str = request_field(
        default="original",
        choices={"original": "Original picture", "fill": "Surrounding colours", "noise": "Latent noise"},
        label="Masked area starts from",
        long_label="Starts from",
        help="what the masked area starts from when the strength is below 1",
        infotext=InfotextKey(
            "Masked content",
            write=lambda content: f"{LATENT}{content}" if content == "noise" else content,
            read=lambda text: text.removeprefix(LATENT),
        ),
    )
    only_masked: bool = request_field(
        default=False,
        label="Only masked",
        long_label="Only masked: {help}",
        help="draw the masked area alone, at the model's full size",
        infotext=InfotextKey(
            "Inpaint area", write=lambda on: ONLY_MASKED, read=lambda text: text == ONLY_MASKED
        ),
    )
    padding: int = request_field(
        default=32,
        low=0,
        high=1024,
        slider=(0, 256),
        step=4,
        label="Padding",
        long_label="Only masked padding, pixels",
        help="how much around the masked area the model sees with Only masked",
        infotext=InfotextKey("Masked area padding", beside="only_masked"),
    )
    invert_mask: bool = request_field(
        default=False,
        label="Invert",
        long_label="Invert mask: redraw what is not painted",
        help="repaint black instead of white",
        infotext=InfotextKey("Mask mode", write=lambda on: INVERTED, read=lambda text: text == INVERTED),
    )
    soft_mask: bool = request_field(
        default=False,
        label="Soft mask",
        long_label="Soft mask: {help}",
        help="grey changes less than white",
        infotext=InfotextKey("Soft mask"),
    )
    color_match: bool = request_field(
        default=False,
        label="Match colours",
        long_label="{help}",
        help="match the new part's colours to its surroundings",
        infotext=InfotextKey("Color match"),
    )
    blend: str = request_field(
        default="none",
        choices={"none": "None", "poisson": "Poisson", "pyramid": "Pyramid"},
        label="Blend",
        help="how the new part is joined to the rest",
        infotext=InfotextKey("Blend"),
    )
    outpaint: tuple[int, int, int, int] = request_field(
        default=(0, 0, 0, 0),
        check=check_margins,
        keep=tuple,
        step=8,
        label="Extend",
        help="pixels to add at the left, top, right and bottom",
        infotext=InfotextKey(
            "Outpaint",
            write=lambda margins: " ".join(map(str, margins)),
            read=lambda text: tuple(int(pixels) for pixels in text.split()),
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resize_mode == "crop":
            raise ValueError(
                "resize_mode must be pad or stretch for inpainting, got crop (the picture comes back whole)"
            )
        if self.mask_image is not None:
            check_same_size(self.init_image, self.mask_image)
        elif not any(self.outpaint):
            raise ValueError("mask_image must be given (paint white what should be redrawn, or set outpaint)")


RESIZE_MODES, MASKED_CONTENTS, BLENDS = (
    request_fields(InpaintRequest)[name].names for name in ("resize_mode", "masked_content", "blend")
)
