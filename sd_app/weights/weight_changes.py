"""How an add-on changes one weight: the formulas, in float32.

LoRA (Hu et al. 2021), its convolutions in Tucker's form, LoHa and LoKr (LyCORIS, Yeh et al. 2024; Hyeon-Woo
et al. 2022), GLoRA (Chavan et al. 2023), IA3 (Liu et al. 2022), plain differences; DoRA (Liu et al. 2024)
over any of them. Each is a difference to the checkpoint's own weight, so several add up, in any order.
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from ..addons.lora_layers import BIAS, DIFF, GLORA, IA3, LOHA, LOKR, LORA, kind_of, rank_of

TINY = torch.finfo(torch.float32).eps


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerChange:
    """What a file says of one layer: tensors by their role, see addons/lora_layers."""

    tensors: dict[str, Tensor]
    alpha: float | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return each tensor's shape."""
        return {role: tuple(tensor.shape) for role, tensor in self.tensors.items()}

    @property
    def kind(self) -> str:
        """Return which formula holds."""
        return kind_of(self.shapes)

    @property
    def changes_weight(self) -> bool:
        """Tell whether the weight is changed, not the bias alone."""
        return self.kind != BIAS

    @property
    def changes_bias(self) -> bool:
        """Tell whether the bias is changed."""
        return bool({"diff_b", "up_bias"} & set(self.tensors))

    @property
    def factor(self) -> float:
        """Return alpha over the rank; 1 without an alpha, and where there is no rank."""
        rank = rank_of(self.shapes)
        return 1.0 if self.alpha is None or rank is None else self.alpha / rank

    def weight_delta(self, weight: Tensor, scale: float) -> Tensor:
        """Return what is added to the checkpoint's own weight, in its shape and float32.

        Raise ValueError or RuntimeError if the tensors make another shape.
        """
        if "dora" not in self.tensors:
            return self._delta(weight, scale)
        whole = weight.float() + self._delta(weight, 1.0)
        return scale * (self._decompose(whole) - weight.float())

    def bias_delta(self, bias: Tensor, scale: float) -> Tensor:
        """Return what is added to the checkpoint's own bias, (out,) float32."""
        total = torch.zeros_like(bias, dtype=torch.float32)
        if "diff_b" in self.tensors:
            total = total + scale * self._on(bias, "diff_b")
        if "up_bias" in self.tensors:
            total = total + scale * self.factor * self._on(bias, "up_bias")
        return _shaped(total, bias)

    def fits(self, weight: Tensor, bias: Tensor | None) -> bool:
        """Tell whether the tensors make this layer's shapes. Nothing is computed."""
        try:
            with torch.device("meta"):
                hollow = LayerChange(
                    tensors={role: tensor.to("meta") for role, tensor in self.tensors.items()},
                    alpha=self.alpha,
                )
                if self.changes_weight:
                    hollow.weight_delta(weight.to("meta"), 1.0)
                if self.changes_bias:
                    if bias is None:
                        return False
                    hollow.bias_delta(bias.to("meta"), 1.0)
        except (ValueError, RuntimeError, IndexError):
            return False
        return True

    def _delta(self, weight: Tensor, scale: float) -> Tensor:
        formula = {LORA: _lora, LOHA: _loha, LOKR: _lokr, GLORA: _glora, IA3: _ia3, DIFF: _diff}[self.kind]
        parts = {
            role: self._on(weight, role)
            for role in self.tensors
            if role not in ("alpha", "dora", "diff_b", "up_bias", "scalar")
        }
        product = scale * self.factor * formula(parts, weight)
        if "scalar" in self.tensors:  # LyCORIS' learned factor, in files saved in the middle of a training
            product = product * self._on(weight, "scalar").reshape(())
        return _shaped(product, weight)

    def _decompose(self, whole: Tensor) -> Tensor:
        """Give the changed weight the learned lengths: m * V / |V| (DoRA, equation 5).

        A length belongs to each row (output) or, in files of LyCORIS' default, to each column (input), as the
        shape of m tells.
        """
        lengths = self._on(whole, "dora")
        rows, columns = whole.shape[:2] if whole.ndim > 1 else (len(whole), 1)
        ones = [1] * (whole.ndim - 2)
        if lengths.shape[0] == rows and lengths.numel() == rows:
            norms = whole.flatten(1).norm(dim=1).reshape(rows, 1, *ones)
            lengths = lengths.reshape(rows, 1, *ones)
        elif lengths.numel() == columns:
            norms = whole.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, columns, *ones)
            lengths = lengths.reshape(1, columns, *ones)
        else:
            raise ValueError("the lengths are neither those of rows nor of columns")
        return whole * (lengths / (norms + TINY))

    def _on(self, weight: Tensor, role: str) -> Tensor:
        return self.tensors[role].to(weight.device, torch.float32)


