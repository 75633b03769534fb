"""Short ways to write a request of each kind, and the pictures and masks they start from."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sd_app import BlendRequest, Img2ImgRequest, InpaintRequest, PlaneRequest, Txt2ImgRequest, WalkRequest


def txt2img(**fields: Any) -> Txt2ImgRequest:
    return Txt2ImgRequest(**common(fields))


def img2img(**fields: Any) -> Img2ImgRequest:
    return Img2ImgRequest(**common({"init_image": picture()} | fields))


def inpaint(**fields: Any) -> InpaintRequest:
    return InpaintRequest(**common({"init_image": picture(), "mask_image": mask()} | fields))


def blend(**fields: Any) -> BlendRequest:
    return BlendRequest(**common({"prompt": "a drawing of {}, red"} | fields))


def plane(**fields: Any) -> PlaneRequest:
    known = {"prompt": "a drawing of {}, red", "a": "cat", "b": "dog", "direction": "red - blue"}
    return PlaneRequest(**common(known | {"rows": 2, "columns": 3} | fields))


def walk(**fields: Any) -> WalkRequest:
    known = {"prompt": "a drawing of {}", "a": "cat", "b": "house", "frames": 4, "film": "none"}
    return WalkRequest(**common(known | fields))


def common(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with those a case leaves out; a size of None is the model's or the picture's own."""
    known: dict[str, Any] = {
        "prompt": "a red cat on the beach",
        "negative_prompt": "blue, blurry",
        "scheduler": "DDIM",
        "num_inference_steps": 4,
        "guidance_scale": 5.0,
        "seed": 11,
        "width": 64,
        "height": 64,
    }
    return known | fields


def picture(width: int = 64, height: int = 64, seed: int = 1) -> Image.Image:
    """Return a picture of slopes, a disc and a little noise, the same for the same seed."""
    rows, columns = np.mgrid[:height, :width]
    colours = np.stack([255 * columns / width, 255 * rows / height, 255 * (1 - columns / width)], axis=-1)
    noise = np.random.default_rng(seed).normal(0, 12, colours.shape)
    image = Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8))
    ImageDraw.Draw(image).ellipse((width // 5, height // 4, width // 2, height // 2), fill=(230, 60, 20))
    return image


def mask(width: int = 64, height: int = 64) -> Image.Image:
    """Return a mask whose white ellipse meets no border of the latents' 8x8 pixels."""
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).ellipse(
        (width // 4 + 3, height // 4 - 2, width * 3 // 4 + 1, height * 5 // 6), fill=255
    )
    return image


def soft_mask() -> Image.Image:
    """Return a mask that goes from black on the left to white on the right."""
    return Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1)))
