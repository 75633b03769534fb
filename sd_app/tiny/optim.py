"""Muon for matrices and convolutions, AdamW for the rest, with one cosine schedule for both."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import nn

# Coefficients of the quintic Newton-Schulz iteration of Jordan et al. 2024 ("Muon").
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Replace each matrix of a stack (N, rows, columns) by roughly the nearest orthogonal one."""
    a, b, c = QUINTIC
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan et al. 2024). Kernels are taken as (out, in*h*w)."""

    def __init__(
        self, params: Iterable[torch.Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move all parameters once by the gradients they hold; no closure is called."""
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                self._step_stack(group, shape, parameters)

    def _step_stack(self, group: dict, shape: torch.Size, parameters: list[torch.Tensor]) -> None:
        gradients = []
        for parameter in parameters:
            assert parameter.grad is not None
            buffer = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
            buffer.lerp_(parameter.grad, 1 - group["momentum"])
            gradients.append(parameter.grad.lerp(buffer, group["momentum"]).reshape(shape[0], -1))
        updates = orthogonalize(torch.stack(gradients))
        scale = max(1.0, updates.shape[1] / updates.shape[2]) ** 0.5
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.reshape(shape), alpha=-group["lr"] * scale)


class Optimizer:
    """Both optimisers behind one `step(progress)`; progress in [0, 1] sets the learning rate."""

    def __init__(
        self, modules: list[nn.Module], *, muon_lr: float, adam_lr: float, floor: float = 0.02
    ) -> None:
        matrices: list[torch.Tensor] = []
        others: list[torch.Tensor] = []
        for module in modules:
            for name, parameter in module.named_parameters():
                is_matrix = parameter.ndim >= 2 and "embedding" not in name
                (matrices if is_matrix else others).append(parameter)
        self.parts = [
            Muon(matrices, lr=muon_lr, weight_decay=0.01),
            torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.peaks = [muon_lr, adam_lr]
        self.floor = floor
        self.parameters = matrices + others

    def step(self, progress: float, *, max_norm: float = 1.0) -> None:
        """Clip the gradients to a norm of max_norm, move all parameters once and drop the gradients."""
        nn.utils.clip_grad_norm_(self.parameters, max_norm)
        factor = learning_rate_factor(progress, self.floor)
        for optimizer, peak in zip(self.parts, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> list[dict]:
        """Return the states of Muon and AdamW, in this order."""
        return [optimizer.state_dict() for optimizer in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        """Go on from what state_dict returned."""
        for optimizer, state in zip(self.parts, states, strict=True):
            optimizer.load_state_dict(state)


def learning_rate_factor(progress: float, floor: float, *, warmup: float = 0.02) -> float:
    """A short linear rise, then half a cosine down to `floor`."""
    if progress < warmup:
        return max(progress / warmup, 0.05)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))
