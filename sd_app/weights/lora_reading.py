"""A LoRA's file read: its tensors by the layers they change, with alpha wherever it stands."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..addons.lora_files import refuse_others, usable_layers
from ..addons.lora_layers import rank_of
from ..addons.lora_names import Layer, sort_names
from ..checkpoints import read_header
from ..user_files import reason_of
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
        header = read_header(path)
        names = sort_names(header.shapes)
        refuse_others(names)
        layers, left_out = usable_layers(header, names)
        with safe_open(path, framework="pt") as file:
            changes = {
                layer: _read_layer(layer, {role: file.get_tensor(name) for role, name in roles.items()})
                for layer, roles in layers.items()
            }
    except (SafetensorError, OSError) as error:
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
            raise ValueError(f"it has a value that is no number, in {layer} {role}")
    return LayerChange(tensors=tensors, alpha=None if alpha is None else float(alpha))


def _check_alpha(layer: Layer, change: LayerChange) -> None:
    rank = rank_of(change.shapes) or 1
    if change.alpha is not None and not abs(change.alpha) <= MAX_ALPHA * rank:  # nor is NaN
        raise ValueError(f"its {layer} has the alpha {change.alpha:g} for the rank {rank}")


def _read_peft_alphas(
    layers: dict[Layer, LayerChange], metadata: Mapping[str, str]
) -> dict[Layer, LayerChange]:
    """Take alpha from what newer versions of diffusers write into the file; without it alpha is the rank."""
    try:
        known = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        return {layer: _with_peft_alpha(layer, change, known) for layer, change in layers.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"what it says of its alpha cannot be read: {error}") from error


def _with_peft_alpha(layer: Layer, change: LayerChange, known: dict[str, object]) -> LayerChange:
    patterns = known.get(f"{layer.part}.alpha_pattern") or {}
    alpha = next(
        (
            value
            for key, value in patterns.items()  # type: ignore[attr-defined]  # checked by what is caught
            if layer.name.endswith(key.replace(".", "_").removeprefix("text_model_"))
        ),
        known.get(f"{layer.part}.lora_alpha"),
    )
    rank = rank_of(change.shapes)
    if alpha is None or change.alpha is not None or rank is None:
        return change
    # Rank-stabilised ones divide by the root of the rank (Kalajdzievski 2023).
    root = rank**0.5 if known.get(f"{layer.part}.use_rslora") else 1.0
    return replace(change, alpha=float(alpha) * root)  # type: ignore[arg-type]  # see above
