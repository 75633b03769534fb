"""Where two ways part: two runs compared at the same noise level, step by step.

    noisy picture      D_x(k) = RMS of x_t - x_t'
    predicted picture  D_p(k) = RMS of x0(c) - x0(c)'
    attention          D_a(k) = mean over modules and places of 1/2 sum over words of |m_w - m_w'|, 0..1

x_t in the scale where its variance is 1. What parts, does so at the first step at which its distance is at
least half of what it becomes: both pictures' of the distance of the finished latents, attention's of its
largest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..probes.recording import ReadText, Recording, of_words

Floats = NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]

HALF = 0.5  # of what a distance becomes
SAME_LEVEL = 0.01  # of noise over signal, by which two steps may differ and still be compared

NOISY, PREDICTED, ATTENTION = "noisy picture", "predicted picture", "attention"
SHOWN = (ATTENTION, PREDICTED, NOISY)


@dataclass(frozen=True, kw_only=True, eq=False)
class Parting:
    """How far two runs are apart, at the pairs of calls that stand at one noise level."""

    a: Recording
    b: Recording
    pairs: Pairs  # calls of a and b
    distances: dict[str, Floats]  # by what, at each pair; what cannot be compared is not there
    final: float | None  # RMS of the finished latents' difference; None where that has no meaning
    notes: tuple[str, ...]  # what cannot be compared, and why, a sentence each

    @cached_property
    def parted(self) -> dict[str, int | None]:
        """Return the index of the pair at which each parts; None: never by half."""
        return {what: parts_at(values, self._becomes(what)) for what, values in self.distances.items()}

    def _becomes(self, what: str) -> float:
        if what == ATTENTION or self.final is None:
            return float(self.distances[what].max(initial=0))
        return self.final

    def shares(self, what: str) -> Floats:
        """Return a distance at each pair as a share of what it becomes."""
        becomes = self._becomes(what)
        return self.distances[what] / becomes if becomes > 0 else self.distances[what]

    def step(self, what: str) -> int | None:
        """Return the step of a, from 1 as people count, at which something parts."""
        index = self.parted.get(what)
        return None if index is None else self.pairs[index][0] // self.a.facts.order + 1

    @property
    def is_same(self) -> bool:
        """Tell whether nothing differs at any step."""
        return bool(self.distances) and not any(values.any() for values in self.distances.values())

    @property
    def sentence(self) -> str:
        """Say what parts when."""
        if not self.distances:
            return "These two runs cannot be compared in numbers; both films are shown."
        if self.is_same:
            return "Nothing parts: both runs are the same at every step."
        said: list[str] = []
        for what in (what for what in SHOWN if what in self.distances):
            step, verb = self.step(what), "" if said else " parts"
            name = what if what == ATTENTION else f"the {what}"
            said.append(f"{name}{verb} at step {step}" if step else f"{name} never parts by half")
        listed, steps = ", ".join(said), self.a.num_steps
        return f"{listed[0].upper()}{listed[1:]} (of {steps} step{'' if steps == 1 else 's'})."


def parts_at(values: Floats, becomes: float) -> int | None:
    """Return the first index at which a distance is at least half of what it becomes; None if never."""
    if becomes <= 0:
        return None
    over = np.flatnonzero(values >= HALF * becomes)
    return int(over[0]) if len(over) else None


def compare(a: Recording, b: Recording) -> Parting:
    """Compare two runs. What cannot be compared is left out, and said."""
    notes: list[str] = []
    pairs = pairs_of(a, b)
    distances: dict[str, Floats] = {}
    final = None
    if why := why_not_latents(a, b):
        notes.append(why)
    else:
        final = rms(a.final, b.final)
        notes += _beside(a, b)
    if len(pairs) < min(a.num_calls, b.num_calls) or a.num_calls != b.num_calls:
        notes.append(_said_of_pairs(a, b, pairs))
    if pairs and final is not None:
        distances[NOISY] = np.array([rms(a.unscaled(i), b.unscaled(j)) for i, j in pairs])
        distances[PREDICTED] = np.array([rms(_x0(a, i), _x0(b, j)) for i, j in pairs])
    if why := why_not_attention(a, b):
        notes.append(why)
    elif pairs:
        distances[ATTENTION] = np.array([attention_distance(a, b, pair) for pair in pairs])
    return Parting(a=a, b=b, pairs=pairs, distances=distances, final=final, notes=tuple(notes))


def pairs_of(a: Recording, b: Recording) -> Pairs:
    """Return the calls that stand at one noise level in both runs, each at most once, in their order."""
    found: list[tuple[int, int]] = []
    after = 0
    for i, level in enumerate(a.sigmas.tolist()):
        for j in range(after, b.num_calls):
            if abs(float(b.sigmas[j]) - level) <= SAME_LEVEL * max(level, 1e-6):
                found.append((i, j))
                after = j + 1
                break
    return tuple(found)


def rms(one: Tensor, other: Tensor) -> float:
    """Return the root mean square of a difference."""
    return float((one.double() - other.double()).square().mean().sqrt())


def _x0(recording: Recording, call: int) -> Tensor:
    x0 = recording.x0(call)
    assert x0 is not None
    return x0


# -- what can be compared


def why_not_latents(a: Recording, b: Recording) -> str:
    """Say why two runs' latents cannot be compared; empty if they can."""
    if a.final.shape != b.final.shape:
        sizes = " and ".join(f"{one.final.shape[-2]}×{one.final.shape[-1]}" for one in (a, b))
        return f"The latents have different sizes, {sizes}, so their distance cannot be told."
    if not same_space(a, b):
        return (
            f"The models {a.facts.model} and {b.facts.model} do not keep pictures in the same latents, so"
            " their distance would mean nothing."
        )
    return ""


