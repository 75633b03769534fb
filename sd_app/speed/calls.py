"""A U-Net call as a flat table of tensors: what can be halved, compared, copied and replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Nested = dict[str, Tensor | Tensors | bool]


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What the U-Net reads beside latents and timestep at a step of a batch of B pictures.

    `tensors` are its arguments by name, those of a dict as "dict.key": "encoder_hidden_states" (R, 77*n, D)
    and so on, with R = 2B rows, the unconditional ones first, where the batch is guided, else R = B.
    `channels`, (B, C, h, w), are what U-Nets made for inpainting read below the latents.
    Of prompts joined by AND, `tensors` hold the first; `more` hold the others, up to two of them in a table,
    so that no call is larger than that of one prompt. `weights` has one of each. They need the unconditional
    half at every step.
    """

    tensors: Tensors
    is_guided: bool
    channels: Tensor | None = None
    more: tuple[Tensors, ...] = ()
    weights: tuple[float, ...] = (1.0,)

    @cached_property
    def conditional(self) -> Tensors:
        """Return the tensors of the conditional half alone; made once, so that they are known again."""
        if not self.is_guided:
            return self.tensors
        rows = len(self.tensors["encoder_hidden_states"])
        return {
            name: tensor.chunk(2)[1] if tensor.ndim and len(tensor) == rows else tensor
            for name, tensor in self.tensors.items()
        }


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the U-Net answered to x_t, (B, 4, h, w) each, and how it came about."""

    conditional: Tensor  # eps(x_t, t, prompt), or v; of prompts joined by AND what compose makes of theirs
    unconditional: Tensor | None  # eps(x_t, t, negative prompt); None: not run, or guidance has ended
    is_full: bool = True  # False: deep features of an earlier step stood in for the deep blocks
    conditionals: tuple[Tensor, ...] = ()  # of prompts joined by AND: each one's own

    def to(self, device: torch.device) -> "Prediction":
        """Return it with its tensors on a device."""
        return Prediction(
            conditional=self.conditional.to(device),
            unconditional=None if self.unconditional is None else self.unconditional.to(device),
            is_full=self.is_full,
            conditionals=tuple(each.to(device) for each in self.conditionals),
        )

    def guided(self, guidance_scale: float) -> Tensor:
        """Return eps_uncond + w (eps_cond - eps_uncond) (Ho & Salimans 2022, eq. 6 with w there w - 1)."""
        if self.unconditional is None:
            return self.conditional
        return self.unconditional + guidance_scale * (self.conditional - self.unconditional)


def compose(unconditional: Tensor, conditionals: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return eps_uncond + sum_i w_i (eps_i - eps_uncond): prompts joined by AND (Liu et al. 2022, eq. 11).

    Guided by w as if it were one prompt's, that is eps_uncond + w sum_i w_i (eps_i - eps_uncond).
    """
    total = unconditional
    for conditional, weight in zip(conditionals, weights, strict=True):
        total = total + weight * (conditional - unconditional)
    return total


def unflatten(tensors: Mapping[str, Tensor]) -> Nested:
    """Return the U-Net's keyword arguments of a flat table."""
    arguments: Nested = {"return_dict": False}
    nested: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        outer, _, inner = name.partition(".")
        if inner:
            nested.setdefault(outer, {})[inner] = tensor
        else:
            arguments[outer] = tensor
    return arguments | nested


def as_timestep(value: Tensor | float, device: torch.device) -> Tensor:
    """Return a timestep as a tensor on the device, made as the U-Net itself would make it of a number."""
    if isinstance(value, Tensor):
        return value.to(device)
    exact = device.type != "mps"  # which has no 64-bit floats
    kinds = (torch.float64, torch.int64) if exact else (torch.float32, torch.int32)
    return torch.tensor([value], dtype=kinds[not isinstance(value, float)], device=device)
