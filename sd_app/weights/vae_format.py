"""In which number format a VAE works: in its weights' own, or in float32 where that would overflow."""

from weakref import WeakSet

import torch
from diffusers import AutoencoderKL
from torch import nn

# Those that gave no numbers once. Numbers above 65,504 are infinite in float16, and then nothing is left.
_overflowed: WeakSet[nn.Module] = WeakSet()


def works_in(vae: AutoencoderKL, *, is_xl: bool) -> torch.dtype:
    """Return the format a VAE encodes and decodes in. SDXL's is known to overflow in float16."""
    dtype: torch.dtype = vae.dtype
    is_known = dtype == torch.float16 and vae.config.force_upcast and is_xl
    return torch.float32 if is_known or vae in _overflowed else dtype


def note_overflow(vae: AutoencoderKL) -> None:
    """Have a VAE work in float32 from now on."""
    _overflowed.add(vae)
