"""Faster U-Net calls: with the same bits where it can be done, with another picture where it is asked for.

The same: CUDA graphs, a text's keys and values kept. Another picture, each asked for by name: guidance that
ends early, deep features that are reused, torch.compile.
"""

import torch
from diffusers import UNet2DConditionModel

from ..settings import Settings, on_zero_gpu
from .call_plan import CallPlan, plan_calls
from .calls import Conditioning, Prediction
from .capture import Capture, Captured, CudaCapture
from .compiling import Compiler
from .graphs import Graphs
from .unet import FastUNet, UNetCalls

__all__ = [
    "CallPlan",
    "Capture",
    "Captured",
    "Compiler",
    "Conditioning",
    "CudaCapture",
    "FastUNet",
    "Graphs",
    "Prediction",
    "UNetCalls",
    "make_fast_unet",
    "plan_calls",
]


def make_fast_unet(
    unet: UNet2DConditionModel, settings: Settings, device: torch.device, family: str
) -> FastUNet:
    """Return how the U-Net of a checkpoint is run under these settings."""
    if settings.compile:
        return FastUNet(
            unet, compiler=Compiler(settings.cache_dir / "compiled", device=device, family=family)
        )
    graphs = settings.cuda_graphs and device.type == "cuda" and not settings.lowvram
    graphs = graphs and not on_zero_gpu()  # where a process ends with its job
    return FastUNet(unet, graphs=Graphs(CudaCapture(device)) if graphs else None)
