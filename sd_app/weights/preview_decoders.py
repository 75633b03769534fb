"""Previews by a small decoder, TAESD's or one of the model's own, instead of a linear map."""

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from ..failures import is_out_of_memory
from ..requests.running import OWN_PREVIEW, TAESD_PREVIEW
from ..user_files import reason_of
from .small_decoder import SmallDecoder


def load_decoder(path: Path) -> nn.Module:
    """Load a decoder: a SmallDecoder, or TAESD's as a diffusers folder or a file with the original names.

    Raise ValueError if it is bad.
    """
    try:
        decoder = _load_folder(path) if path.is_dir() else _load_file(path)
        _check_decoder(decoder)
    except Exception as error:  # previews are worth no picture
        if is_out_of_memory(error):
            raise
        raise ValueError(f"it cannot be read: {reason_of(error, path)}") from error
    return decoder


def _load_folder(path: Path) -> nn.Module:
    tiny = AutoencoderTiny.from_pretrained(path, use_safetensors=True, local_files_only=True)
    decoder: nn.Module = tiny.decoder.eval()
    return decoder


def _load_file(path: Path) -> nn.Module:
    weights = load_file(path)
    decoder: nn.Module
    if "begin.weight" in weights:
        decoder = SmallDecoder()
        decoder.load_state_dict(weights)
        decoder.to(memory_format=torch.channels_last)  # a third faster on a CPU
    else:
        decoder = AutoencoderTiny().decoder
        decoder.load_state_dict(dict(_renamed(weights)))
    return decoder.eval()


def name_of(decoder: nn.Module) -> str:
    """Return how previews of a decoder are drawn, as Step.preview_by tells it."""
    return OWN_PREVIEW if isinstance(decoder, SmallDecoder) else TAESD_PREVIEW


@torch.no_grad()
def _check_decoder(decoder: nn.Module) -> None:
    """Raise ValueError unless it makes pictures of latents; a folder's configuration can say anything."""
    if lacking := [name for name, weight in decoder.state_dict().items() if weight.is_meta]:
        raise ValueError(f"it lacks {len(lacking)} tensors, for example {lacking[0]}")
    pixels = decoder(torch.zeros(1, 4, 2, 2))
    if (shape := tuple(pixels.shape)) != (1, 3, 16, 16):
        raise ValueError(f"it makes {shape} of latents (1, 4, 2, 2), and (1, 3, 16, 16) is needed")
    if not pixels.isfinite().all():
        raise ValueError("it makes pixels that are no numbers")


@torch.no_grad()
def decode_to_pixels(decoder: nn.Module, latents: Tensor) -> Tensor:
    """Decode (B, 4, h, w) latents, as the U-Net sees them, to (B, 8h, 8w, 3) numbers 0..255."""
    weight = next(decoder.parameters())
    pictures = []
    for one in latents.nan_to_num():  # one at a time takes less memory
        pixels = decoder(one[None].to(weight))[0].float() / 2 + 0.5
        pictures.append((pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0))
    return torch.stack(pictures)


def decode_latents(decoder: nn.Module, latents: Tensor) -> list[Image.Image]:
    """Decode (B, 4, h, w) latents, as the U-Net sees them, to B pictures of 8w x 8h pixels."""
    return [Image.fromarray(picture) for picture in decode_to_pixels(decoder, latents).cpu().numpy()]


def _renamed(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Turn the original's numbers into diffusers': there a clamp, which has no weights, is number 0."""
    for name, weight in weights.items():
        number, _, rest = name.partition(".")
        yield f"layers.{int(number) - 1}.{rest}", weight