def _lora(parts: dict[str, Tensor], weight: Tensor) -> Tensor:
    """up @ down; in Tucker's form with a small kernel between them, (rank, rank, h, w)."""
    up, down = parts["up"], parts["down"]
    if "mid" not in parts:
        return up.flatten(1) @ down.flatten(1)
    return torch.einsum("ab...,oa,bi->oi...", parts["mid"], up.flatten(1), down.flatten(1))


def _loha(parts: dict[str, Tensor], weight: Tensor) -> Tensor:
    """(w1_a @ w1_b) * (w2_a @ w2_b), entry by entry (FedPara)."""
    halves = []
    for half in (1, 2):
        a, b = parts[f"hada_w{half}_a"], parts[f"hada_w{half}_b"]
        halves.append(_tucker(parts[f"hada_t{half}"], a, b) if f"hada_t{half}" in parts else a @ b.flatten(1))
    return halves[0] * halves[1]


def _lokr(parts: dict[str, Tensor], weight: Tensor) -> Tensor:
    """The Kronecker product of w1 and w2, each whole or a product itself."""
    w1 = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    if "lokr_w2" in parts:
        w2 = parts["lokr_w2"]
    elif "lokr_t2" in parts:
        w2 = _tucker(parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"])
    else:
        a, b = parts["lokr_w2_a"], parts["lokr_w2_b"]
        w2 = (a @ b.flatten(1)).reshape(len(a), *b.shape[1:])
    if w2.ndim == 2 < weight.ndim:  # a convolution whose kernel lies flat beside the inputs
        kernel = weight.shape[2:]
        w2 = w2.reshape(len(w2), w2.shape[1] // prod(kernel), *kernel)
    return torch.kron(w1.reshape(*w1.shape, *[1] * (w2.ndim - w1.ndim)), w2.contiguous())


def _glora(parts: dict[str, Tensor], weight: Tensor) -> Tensor:
    """W @ a1 @ a2 + b1 @ b2; the first files of this kind have each pair the other way round."""
    (a1, a2), (b1, b2) = ([parts[f"{pair}{n}"].flatten(1) for n in (1, 2)] for pair in "ab")
    flat = weight.float().flatten(2) if weight.ndim > 2 else weight.float()[:, :, None]
    if (len(a1), len(b1)) != (weight.shape[1], len(weight)):
        a1, a2, b1, b2 = a2, a1, b2, b1
    turned = torch.einsum("oik,ir,rj->ojk", flat, a1, a2)
    return turned.reshape(len(weight), -1) + b1 @ b2


def _ia3(parts: dict[str, Tensor], weight: Tensor) -> Tensor:
    """W times a factor for each input or each output."""
    factors = parts["weight"].flatten()
    per_input = bool(parts["on_input"].reshape(())) if parts["on_input"].device.type != "meta" else None
    if per_input is None:  # a trial of shapes alone
        per_input = len(factors) == weight.shape[1]
    shape = (1, -1, *[1] * (weight.ndim - 2)) if per_input else (-1, 1, *[1] * (weight.ndim - 2))
    if len(factors) != weight.shape[1 if per_input else 0]:
        raise ValueError("the factors are as many as neither inputs nor outputs")
    return weight.float() * factors.reshape(shape)


def _diff(parts: dict[str, Tensor], weight: Tensor) -> Tensor:
    return parts["diff"]


def _tucker(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return core x a x b: (r, r, h, w), (r, out), (r, in) to (out, in, h, w)."""
    return torch.einsum("ij...,ip,jr->pr...", core, a, b)


def _shaped(product: Tensor, weight: Tensor) -> Tensor:
    """Return a product in the weight's shape; ValueError if rows or columns are others."""
    rows, columns = len(weight), prod(weight.shape[1:])
    if len(product) != rows or product.numel() != rows * columns:
        raise ValueError(f"{tuple(product.shape)} is not {tuple(weight.shape)}")
    return product.reshape(weight.shape)
