"""One training loop for every stage: resumable, averaged over workers, with a progress bar and a log."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from tqdm import tqdm

from .optim import Optimizer

ModuleT = TypeVar("ModuleT", bound=nn.Module)

CHECKPOINT_SECONDS = 120
Loss = Callable[[np.random.Generator, float], tuple[torch.Tensor, dict[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: the modules to train, the loss of one batch, and how long.

    `loss(rng, progress)` draws its batch from `rng` (a fresh one each step, so a resumed run sees what an
    unbroken one would) and returns the loss with figures to log. `ema` averages the first `ema_modules`.
    """

    name: str
    modules: dict[str, nn.Module]
    loss: Loss
    steps: int
    muon_lr: float
    adam_lr: float
    seed: int
    ema_decay: float = 0.999


def run_stage(stage: Stage, folder: Path) -> dict[str, nn.Module]:
    """Train, or go on where an earlier run stopped. Returns the averaged modules, also kept on disk."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    path = folder / f"{stage.name}.pt"
    averages = {
        name: copy.deepcopy(module).eval().requires_grad_(False) for name, module in stage.modules.items()
    }
    optimizer = Optimizer(list(stage.modules.values()), muon_lr=stage.muon_lr, adam_lr=stage.adam_lr)
    start = _resume(path, stage, averages, optimizer)
    todo = range(start, stage.steps)
    bar = tqdm(todo, stage.name, stage.steps, initial=start, disable=rank > 0, mininterval=10)
    figures: dict[str, float] = {}
    saved_at, done = time.monotonic(), start
    try:
        for step in bar:
            new_figures = _train_step(stage, optimizer, step, rank)
            _update_averages(averages, stage, step)
            figures = {k: 0.98 * figures.get(k, v) + 0.02 * v for k, v in new_figures.items()}
            done = step + 1
            if rank == 0 and step % 20 == 0:
                bar.set_postfix({k: f"{v:.4f}" for k, v in figures.items()}, refresh=False)
            if rank == 0 and time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                _save(path, stage, averages, optimizer, done, figures)
                saved_at = time.monotonic()
    finally:  # also when stopped by hand: nothing is lost
        if rank == 0 and done > start:
            _save(path, stage, averages, optimizer, done, figures)
    return averages


def _train_step(stage: Stage, optimizer: Optimizer, step: int, rank: int) -> dict[str, float]:
    rng = np.random.default_rng((stage.seed, step, rank))
    torch.manual_seed(int(rng.integers(2**62)))
    loss, figures = stage.loss(rng, step / stage.steps)
    loss.backward()
    if dist.is_initialized():
        _average_gradients(optimizer.parameters)
    optimizer.step(step / stage.steps)
    return figures


def load_average(name: str, module: ModuleT, folder: Path) -> ModuleT:
    """Fill a stage's module of the stage's own name with its averaged weights, from the newest checkpoint.

    Raise OSError if the stage has not begun.
    """
    state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)
    module.load_state_dict(state["averages"][name])
    module.eval().requires_grad_(False)
    return module


def read_log(name: str, folder: Path) -> list[dict[str, float]]:
    """Return what a stage logged, a dict of figures a checkpoint, oldest first; nothing if it has no log."""
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _resume(path: Path, stage: Stage, averages: dict[str, nn.Module], optimizer: Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, module in stage.modules.items():
        module.load_state_dict(state["modules"][name])
        averages[name].load_state_dict(state["averages"][name])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(
    path: Path,
    stage: Stage,
    averages: dict[str, nn.Module],
    optimizer: Optimizer,
    step: int,
    figures: dict[str, float],
) -> None:
    state = {
        "step": step,
        "modules": {name: module.state_dict() for name, module in stage.modules.items()},
        "averages": {name: module.state_dict() for name, module in averages.items()},
        "optimizer": optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
    with path.with_suffix(".jsonl").open("a") as log:
        log.write(json.dumps({"step": step, **{k: round(v, 5) for k, v in figures.items()}}) + "\n")


def _average_gradients(parameters: list[torch.Tensor]) -> None:
    """Sum gradients over the workers in one message and divide."""
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for parameter, part in zip(parameters, flat.split([g.numel() for g in gradients]), strict=True):
        parameter.grad = part.view_as(parameter)


@torch.no_grad()
def _update_averages(averages: dict[str, nn.Module], stage: Stage, step: int) -> None:
    """Exponential moving average whose window grows with the run, so that early weights do not linger."""
    decay = min(stage.ema_decay, (1 + step) / (10 + step))
    for name, module in stage.modules.items():
        theirs = dict(module.state_dict(keep_vars=True))
        ours = averages[name].state_dict(keep_vars=True)
        # Tied weights have two names and one storage: averaged twice, they would run ahead.
        once = {id(tensor): key for key, tensor in theirs.items()}.values()
        floats = [key for key in once if ours[key].is_floating_point()]
        torch._foreach_lerp_(
            [ours[key] for key in floats], [theirs[key].detach() for key in floats], 1 - decay
        )
