"""Faster U-Net calls: with the same bits where it can be done, with another picture where it is asked for.

The same: CUDA graphs. Another picture, each asked for by name: guidance that ends early, deep features that
are reused, torch.compile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..settings import Settings
from .call_plan import CallPlan, plan_calls
from .capture import Capture, Captured, CudaCapture
from .compiling import Compiler
from .graphs import Graphs
from .unet import FastUNet

__all__ = [
    "CallPlan",
    "Capture",
    "Captured",
    "Compiler",
    "CudaCapture",
    "FastUNet",
    "Graphs",
    "bypass",
    "make_fast_unet",
    "plan_calls",
]


def make_fast_unet(unet: Any, settings: Settings, device: torch.device, family: str) -> FastUNet:
    """Return how the U-Net of a checkpoint is run under these settings."""
    if settings.compile:
        return FastUNet(
            unet, compiler=Compiler(settings.cache_dir / "compiled", device=device, family=family)
        )
    graphs = settings.cuda_graphs and device.type == "cuda" and not settings.lowvram
    return FastUNet(unet, graphs=Graphs(CudaCapture(device)) if graphs else None)


@contextmanager
def bypass(pipe: Any) -> Iterator[None]:
    """Let a pipe's U-Net run eagerly, with every module and attention processor called each time.

    For who watches or replaces its parts. Forward hooks on its modules are noticed without this.
    """
    with pipe.fast_unet.bypass():
        yield
