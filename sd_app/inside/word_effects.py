"""What each word of a prompt did: the text without it is encoded, and both answers are compared.

No new run: on the recorded x_t of a few early steps the U-Net is asked once more for each word. In x0 units,
d_w = |x0(c_w) - x0(c)| over the four channels, with c the answer to the prompt and c_w to the prompt without
w; for a model that predicts noise that is noise/signal * |c_w - c|. One scale for all words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..probes.recording import ReadText, Recording
from ..text.prompt_embeds import WINDOW
from .answers import Answers, OnRows, are_same, early_calls, num_windows
from .look import Look
from .prompt_words import FoundWords, PromptReader, PromptWord, reader_of, words_in

LITTLE = 0.1  # of the largest total: a word below has done almost nothing
AGREES = 0.02  # of the answer's own size, by which the model may answer otherwise than it did in the run
PICTURE_COUNTS = 5.0  # noise over signal at the first step, below which a start picture shows through

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class WordEffects:
    """How far each word moved the predicted picture, place by place."""

    words: tuple[PromptWord, ...]
    calls: tuple[int, ...]  # at which they were compared
    by_call: Floats  # (calls, words, h, w), in x0 units
    rows_run: int  # of the U-Net
    negative: bool = False  # words of the negative prompt
    notes: tuple[str, ...] = ()

    @cached_property
    def maps(self) -> Floats:
        """Return the mean over the calls, (words, h, w)."""
        return self.by_call.mean(axis=0)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the words' names."""
        return tuple(word.label for word in self.words)

    @cached_property
    def totals(self) -> Floats:
        """Return each word's mean over the picture, (words,)."""
        return self.maps.mean(axis=(1, 2))

    @property
    def little(self) -> tuple[str, ...]:
        """Return the words that did almost nothing: their total is below a tenth of the largest."""
        if not len(self.words) or not self.totals.max():
            return self.labels
        return tuple(
            label
            for label, total in zip(self.labels, self.totals, strict=True)
            if total < LITTLE * self.totals.max()
        )

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """Return for each place the word that moved it most, (h, w)."""
        return self.maps.argmax(axis=0)

    @cached_property
    def strength(self) -> Floats:
        """Return how much the owner moved its place, (h, w) in 0..1: 1 is the upper twentieth's bound."""
        most = self.maps.max(axis=0)
        full = float(np.quantile(most, 0.95))
        return np.clip(most / full, 0, 1) if full else np.zeros_like(most)

    def bars(self, row: int, column: int) -> list[tuple[str, float]]:
        """Return what every word did at a place, the largest first."""
        here = self.maps[:, row, column]
        return [(self.labels[word], float(here[word])) for word in np.argsort(-here, kind="stable")]


def word_effects(
    look: Look,
    *,
    found: FoundWords | None = None,
    negative: bool = False,
    calls: Sequence[int] | None = None,
    on_rows: OnRows = lambda _: None,
) -> WordEffects:
    """Compare the prompt with itself without each of its words, at these calls, by default early ones.

    `found` are its words or some of them; rows_needed says what they cost, and `on_rows` is told of each row
    that is done. With `negative` the same of the negative prompt and the half that reads it. Raise ValueError
    where there is no such half.
    """
    recording = look.recording
    if negative and not recording.guided_calls:
        raise ValueError("this run had no half without the prompt, so its negative prompt was not read")
    reader = reader_of(look, negative=negative)
    if found is None:
        found = words_in(look, negative=negative)
    calls = early_calls(recording) if calls is None else tuple(calls)
    if negative:
        calls = tuple(call for call in calls if call in recording.guided_calls)
    height, width = recording.latents.shape[-2:]
    by_call = np.zeros((len(calls), len(found.words), height, width), np.float32)
    apart = 0.0
    read: set[str] = set()
    with look.pipe() as pipe:
        answers = Answers(look, pipe, on_rows)
        for number, call in enumerate(calls):
            for text in _texts_at(recording, reader, call):
                moved, here = _moved(answers, recording, reader, found, text, call)
                by_call[number] += moved
                apart = max(apart, here)
                read.add(text.text)
    later = [word for word in found.words if not any(map(word.taken_from, read))]
    return WordEffects(
        words=found.words,
        calls=calls,
        by_call=by_call,
        rows_run=answers.num_rows,
        negative=negative,
        notes=(*found.notes, *_notes(recording, later, apart)),
    )


