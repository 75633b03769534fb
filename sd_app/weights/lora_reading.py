"""A LoRA's file read: its tensors by the layers they change, with alpha wherever it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..addons.lora_files import PeftSettings, peft_settings, refuse_others, usable_layers
from ..addons.lora_layers import rank_of
from ..addons.lora_names import Layer, sort_names
from ..user_files import reason_of
from .tensor_files import TensorFile
from .weight_changes import LayerChange

MAX_ALPHA = 1e6  # times the rank; trainers write 0.1 to a few


@dataclass(frozen=True, kw_only=True)
class LoraChanges:
    """What a file says of each layer, and which of its tensors say nothing that is read."""

    layers: dict[Layer, LayerChange]
    names: dict[Layer, tuple[str, ...]]  # each layer's tensors as the file calls them
    left_out: tuple[str, ...]
    total: int


def read_lora(path: Path) -> LoraChanges:
    """Read what a LoRA changes, from any of the names in use.

    Raise ValueError for tensors that make no LoRA, or if the file cannot be read.
    """
    try:
        file = TensorFile(path)
        header = file.header
        names = sort_names(header.shapes)
        refuse_others(names)
        layers, left_out = usable_layers(header, names)
        changes = {
            layer: _read_layer(layer, {role: file.read(name).clone() for role, name in roles.items()})
            for layer, roles in layers.items()
        }
    except OSError as error:
        raise ValueError(f"it cannot be read: {reason_of(error, path)}") from error
    changes = _read_peft_alphas(changes, header.metadata)
    for layer, change in changes.items():
        _check_alpha(layer, change)
    return LoraChanges(
        layers=changes,
        names={layer: tuple(roles.values()) for layer, roles in layers.items()},
        left_out=tuple(left_out),
        total=len(header.shapes),
    )


def _read_layer(layer: Layer, tensors: dict[str, Tensor]) -> LayerChange:
    alpha = tensors.pop("alpha", None)
    for role, tensor in tensors.items():
        if not torch.isfinite(tensor.float()).all():
            raise ValueError(f"it has a value that is not a number, in {layer} {role}")
    return LayerChange(tensors=tensors, alpha=None if alpha is None else float(alpha))


def _check_alpha(layer: Layer, change: LayerChange) -> None:
    rank = rank_of(change.shapes)
    if rank is None:  # nothing is divided by it: LoKr of two whole matrices, where trainers write 1e10
        return
    if change.alpha is not None and not abs(change.alpha) <= MAX_ALPHA * rank:  # nor is NaN
        raise ValueError(f"its {layer} has the alpha {change.alpha:g} for the rank {rank}")


def _read_peft_alphas(
    layers: dict[Layer, LayerChange], metadata: Mapping[str, str]
) -> dict[Layer, LayerChange]:
    """Take alpha from what newer versions of diffusers write into the file; without it alpha is the rank."""
    known = peft_settings(metadata)
    return {layer: _with_peft_alpha(layer, change, known) for layer, change in layers.items()}


def _with_peft_alpha(layer: Layer, change: LayerChange, known: Mapping[str, PeftSettings]) -> LayerChange:
    if layer.part not in known:
        return change
    settings = known[layer.part]
    alpha = next(
        (
            value
            for key, value in settings.patterns.items()
            if layer.name.endswith(key.replace(".", "_").removeprefix("text_model_"))
        ),
        settings.alpha,
    )
    rank = rank_of(change.shapes)
    if alpha is None or change.alpha is not None or rank is None:
        return change
    # Rank-stabilised ones divide by the root of the rank (Kalajdzievski 2023).
    root = rank**0.5 if settings.by_root else 1.0
    return replace(change, alpha=alpha * root)
