"""What a device has free, what a model needs of it, and how a full one is told."""

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

import psutil
import torch

from ..failures import is_out_of_memory
from .components import Components
from .devices import CPU
from .memory_plan import GUIDED, UNET_TENSORS, VAE_TENSORS, VAE_TENSORS_ON_CARDS, Demand
from .vae_format import works_in

T = TypeVar("T")

_sizes: WeakKeyDictionary[torch.nn.Module, tuple[torch.dtype | None, int]] = WeakKeyDictionary()

NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16")  # Intel and AMD, Intel's tiles, ARM, in torch's words
LARGE_BYTES = 500 * 10**6  # of weights on disk: Stable Diffusion 1.5 has 2 GB

M_ARENA_MAX = -8  # of glibc's malloc.h
TRIM_SECONDS = 10.0  # between two trims of the heap

# What a full memory raises: torch's own error on CUDA, RuntimeError on MPS and the CPU and from libraries,
# and OSError where the system refuses to map a file, or diffusers says that it cannot load one.
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError, RuntimeError, OSError)


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
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + unused - kept_by_graphs(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return psutil.virtual_memory().available


def kept_by_graphs(device: torch.device) -> int:
    """Return what torch counts as unused, and only the next replay of a CUDA graph can use.

    A graph's blocks are free again when it is recorded, but lie in a private pool, and memory is looked for
    in no other pool than the asker's (get_pool and get_free_block of torch's CUDACachingAllocator.cpp).
    """
    if torch.cuda.get_allocator_backend() != "native":  # the other one keeps them out of its figures
        return 0
    index = torch.cuda.current_device() if device.index is None else device.index
    return sum(
        segment["total_size"] - segment["allocated_size"]
        for segment in torch.cuda.memory_snapshot()
        if segment["device"] == index and tuple(segment["segment_pool_id"]) != (0, 0)
    )


def demand_of(components: Components, device: torch.device = CPU) -> Demand:
    """Estimate what running a model takes beside its weights, from its U-Net's and VAE's first levels."""
    vae_tensors = VAE_TENSORS_ON_CARDS if device.type == "cuda" else VAE_TENSORS
    unet, vae = components["unet"], components["vae"]
    channels = vae.config.block_out_channels
    latent_pixels = 4 ** (len(channels) - 1)
    vae_bytes = works_in(vae, is_xl="text_encoder_2" in components).itemsize
    return Demand(
        denoise=GUIDED
        * UNET_TENSORS
        * unet.config.block_out_channels[0]
        * unet.dtype.itemsize
        / latent_pixels,
        decode=vae_tensors * max(channels[:2]) * vae_bytes,
    )


def networks_in(part: object) -> list[torch.nn.Module]:
    """Return a part that is a network, or the networks among its attributes."""
    held = [part] if isinstance(part, torch.nn.Module) else getattr(part, "__dict__", {}).values()
    return [value for value in held if isinstance(value, torch.nn.Module)]


def lies_on(network: torch.nn.Module, device: torch.device) -> bool:
    """Tell whether a network's weights are in a device's memory."""
    return any(weight.device.type == device.type for weight in network.parameters())


def lies_wholly_on(network: torch.nn.Module, device: torch.device) -> bool:
    """Tell whether all that a network consists of is in a device's memory, and nothing elsewhere."""
    return all(part.device.type == device.type for part in (*network.parameters(), *network.buffers()))


def count_bytes(parts: Iterable[torch.nn.Module | torch.Tensor]) -> int:
    """Return what networks, weights and buffers, and tensors take together; what they share counts once."""
    tensors: list[torch.Tensor] = []
    for part in parts:
        tensors += [part] if isinstance(part, torch.Tensor) else [*part.parameters(), *part.buffers()]
    sizes = {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}
    return sum(sizes.values())


def size_of(network: torch.nn.Module) -> int:
    """Return a network's bytes. Jobs ask often: they are counted again only if its format has changed."""
    dtype = next((weight.dtype for weight in network.parameters()), None)
    known = _sizes.get(network)
    if known is None or known[0] != dtype:
        known = _sizes[network] = dtype, count_bytes([network])
    return known[1]


def choose_dtype(name: str, device: torch.device, *, size_bytes: int = 0) -> torch.dtype:
    """Return the number format of weights of so many bytes.

    On a processor that computes in bfloat16 itself, large models are 2.5 times as quick in it. Small ones are
    quick anyway, and in float32 they draw the same picture on every processor up to rounding.
    """
    if name != "auto":
        return getattr(torch, name)
    if device.type != "cpu":
        return torch.float16
    return torch.bfloat16 if size_bytes >= LARGE_BYTES and has_native_bf16() else torch.float32


def has_native_bf16() -> bool:
    """Tell whether the processor multiplies bfloat16 matrices by itself; on others they take longer."""
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(found.get(name) for name in NATIVE_BF16)
    return torch.cpu._is_avx512_bf16_supported()  # of older torches


def choose_budget(gigabytes: float | None, device: torch.device) -> int:
    """Return the bytes that kept weights may take: by default half of the device's memory."""
    if gigabytes is not None:
        return int(gigabytes * 1e9)
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory // 2
    return psutil.virtual_memory().total // 2


def collect_memory() -> None:
    """Give memory without references back, to the GPU's driver and to the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if libc := _glibc():
        libc.malloc_trim(0)


class HeapTrimmer:
    """Give the pages that lie free between what is in use back to the system, now and then.

    Jobs of many sizes leave the heap in pieces: after a quarter of an hour 240 MB of them lay free.
    """

    def __init__(self) -> None:
        self._next = 0.0  # of the monotonic clock

    def trim(self) -> None:
        if time.monotonic() < self._next:
            return
        if libc := _glibc():
            libc.malloc_trim(0)
        self._next = time.monotonic() + TRIM_SECONDS


def limit_arenas() -> None:
    """Have all threads share one heap: pieces left in many heaps are what makes memory creep up."""
    if libc := _glibc():
        libc.mallopt(M_ARENA_MAX, 1)


def _glibc() -> ctypes.CDLL | None:
    """Return glibc where it is the allocator, else None."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") else None
