"""Which device there is, whether the installed torch can compute on it, and what it is called."""

import logging
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import psutil
import torch

from ..settings import on_zero_gpu

CPU = torch.device("cpu")
_KERNELS = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")

log = logging.getLogger(__name__)


def choose_device(name: str) -> torch.device:
    """Return the device to run on: cuda before mps before cpu; raise ValueError if it cannot be used.

    "auto" passes a card by for which the installed torch has no kernels, and says so in the log. A Space's
    main process computes on the processor, whatever is asked for: a ZeroGPU is lent to another process.
    """
    if is_lent_elsewhere():
        return CPU
    mps = torch.backends.mps.is_available()
    if name == "auto":
        if torch.cuda.is_available():
            reasons = [why_no_kernels(index) for index in range(torch.cuda.device_count() or 1)]
            if "" in reasons:
                index = reasons.index("")
                return torch.device("cuda", index) if index else torch.device("cuda")
            log.warning("The processor is used: %s", reasons[0])
        return torch.device("mps" if mps else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(
                f"device {name} is not there: {torch.cuda.device_count()} CUDA devices (try auto)"
            )
        if reason := why_no_kernels(device.index or 0):
            raise ValueError(
                f"device {name} cannot be used: {reason} (install a torch that has them, or try cpu)"
            )
    if device.type == "mps" and not mps:
        raise ValueError("device mps is not there: it needs a Mac with Apple's GPU (try auto)")
    return device


def why_no_kernels(index: int) -> str:
    """Say why the installed torch cannot compute on a CUDA device; empty when it can."""
    if torch.version.hip or on_zero_gpu():  # AMD's have other names; there the device is not here yet
        return ""
    major, minor = torch.cuda.get_device_capability(index)
    kernels = torch.cuda.get_arch_list()
    if not kernels or any(runs_on(kernel, major, minor) for kernel in kernels):
        return ""
    return (
        f"the installed torch has no kernels for {torch.cuda.get_device_name(index)}, of compute capability"
        f" {major}.{minor}, only for {', '.join(kernels)}"
    )


def runs_on(kernel: str, major: int, minor: int) -> bool:
    """Tell whether a kernel built for "sm_86", say, runs on a device of that compute capability.

    Machine code (sm) does within its major number from its minor one on, PTX (compute) on all later devices;
    ending in "a" on that capability alone, in "f" within its major number (CUDA C++ Programming Guide,
    "Binary compatibility", "PTX compatibility", "Family-specific features").
    """
    if not (found := _KERNELS.fullmatch(kernel)):
        return False
    kind, of, end = found[1], (int(found[2]), int(found[3])), found[4]
    if end == "a":
        return of == (major, minor)
    if kind == "sm" or end == "f":
        return of[0] == major and of[1] <= minor
    return of <= (major, minor)


@contextmanager
def computing_on(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Have CUDA's calls that name no device mean this one, and numbers of that format be exact.

    Of float32 cuDNN's convolutions take 10 of 23 bits of the mantissa by torch's default (TF32).
    """
    if device.type != "cuda":
        yield
        return
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    # Without a number it is the current one already.
    with nullcontext() if device.index is None else torch.cuda.device(device):
        try:
            if dtype == torch.float32:
                convolutions.allow_tf32 = products.allow_tf32 = False
            yield
        finally:
            convolutions.allow_tf32, products.allow_tf32 = before


def is_lent_elsewhere() -> bool:
    """Tell whether this is a Space's main process, from which a ZeroGPU is only asked for."""
    return on_zero_gpu() and multiprocessing.parent_process() is None


def describe(device: torch.device, asked: str) -> tuple[str, int, int]:
    """Return a device's name for people, and the bytes of its memory in use and in all; 0 if unknown.

    `asked` is what it was chosen by: with "auto" the name says which card was passed by, and why.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return torch.cuda.get_device_name(device), total - free, total
    used, total = psutil.Process().memory_info().rss, psutil.virtual_memory().total
    if device.type == "mps":
        return "Apple GPU", used, total
    name = f"CPU, {torch.get_num_threads()} threads"
    if is_lent_elsewhere():
        return f"{name}; large models on a ZeroGPU", used, total
    unused = why_no_kernels(0) if asked == "auto" and torch.cuda.is_available() else ""
    return f"{name}; {unused}" if unused else name, used, total
