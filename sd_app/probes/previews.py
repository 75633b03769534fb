"""Numbers of the model made visible."""

from functools import lru_cache

import torch
from PIL import Image
from torch import Tensor

from ..checkpoints.model_info import LatentRgb
from ..requests.running import PREVIEW_BY


def latents_to_pixels(latents: Tensor, latent_rgb: LatentRgb) -> Tensor:
    """Map (B, 4, h, w) latents, as the U-Net sees them, to (B, h, w, 3) numbers 0..255 on their device."""
    factors, bias = _linear_map(latent_rgb, latents.device)
    rgb = torch.einsum("bchw,cr->bhwr", latents.float(), factors) + bias
    return (rgb.nan_to_num(0.5).clamp(0, 1) * 255).round().to(torch.uint8)


def latents_to_images(latents: Tensor, latent_rgb: LatentRgb) -> list[Image.Image]:
    """Draw (B, 4, h, w) latents, as the U-Net sees them, as B pictures of w x h pixels: a linear map."""
    return [Image.fromarray(picture) for picture in latents_to_pixels(latents, latent_rgb).cpu().numpy()]


@lru_cache(maxsize=8)
def _linear_map(latent_rgb: LatentRgb, device: torch.device) -> tuple[Tensor, Tensor]:
    """Put a map's factors, (4, 3), and bias, (3,), on a device; a card would be waited for each time."""
    factors, bias = (torch.tensor(part, device=device, dtype=torch.float32) for part in latent_rgb)
    return factors, bias


def preview_sheet(images: list[Image.Image], *, side: int = 256, drawn_by: str = "") -> Image.Image:
    """Put a batch's pictures side by side, each brought smoothly to `side` pixels on its longer side.

    `drawn_by` says how they were drawn; Step.preview_by reads it.
    """
    width, height = images[0].size
    scale = side / max(width, height)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    columns = 1 if len(images) == 1 else 2
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        enlarged = image.resize((width, height), Image.Resampling.BICUBIC)
        sheet.paste(enlarged, (column * width, row * height))
    sheet.info[PREVIEW_BY] = drawn_by
    return sheet
