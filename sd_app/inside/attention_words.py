"""Cross attention by words: one scale for all, start mark and padding as words of their own.

The view that people know. It is honest about rows and not about words: each row of the text has read all rows
before it, so attention to "on" is attention to "... cat on". How far it agrees with the experiment of
word_effects.py is counted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ..probes.recording import Attention, ReadText, Recording, Word
from ..requests.text import TEXT
from .prompt_words import FoundWords, PromptWord
from .word_effects import Floats, WordEffects


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionWords:
    """How much each place reads of each word. Over all words, marks and padding a place sums to 1."""

    labels: tuple[str, ...]
    kinds: tuple[str, ...]  # "start", "text", "end" or "padding"
    maps: Floats  # (words, h, w)
    module: str
    calls: tuple[int, ...]
    text: ReadText

    @property
    def shares(self) -> Floats:
        """Return each word's share of the whole, (words,); they sum to 1."""
        return self.maps.mean(axis=(1, 2))


def attention_words(
    recording: Recording,
    found: FoundWords | None = None,
    *,
    module: str | None = None,
    calls: Sequence[int] | None = None,
    text: int = 0,
) -> AttentionWords:
    """Return a module's maps averaged over calls: by default of the finest up module, the last 60 % of steps.

    With `found` the words are the prompt's; else runs of tokens, as the recording alone knows them. Raise
    ValueError if attention was not recorded, or the text was read at none of the calls.
    """
    attention = attention_of(recording)
    module = module or attention.finest_up
    known = attention.late_calls(text=text) if calls is None else list(calls)
    read = attention.texts[text]
    units = units_of(read, found)
    maps = attention.mean(module, known, text)
    return AttentionWords(
        labels=tuple(label for label, _, _ in units),
        kinds=tuple(kind for _, kind, _ in units),
        maps=_sums(maps, [rows for _, _, rows in units]),
        module=module,
        calls=tuple(call for call in known if call in read.calls),
        text=read,
    )


def attention_heads(
    recording: Recording, found: FoundWords | None, *, module: str, third: int, text: int = 0
) -> tuple[tuple[str, ...], Floats]:
    """Return the words and each head's maps in a third of the run, 0..2: (heads, words, h, w)."""
    attention = attention_of(recording)
    units = units_of(attention.texts[text], found)
    heads = attention.heads(module, third, text)
    return tuple(label for label, _, _ in units), np.stack(
        [_sums(maps, [rows for _, _, rows in units]) for maps in heads]
    )


def attention_of(recording: Recording) -> Attention:
    """Return what was recorded of attention. Raise ValueError if it was not."""
    if recording.attention is None:
        raise ValueError("attention was not recorded in this run (record it again with attention)")
    return recording.attention


def _sums(maps: torch.Tensor, units: Sequence[Sequence[int]]) -> Floats:
    return np.stack([maps[list(rows)].sum(dim=0).numpy() for rows in units])


Unit = tuple[str, str, tuple[int, ...]]  # label, kind, rows of the maps


def units_of(read: ReadText, found: FoundWords | None) -> list[Unit]:
    """Return a text's words with the rows of each, every row in one of them.

    Marks and paddings of several windows are told apart by their window. What no word of `found` holds, such
    as punctuation, is a word of its own, as the tokens say.
    """
    owner: dict[int, PromptWord] = {}
    tokens = [number for number, row in enumerate(read.rows) if row.kind == TEXT]
    for word in found.words if found else ():
        if taken := word.taken_from(read.text):
            owner |= dict.fromkeys(tokens[taken.first : taken.first + taken.count], word)
    units: list[Unit] = []
    done: set[str] = set()
    for one in read.words:
        held = owner.get(one.rows[0])
        if held is None:
            units.append((_name(one, read), one.kind, one.rows))
        elif held.label not in done:
            done.add(held.label)
            rows = tuple(row for row, word in owner.items() if word is held)
            units.append((held.label, TEXT, rows))
    return units


def _name(word: Word, read: ReadText) -> str:
    if word.kind == TEXT:
        return word.text
    row = read.rows[word.rows[0]]
    several = max(each.chunk for each in read.rows) > 0
    name = "padding" if word.kind == "padding" else f"{word.kind} mark"
    return f"{name} {row.chunk + 1}" if several else name


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Where attention names the same word as the experiment."""

    labels: tuple[str, ...]  # the words that both know
    by_effect: NDArray[np.intp]  # (h, w): the word that moved the place most
    by_attention: NDArray[np.intp]  # (h, w): the word that the place reads most of
    effect_totals: Floats  # (words,)
    attention_totals: Floats

    @property
    def same(self) -> NDArray[np.bool_]:
        """Return where both are the same word, (h, w)."""
        return self.by_effect == self.by_attention

    @property
    def sentence(self) -> str:
        """Say in how many places."""
        return f"Attention agreed with the experiment in {int(self.same.sum())} of {self.same.size} places."

    @property
    def chance(self) -> float:
        """Return the share of places in which they would agree if each word kept its number of places."""
        count = len(self.labels)
        shares = [np.bincount(each.ravel(), minlength=count) / each.size for each in self._owners]
        return float((shares[0] * shares[1]).sum())

    @property
    def _owners(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self.by_effect, self.by_attention

    @property
    def order(self) -> float:
        """Return the rank correlation of the words' totals, -1..1 (Spearman); NaN for less than three."""
        return rank_correlation(self.effect_totals, self.attention_totals)


def agreement(effects: WordEffects, attention: AttentionWords) -> Agreement | None:
    """Compare both views over the words that both know, at attention's places; None where there are none.

    Marks, padding and punctuation are left out: nothing was taken out for them.
    """
    at = {label: number for number, label in enumerate(attention.labels) if attention.kinds[number] == TEXT}
    held = [word for word in effects.words if word.label in at and word.taken_from(attention.text.text)]
    if not held:
        return None
    labels = tuple(word.label for word in held)
    numbers = [effects.labels.index(label) for label in labels]
    side = attention.maps.shape[-2], attention.maps.shape[-1]
    moved = pooled(effects.maps[numbers], side)
    read = attention.maps[[at[label] for label in labels]]
    return Agreement(
        labels=labels,
        by_effect=moved.argmax(axis=0),
        by_attention=read.argmax(axis=0),
        effect_totals=moved.mean(axis=(1, 2)),
        attention_totals=read.mean(axis=(1, 2)),
    )


def pooled(maps: Floats, side: tuple[int, int]) -> Floats:
    """Average maps, (n, h, w), over the places of a coarser grid."""
    means: Floats = functional.adaptive_avg_pool2d(torch.from_numpy(maps)[None], side)[0].numpy()
    return means


def rank_correlation(a: Floats, b: Floats) -> float:
    """Return Spearman's rank correlation of two rows of numbers; NaN for less than three."""
    if len(a) < 3:
        return float("nan")
    first, second = (np.argsort(np.argsort(each)).astype(np.float64) for each in (a, b))
    return float(np.corrcoef(first, second)[0, 1])
