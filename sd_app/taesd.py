"""Previews by TAESD's decoder instead of a linear map."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .addons import reason_of
from .device_memory import is_out_of_memory


def load_decoder(path: Path) -> nn.Module:
    """Load a decoder from a diffusers folder, or a file with the original names. Raise ValueError if bad."""
    try:
        if path.is_dir():
            return AutoencoderTiny.from_pretrained(path, use_safetensors=True, local_files_only=True).decoder
        decoder: nn.Module = AutoencoderTiny().decoder
        decoder.load_state_dict(dict(_renamed(load_file(path))))
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(f"it cannot be read: {reason_of(error, path)}") from error
    return decoder.eval()


@torch.no_grad()
def decode_latents(decoder: Any, latents: Tensor) -> list[Image.Image]:
    """Decode (B, 4, h, w) latents, as the U-Net sees them, to B pictures of 8w x 8h pixels."""
    weight = next(decoder.parameters())
    images = []
    for one in latents.nan_to_num():  # one at a time takes less memory
        pixels = decoder(one[None].to(weight))[0].float() / 2 + 0.5
        values = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        images.append(Image.fromarray(values))
    return images


def _renamed(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Turn the original's numbers into diffusers': there a clamp, which has no weights, is number 0."""
    for name, weight in weights.items():
        number, _, rest = name.partition(".")
        yield f"layers.{int(number) - 1}.{rest}", weight
