"""What a device has free, what a model needs of it, and how a full one is told."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import psutil
import torch

from .memory_plan import GUIDED, UNET_TENSORS, VAE_TENSORS, Demand

T = TypeVar("T")

# What a full memory raises: torch's own error on CUDA, RuntimeError on MPS and the CPU, and OSError where
# the system refuses to map a file, or diffusers says that it cannot load one.
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError, RuntimeError, OSError)
FULL = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell a full memory, also one behind an error, from others: on MPS and the CPU only the words do."""
    if error is None:
        return False
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if known or any(word in str(error).lower() for word in FULL):
        return True
    return is_out_of_memory(error.__cause__ or error.__context__)


def try_twice(attempt: Callable[[], T], make_room: Callable[[], object], words: str) -> T:
    """Return attempt(); if memory runs out, make room and try again; if it still does, raise MemoryError."""
    try:
        return attempt()
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
    # Only here are the failed attempt's tensors free: they lived as long as the exception.
    make_room()
    try:
        return attempt()
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(words) from error


def free_bytes(device: torch.device) -> int:
    """Return what a job can still take of a device's memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds and nobody uses is free for us, and taken in the driver's eyes.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return psutil.virtual_memory().available


def demand_of(components: dict[str, Any]) -> Demand:
    """Estimate what running a model takes beside its weights, from its U-Net's and VAE's first levels."""
    unet, vae = components["unet"], components["vae"]
    channels = vae.config.block_out_channels
    latent_pixels = 4 ** (len(channels) - 1)
    # SDXL's VAE runs in float32 where it would overflow in float16.
    upcasts = vae.config.force_upcast and "text_encoder_2" in components
    vae_bytes = 4 if upcasts else vae.dtype.itemsize
    return Demand(
        denoise=GUIDED
        * UNET_TENSORS
        * unet.config.block_out_channels[0]
        * unet.dtype.itemsize
        / latent_pixels,
        decode=VAE_TENSORS * max(channels[:2]) * vae_bytes,
    )


def networks_in(part: Any) -> list[torch.nn.Module]:
    """Return a part that is a network, or the networks among its attributes."""
    held = [part] if isinstance(part, torch.nn.Module) else getattr(part, "__dict__", {}).values()
    return [value for value in held if isinstance(value, torch.nn.Module)]


def lies_on(network: torch.nn.Module, device: torch.device) -> bool:
    """Tell whether a network's weights are in a device's memory."""
    return any(weight.device.type == device.type for weight in network.parameters())


def count_bytes(parts: Iterable[torch.nn.Module | torch.Tensor]) -> int:
    """Return what networks, weights and buffers, and tensors take together; what they share counts once."""
    tensors: list[torch.Tensor] = []
    for part in parts:
        tensors += [part] if isinstance(part, torch.Tensor) else [*part.parameters(), *part.buffers()]
    sizes = {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}
    return sum(sizes.values())
