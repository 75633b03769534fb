"""Cross attention as it was: how much each place of the picture reads of each row of the text.

softmax(Q K^T / sqrt(d)) with Q of the picture, K of the text (Vaswani et al. 2017; Rombach et al. 2022,
section 3.3). The weights are worked out beside the layer, whose own output stays what it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from .levels import MAX_ATTENTION_CELLS, AttentionModule, attention_modules
from .maps import pool

Processor = Callable[..., Tensor]
THIRDS = 3
WAITING_BYTES = 16 * 2**20  # of the weights that wait to be made maps of


def attention_weights(attention: Attention, hidden_states: Tensor, text: Tensor, key: Tensor) -> Tensor:
    """Return the weights of cross attention, (B, heads, cells, rows) float32; over the rows they sum to 1.

    `hidden_states` (B, cells, C) are what the layer reads of the picture, `key` (B, rows, heads*d) is
    to_k(text).
    """
    batch, rows, heads = len(text), text.shape[1], attention.heads
    query = attention.to_q(hidden_states)
    query, key = (
        part.view(batch, -1, heads, part.shape[-1] // heads).transpose(1, 2) for part in (query, key)
    )
    if attention.norm_q is not None:
        query = attention.norm_q(query)
    if attention.norm_k is not None:
        key = attention.norm_k(key)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    assert scores.shape[-1] == rows
    return scores.float().softmax(dim=-1)


class AttentionWatcher:
    """Reduce the weights of every cross attention of a batch to maps of a few rows, as they pass.

    Of each U-Net call the half with the prompt is read: of prompts joined by AND each one's own.
    """

    def __init__(self, modules: Sequence[AttentionModule], num_images: int) -> None:
        self._modules = {layer: module for module in modules for layer in module.layers}
        self._num_images = num_images
        # What has passed since the last call was told: by table, by module, the sum over its layers.
        self._passed: list[dict[str, Tensor]] = []  # (texts of the table, heads, cells, 77*n) each
        self._seen: dict[str, int] = {}

    @contextmanager
    def watching(self, unet: UNet2DConditionModel) -> Iterator[None]:
        """While this lasts, every cross attention shows its weights; then its processor is the one it was."""
        before: list[tuple[Attention, Processor]] = []
        try:
            for layer in self._modules:
                attention = unet.get_submodule(layer)
                before.append((attention, attention.processor))
                attention.processor = Shown(attention.processor, self, layer)
            yield
        finally:
            for attention, processor in before:
                attention.processor = processor
            self.forget()

    def forget(self) -> None:
        """Forget what passed since the last call."""
        self._passed.clear()
        self._seen.clear()

    def take(self, layer: str, attention: Attention, hidden_states: Tensor, text: Tensor) -> None:
        """Take a layer's inputs, (R, cells, C) and (R, 77*n, D), as it is called with them."""
        table = self._seen.get(layer, 0)
        self._seen[layer] = table + 1
        key = attention.to_k(text)  # known already while a text's keys are kept
        if table == 0 and len(text) == 2 * self._num_images:
            hidden_states, text, key = (part[self._num_images :] for part in (hidden_states, text, key))
        weights = attention_weights(attention, hidden_states, text, key)
        module = self._modules[layer]
        if table == len(self._passed):
            self._passed.append({})
        passed = self._passed[table]
        if len(module.layers) > 1:
            weights = weights / len(module.layers)
        known = passed.get(module.name)
        passed[module.name] = weights if known is None else known + weights

    def collect(self) -> list[dict[str, Tensor]]:
        """Return what one call showed, and forget it.

        For each joined prompt the weights by module, (B, heads, cells, 77*n).
        """
        texts: list[dict[str, Tensor]] = []
        for passed in self._passed:
            count = len(next(iter(passed.values()))) // self._num_images
            parts = {name: weights.chunk(count) for name, weights in passed.items()}
            texts += [{name: chunks[number] for name, chunks in parts.items()} for number in range(count)]
        self.forget()
        return texts


class Shown:
    """An attention processor that lets the one before it do the work, and shows what it was given."""

    def __init__(self, inner: Processor, watcher: AttentionWatcher, layer: str) -> None:
        self._inner, self._watcher, self._layer = inner, watcher, layer

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        *args: object,
        **kwargs: object,
    ) -> Tensor:
        output = self._inner(attn, hidden_states, encoder_hidden_states, *args, **kwargs)
        if encoder_hidden_states is not None:
            self._watcher.take(self._layer, attn, hidden_states, encoder_hidden_states)
        return output


class TextMaps:
    """The maps of one text of one picture while it is read: heads averaged, and heads over thirds.

    A few calls' weights are reduced together, where they are small: each operation costs more than its sum.
    """

    def __init__(self, matrix: Tensor, modules: Sequence[AttentionModule], num_calls: int) -> None:
        self._matrix = matrix  # (77*n, rows): which rows of the text make which row that is kept
        self._sides = {module.name: module.side for module in modules}
        self._num_calls = num_calls
        self.calls: list[int] = []
        self._waiting: dict[str, list[Tensor]] = {name: [] for name in self._sides}
        self._waiting_bytes = 0
        self._third = 0  # of the run: that of the calls that wait
        self._means: dict[str, list[Tensor]] = {name: [] for name in self._sides}  # (calls, rows, h, w)
        # (heads, rows, h, w) by third, and of how many calls it is the sum.
        self._heads: dict[str, dict[int, Tensor]] = {name: {} for name in self._sides}
        self._counts = [0] * THIRDS

    def add(self, call: int, weights: dict[str, Tensor], picture: int) -> None:
        """Add a call's weights, (B, heads, cells, 77*n) by module, of the batch's picture of that number."""
        third = call * THIRDS // self._num_calls
        if third != self._third:
            self._reduce()
            self._third = third
        self.calls.append(call)
        self._counts[third] += 1
        for name, all_weights in weights.items():
            own = all_weights[picture]
            self._waiting[name].append(own)
            self._waiting_bytes += own.nbytes
        if self._waiting_bytes > WAITING_BYTES:
            self._reduce()

    def _reduce(self) -> None:
        """Make maps of the calls that wait."""
        for name, waiting in self._waiting.items():
            if not waiting:
                continue
            rows = torch.stack(waiting) @ self._matrix  # (calls, heads, cells, rows)
            waiting.clear()
            calls, heads, _, count = rows.shape
            maps = rows.transpose(2, 3).reshape(calls * heads, count, *self._sides[name])
            by_head = pool(maps, MAX_ATTENTION_CELLS).unflatten(0, (calls, heads))
            self._means[name].append(by_head.mean(dim=1))
            summed = by_head.sum(dim=0)
            known = self._heads[name].get(self._third)
            self._heads[name][self._third] = summed if known is None else known + summed
        self._waiting_bytes = 0

    def means(self, name: str) -> Tensor:
        """Return a module's maps, the heads averaged: (calls, rows, h, w)."""
        self._reduce()
        return torch.cat(self._means[name])

    def heads(self, name: str) -> Tensor:
        """Return a module's maps of each head, averaged over thirds: (3, heads, rows, h, w).

        Zeros where the text was not read.
        """
        self._reduce()
        known = self._heads[name]
        empty = torch.zeros_like(next(iter(known.values())))
        return torch.stack(
            [known[third] / self._counts[third] if third in known else empty for third in range(THIRDS)]
        )


def modules_of(unet: UNet2DConditionModel, latents: Tensor) -> list[AttentionModule]:
    """List what cross attention there is for latents of (B, 4, h, w)."""
    return attention_modules(unet, latents.shape[-2], latents.shape[-1])