_effects: WeakKeyDictionary[Look, dict[bool, WordEffects]] = WeakKeyDictionary()


def effects_of(look: Look, *, negative: bool = False) -> WordEffects:
    """Return what each word did; worked out once for whoever looks."""
    known = _effects.setdefault(look, {})
    if negative not in known:
        known[negative] = word_effects(look, negative=negative)
    return known[negative]


def rows_needed(recording: Recording, found: FoundWords, calls: Sequence[int] | None = None) -> int:
    """Return how many rows of the U-Net the words cost at most; a guided step of the run has two."""
    calls = early_calls(recording) if calls is None else calls
    return len(calls) * (len(found.words) + 1)


@dataclass(frozen=True, kw_only=True)
class TextAt:
    """A text that was read at a call."""

    text: str
    weight: float
    num_windows: int


def _texts_at(recording: Recording, reader: PromptReader, call: int) -> list[TextAt]:
    positive = [text for text in recording.texts if call in text.calls]
    if not reader.negative:
        return [_text_at(text) for text in positive]
    step = min(call // recording.facts.order, reader.steps - 1)
    text = reader.read(recording.request.negative_prompt)[step].texts[0]
    # It has as many windows as the first prompt, which has as many as both need.
    return [TextAt(text=text, weight=1.0, num_windows=num_windows(positive[0]))]


def _text_at(text: ReadText) -> TextAt:
    return TextAt(text=text.text, weight=text.weight, num_windows=num_windows(text))


def _moved(
    answers: Answers, recording: Recording, reader: PromptReader, found: FoundWords, text: TextAt, call: int
) -> tuple[Floats, float]:
    """Return how far each word of a text moved x0 at a call, (words, h, w); 0 for words it does not hold.

    Also how far the answer to the whole text is from the recorded one, as a share of its size.
    """
    held = [
        (number, taken) for number, word in enumerate(found.words) if (taken := word.taken_from(text.text))
    ]
    moved = np.zeros((len(found.words), *recording.latents.shape[-2:]), np.float32)
    if not held:
        return moved, 0.0
    whole_text = answers.encode(text.text, text.num_windows, negative=reader.negative)
    shorter = [
        answers.encode_without(reader, taken, text.num_windows, negative=reader.negative) for _, taken in held
    ]
    assert all(rows.positive.shape[1] == text.num_windows * WINDOW for rows in (whole_text, *shorter))
    # What reads the same answers the same: that is not left to rounding.
    other = [number for number, rows in enumerate(shorter) if not are_same(rows, whole_text)]
    whole, *rest = answers.ask(call, [whole_text, *(shorter[number] for number in other)])
    x0 = recording.x0_from(call, whole)
    for number, answer in zip(other, rest, strict=True):
        change = recording.x0_from(call, answer) - x0
        moved[held[number][0]] = abs(text.weight) * change.float().square().sum(dim=0).sqrt().numpy()
    return moved, _apart(recording, whole, call, text, negative=reader.negative)


def _apart(recording: Recording, whole: Tensor, call: int, text: TextAt, *, negative: bool) -> float:
    joined = sum(call in one.calls for one in recording.texts) > 1
    if call in recording.shallow_calls or (joined and not negative):
        return 0.0  # the recorded answer is not of the whole U-Net, or of several prompts
    recorded = recording.unconditional_at(call) if negative else recording.conditional[call]
    assert recorded is not None
    return float((whole - recorded.float()).square().mean().sqrt() / recorded.float().square().mean().sqrt())


def _notes(recording: Recording, later: Sequence[PromptWord], apart: float) -> tuple[str, ...]:
    """Say what a reader of the maps must know of this run."""
    notes = []
    if apart > AGREES:
        notes.append(
            f"The model does not answer as it did in the run, by {100 * apart:.0f} % of its answer: its"
            " file, a LoRA or the device has changed."
        )
    if later:
        names = ", ".join(word.label for word in later)
        notes.append(f"Not read yet at the steps that are compared, and so without an effect: {names}.")
    if recording.original is not None and float(recording.sigmas[0]) < PICTURE_COUNTS:
        notes.append(
            "The run began from a picture: what that had settled already is no word's, and the comparison"
            f" begins at noise {float(recording.sigmas[0]):.1f} times the signal."
        )
    if recording.facts.reads_guidance:
        notes.append("Guidance is inside this model: what a word did is shown as guided.")
    return tuple(notes)
