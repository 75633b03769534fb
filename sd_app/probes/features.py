"""What the U-Net's blocks hand on, as a few principal components whose meaning stays from step to step.

At each step the basis is brought from the last one's to the present features by orthogonal iteration (Golub &
Van Loan, Matrix Computations, section 8.2.4). At last the components of the final step are sorted by their
variance, and every earlier step is turned to agree with the one after it (orthogonal Procrustes, Schoenemann
1966): a colour means the same at all steps, and nothing flickers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from .levels import MAX_FEATURE_CELLS, Block, watched_blocks
from .maps import pool

COMPONENTS = 16
_FIRST_ROUNDS, _ROUNDS = 6, 1  # of the orthogonal iteration, at the first step and at the others


def num_components(block: Block) -> int:
    """Return how many components of a block are kept."""
    height, width = block.side
    return min(COMPONENTS, block.channels, height * width)


class FeatureWatcher:
    """Follow the outputs of a U-Net's blocks in the half with the prompt, for a batch of B pictures."""

    def __init__(self, blocks: Sequence[Block], num_images: int) -> None:
        self.blocks = list(blocks)
        self._num_images = num_images
        self._passed: dict[str, Tensor] = {}  # (B, C, h, w): the first table of a call
        self.followed = {
            block.name: [Components(num_components(block)) for _ in range(num_images)] for block in blocks
        }

    @contextmanager
    def watching(self, unet: UNet2DConditionModel) -> Iterator[None]:
        """While this lasts, every block's output is noted."""
        handles = [
            block.module.register_forward_hook(partial(self._take, block.name)) for block in self.blocks
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._passed.clear()

    def _take(self, name: str, module: nn.Module, given: object, output: Tensor | tuple[Tensor, ...]) -> None:
        features = output[0] if isinstance(output, tuple) else output  # a down block has skips beside it
        self._passed.setdefault(name, features[-self._num_images :])

    def collect(self) -> None:
        """Take in what one call showed, and forget it."""
        for name, features in self._passed.items():
            for one, follower in zip(
                pool(features.float(), MAX_FEATURE_CELLS), self.followed[name], strict=True
            ):
                follower.add(one)
        self._passed.clear()


class Components:
    """The largest principal components of one block's output, call by call."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._bases: list[Tensor] = []  # (C, count) each, orthonormal
        self._scores: list[Tensor] = []  # (count, cells)
        self._totals: list[Tensor] = []  # the whole variance
        self._side = (0, 0)

    def add(self, features: Tensor) -> None:
        """Take in a call's features, (C, h, w) float32."""
        self._side = features.shape[-2], features.shape[-1]
        centred = features.flatten(1)
        centred = centred - centred.mean(dim=1, keepdim=True)
        rounds = _ROUNDS if self._bases else _FIRST_ROUNDS
        basis = self._bases[-1] if self._bases else self._first_basis(centred)
        for _ in range(rounds):
            basis = torch.linalg.qr(centred @ (centred.T @ basis))[0]
        self._bases.append(basis)
        self._scores.append(basis.T @ centred)
        self._totals.append(centred.square().sum())

    def _first_basis(self, centred: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        basis = torch.randn(len(centred), self._count, generator=generator)
        return torch.linalg.qr(basis)[0].to(centred)

    def finished(self) -> tuple[Tensor, Tensor]:
        """Return the components, (calls, count, h, w), and their shares of the variance, (calls, count)."""
        bases, scores = torch.stack(self._bases).cpu(), torch.stack(self._scores).cpu()
        totals = torch.stack(self._totals).cpu().clamp_min(1e-30)
        # The last step's own principal axes, the largest first, each towards more light than dark.
        last = scores[-1] @ scores[-1].T
        turn = torch.linalg.eigh(last)[1].flip(1)
        turn = turn * _sign((turn.T @ scores[-1]).pow(3).sum(dim=1))
        # What turns each step's basis into the next one's: the orthogonal part of their products.
        left, _, right = torch.linalg.svd(bases[:-1].transpose(1, 2) @ bases[1:])
        turns = [turn]
        for towards_next in (left @ right).flip(0):
            turns.append(towards_next @ turns[-1])
        turned = torch.stack(turns[::-1]).transpose(1, 2) @ scores  # (calls, count, cells)
        shares = turned.square().sum(dim=2) / totals[:, None]
        return turned.unflatten(2, self._side), shares


def _sign(numbers: Tensor) -> Tensor:
    return torch.where(numbers < 0, -1.0, 1.0)


def blocks_of(unet: UNet2DConditionModel, latents: Tensor) -> list[Block]:
    """List the blocks for latents of (B, 4, h, w)."""
    return watched_blocks(unet, latents.shape[-2], latents.shape[-1])
