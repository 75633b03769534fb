"""One cell changed on the way: does the run heal it, keep it in its place, or spread it?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..pictures.drift import difference
from ..probes.recording import Recording
from .again import VISIBLE
from .latents import check_place
from .look import Look
from .replay import Poke, go_on
from .sheets import Floats

TOUCHED = 0.1  # spreads: from this length of the difference on a cell counts as touched
HEALED = 0.5  # of the poke's length: what is left at the end, up to which it is said to heal
NEAR = 1  # cells around the poked one that count as its place


@dataclass(frozen=True, kw_only=True, eq=False)
class Poked:
    """A run that went on with one cell changed, beside the recorded one.

    Differences are of x_t brought to variance 1, so that steps compare; call n is x_0.
    """

    recorded: Recording
    recording: Recording  # of the run that was poked
    call: int
    row: int
    column: int
    amount: float  # added to each of the channels, in spreads of x_t

    @cached_property
    def lengths(self) -> Floats:
        """Return how far each cell is from the recorded run, over the channels: (n+1, h, w)."""
        apart = [
            self.recording.unscaled(call).float() - self.recorded.unscaled(call).float()
            for call in range(self.recorded.num_calls + 1)
        ]
        lengths: Floats = torch.stack(apart).norm(dim=1).numpy()
        return lengths

    @cached_property
    def distances(self) -> Floats:
        """Return how far the runs are apart at each call, (n+1,): the length over all cells."""
        distances: Floats = np.sqrt(np.square(self.lengths).sum(axis=(1, 2)))
        return distances

    @cached_property
    def at_the_cell(self) -> Floats:
        """Return how much of that lies in the poked cell and those around it, (n+1,)."""
        rows = slice(max(0, self.row - NEAR), self.row + NEAR + 1)
        columns = slice(max(0, self.column - NEAR), self.column + NEAR + 1)
        near: Floats = np.sqrt(np.square(self.lengths[:, rows, columns]).sum(axis=(1, 2)))
        return near

    @cached_property
    def unnoticed(self) -> Floats:
        """Return how far apart they would be had the U-Net taken no notice: poke * signal_t / signal_k.

        A change of x_t that the U-Net does not see stays in the picture's part of it, whose share grows.
        """
        sigmas = [*self.recorded.sigmas.tolist(), 0.0]
        signal = 1 / np.sqrt(1 + np.square(np.array(sigmas)))
        grown: Floats = (self.distances[self.call] * signal / signal[self.call]).astype(np.float32)
        grown[: self.call] = np.nan
        return grown

    @property
    def touched(self) -> list[int]:
        """Return how many cells differ noticeably at each call."""
        return [int((cells > TOUCHED).sum()) for cells in self.lengths]

    @property
    def left(self) -> float:
        """Return what is left of the poke at the end, as a share of its length; 0 for a poke of nothing."""
        poke = float(self.distances[self.call])
        return float(self.distances[-1]) / poke if poke else 0.0

    @cached_property
    def difference(self) -> NDArray[np.uint8]:
        """Return how far the final pictures are apart, (H, W) 0..255."""
        return difference(self.recorded.decoded.convert("RGB"), self.recording.decoded.convert("RGB"))

    @property
    def changed_share(self) -> float:
        """Return the share of pixels that changed visibly, 0..1."""
        return float((self.difference > VISIBLE).mean())

    @property
    def verdict(self) -> str:
        """Say in a word or two what became of it."""
        if not self.distances.any():
            return "nothing changes"
        if self.left <= HEALED:
            return "it heals"
        is_near = self.at_the_cell[-1] ** 2 >= 0.5 * self.distances[-1] ** 2
        return "it stays in its place" if is_near else "it spreads"

    @property
    def sentence(self) -> str:
        """Say what became of the poke."""
        step = self.call // self.recorded.facts.order + 1
        what = f"Poked at step {step} by {self.amount:g} spreads: {self.verdict}"
        if not self.distances.any():
            return f"{what}, the picture is the same to the byte."
        return (
            f"{what}; of a length of {self.distances[self.call]:.2f}, {self.distances[-1]:.2f} is left at the"
            f" end, in {self.touched[-1]} of {self.lengths[0].size} cells (if the U-Net ignored it,"
            f" {self.unnoticed[-1]:.1f}), and {100 * self.changed_share:.1f} % of the pixels change visibly."
        )


def poke(
    look: Look, *, call: int, row: int, column: int, amount: float, channels: Sequence[int] | None = None
) -> Poked:
    """Add `amount` spreads of x_t to a cell before a call and let the run go on from there.

    `channels` are all by default. Everything counts from 0. Raise as go_on, and ValueError for a cell that
    there is none.
    """
    recording = look.recording
    num_channels, rows, columns = recording.final.shape
    check_place("row", row, rows)
    check_place("column", column, columns)
    check_place("call", call, recording.num_calls)
    if not np.isfinite(amount):
        raise ValueError(f"amount must be a number, got {amount}")
    change = torch.zeros_like(recording.final)
    for channel in range(num_channels) if channels is None else channels:
        check_place("channel", channel, num_channels)
        change[channel, row, column] = amount * spread_of(recording, call)
    poked = go_on(look, Poke(call=call, change=change))
    return Poked(recorded=recording, recording=poked, call=call, row=row, column=column, amount=amount)


def spread_of(recording: Recording, call: int) -> float:
    """Return what one spread of x_t is in the scale that the sampler keeps."""
    return 1.0 if recording.facts.keeps_variance else (1 + float(recording.sigmas[call]) ** 2) ** 0.5


def early_to_late(recording: Recording, shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75)) -> list[int]:
    """Return the calls that begin the steps at these shares of the run, the last one among them."""
    order, last = recording.facts.order, recording.num_steps - 1
    steps = {round(share * last) for share in (*shares, 1.0)}
    return sorted(step * order for step in steps)


def busiest_cell(latents: Tensor) -> tuple[int, int]:
    """Return row and column of the inner cell that differs most from the mean, of (C, h, w)."""
    away = (latents.float() - latents.float().mean(dim=(1, 2), keepdim=True)).norm(dim=0)
    inner = away[1:-1, 1:-1]
    row, column = divmod(int(inner.argmax()), inner.shape[1])
    return row + 1, column + 1