def same_space(a: Recording, b: Recording) -> bool:
    """Tell whether both runs' latents mean the same: one model, or one known way to look at them."""
    one, other = a.facts, b.facts
    if one.model == other.model:
        return True
    return one.latent_rgb is not None and one.latent_rgb == other.latent_rgb


def _beside(a: Recording, b: Recording) -> list[str]:
    """Say what else differs than the words."""
    said: list[str] = []
    model, other = a.facts.model, b.facts.model
    if model != other:
        said.append(f"They are of two models, {model} and {other}: not only the words differ.")
    elif a.facts.model_stamp != b.facts.model_stamp:
        said.append(f"The file of {model} has changed between both runs: not only the words differ.")
    if not (a.noise.shape == b.noise.shape and bool((a.noise == b.noise).all())):
        said.append("They began from different noise, so they are apart from the first step on.")
    return said


def _said_of_pairs(a: Recording, b: Recording, pairs: Pairs) -> str:
    runs = f"One run calls the U-Net {a.num_calls} times, the other {b.num_calls} times"
    if not pairs:
        return f"{runs}, at no noise level in common, so no step can be compared."
    return f"{runs}: they are compared at the {len(pairs)} noise levels that both have."


def why_not_attention(a: Recording, b: Recording) -> str:
    """Say why two runs' attention cannot be compared; empty if it can."""
    if a.attention is None or b.attention is None:
        return "Attention was not recorded in both runs, so it is not compared."
    if a.attention.modules != b.attention.modules:
        return "The two U-Nets do not have the same modules, so attention is not compared."
    if any(a.attention.side(module) != b.attention.side(module) for module in a.attention.modules):
        return "The attention maps have different sizes, so attention is not compared."
    return ""


# -- attention


def attention_distance(
    a: Recording, b: Recording, pair: tuple[int, int], modules: Sequence[str] | None = None
) -> float:
    """Return the mean over modules and places of half the sum of what each word's share differs, 0..1."""
    assert a.attention and b.attention  # noqa: PT018 - one thought
    (text_a, number_a), (text_b, number_b) = _text_at(a, pair[0]), _text_at(b, pair[1])
    lines = aligned(text_a, text_b)
    found = []
    for module in modules or a.attention.modules:
        maps_a = of_words(a.attention.at(module, pair[0], number_a), text_a.words)
        maps_b = of_words(b.attention.at(module, pair[1], number_b), text_b.words)
        apart = torch.stack([_apart(maps_a, maps_b, i, j) for i, j in lines])
        found.append(float(apart.sum(dim=0).mean()) / 2)
    return float(np.mean(found))


def _apart(maps_a: Tensor, maps_b: Tensor, i: int | None, j: int | None) -> Tensor:
    """Return how far two words' shares differ at each place; a word without its like counts whole."""
    if i is None:
        assert j is not None
        return maps_b[j]
    return maps_a[i] if j is None else (maps_a[i] - maps_b[j]).abs()


def _text_at(recording: Recording, call: int) -> tuple[ReadText, int]:
    """Return the text read at a call, the first of those joined by AND, and its number."""
    assert recording.attention
    texts = recording.attention.texts
    return next((text, number) for number, text in enumerate(texts) if call in text.calls)


def aligned(a: ReadText, b: ReadText) -> list[tuple[int | None, int | None]]:
    """Put two texts' words side by side, marks and padding too.

    A word that was replaced stands beside the one in its place; of words without their like one is None.
    """
    words_a, words_b = ([(word.kind, word.text) for word in text.words] for text in (a, b))
    found: list[tuple[int | None, int | None]] = []
    for _, i, i_end, j, j_end in SequenceMatcher(None, words_a, words_b, autojunk=False).get_opcodes():
        longest = max(i_end - i, j_end - j)
        found += [
            (i + k if i + k < i_end else None, j + k if j + k < j_end else None) for k in range(longest)
        ]
    return found
