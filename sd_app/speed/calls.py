"""The U-Net's arguments as a flat table of tensors: what can be halved, compared, copied and replayed."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]

POSITIONAL = ("sample", "timestep", "encoder_hidden_states")


def flatten(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensors | None:
    """Return the tensors of a U-Net call by name, those of a dict as "dict.key"; None is left out.

    Return None for a call that holds anything else, or that wants an object back instead of a tuple.
    """
    named = {**dict(zip(POSITIONAL, args, strict=False)), **kwargs}
    if named.pop("return_dict", True):
        return None
    tensors: Tensors = {}
    for name, value in named.items():
        if name == "timestep":
            value = as_timestep(value, named["sample"].device)
        parts = {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {}
        for part_name, part in (parts or {name: value}).items():
            if isinstance(part, Tensor):
                tensors[part_name] = part
            elif part is not None:
                return None
    return tensors


def unflatten(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Undo flatten: keyword arguments of the U-Net."""
    arguments: dict[str, Any] = {"return_dict": False}
    for name, tensor in tensors.items():
        outer, _, inner = name.partition(".")
        if inner:
            arguments.setdefault(outer, {})[inner] = tensor
        else:
            arguments[outer] = tensor
    return arguments


def as_timestep(value: Any, device: torch.device) -> Tensor:
    """Return a timestep as a tensor on the device, made as the U-Net itself would make it of a number."""
    if isinstance(value, Tensor):
        return value.to(device)
    exact = device.type != "mps"  # which has no 64-bit floats
    kinds = (torch.float64, torch.int64) if exact else (torch.float32, torch.int32)
    return torch.tensor([value], dtype=kinds[not isinstance(value, float)], device=device)


def conditional_half(tensors: Mapping[str, Tensor]) -> Tensors:
    """Return the second half of everything that counts with the batch: diffusers puts uncond first."""
    batch = len(tensors["sample"])
    return {
        name: tensor.chunk(2)[1] if tensor.ndim and len(tensor) == batch else tensor
        for name, tensor in tensors.items()
    }
