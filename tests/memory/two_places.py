"""Main memory and a device's, told apart on a processor: where each weight would lie by the moves so far."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from sd_app import Studio
from sd_app.weights.memory_plan import Plan
from sd_app.weights.model_manager import ModelManager

DEVICE = torch.device("cpu:0")  # a name of its own for the same memory


class TwoPlaces:
    """Which weights lie on the device. To call a layer while its weights do not is an error, as there."""

    def __init__(self) -> None:
        self.on_device: set[int] = set()
        self.fails_in: nn.Module | None = None  # whose move to the device runs out of memory once
        self.seen: list[tuple[str, ...]] = []  # the networks that were on the device when one was called
        self.networks: dict[str, nn.Module] = {}

    def move(self, module: nn.Module, device: torch.device) -> None:
        failing = set(map(id, self.fails_in.parameters())) if self.fails_in is not None else set()
        for part in (*module.parameters(), *module.buffers()):
            if device == DEVICE and id(part) in failing:
                self.fails_in = None
                raise torch.OutOfMemoryError("CUDA out of memory")
            if device == DEVICE:
                self.on_device.add(id(part))
            else:
                self.on_device.discard(id(part))

    def share(self, module: nn.Module) -> float:
        """Return how much of a network lies on the device, 0..1 of its tensors."""
        parts = [*module.parameters(), *module.buffers()]
        return sum(id(part) in self.on_device for part in parts) / len(parts)

    def check_call(self, module: nn.Module, _: object) -> None:
        weights = list(module.parameters(recurse=False))
        if weights and not all(id(weight) in self.on_device for weight in weights):
            raise RuntimeError("Expected all tensors to be on the same device")
        if weights:
            there = tuple(name for name, network in self.networks.items() if self.share(network) > 0)
            if self.seen[-1:] != [there]:
                self.seen.append(there)


@contextmanager
def two_places(monkeypatch: pytest.MonkeyPatch, studio: Studio, model: str) -> Iterator[TwoPlaces]:
    """Have a studio's jobs offload from a device that is not there."""
    manager: ModelManager = studio._ready_manager()
    places, to = TwoPlaces(), nn.Module.to
    with manager.pipeline(model, "DDIM") as pipe:
        places.networks = {type(network).__name__: network for network in pipe.networks}

    def moved(module: nn.Module, *args: object, **kwargs: object) -> nn.Module:
        for value in (*args, *kwargs.values()):
            if isinstance(value, torch.device | str):
                places.move(module, torch.device(value))
        return to(module, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(nn.Module, "to", moved)
    monkeypatch.setattr(
        "sd_app.weights.offloading.lies_wholly_on",
        lambda network, device: places.share(network) == (1.0 if device == DEVICE else 0.0),
    )
    monkeypatch.setattr(manager, "device", DEVICE)
    monkeypatch.setattr(ModelManager, "_can_offload", True)
    plan = Plan(batch_size=2, offloads=True, tight=True)
    monkeypatch.setattr(manager, "_choose_plan", lambda *_, **__: plan)
    handle = register_module_forward_pre_hook(places.check_call)
    try:
        yield places
    finally:
        handle.remove()
