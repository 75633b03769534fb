"""What the U-Net answers to a recorded x_t when it reads another text: no new run, a few calls in batches."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..expressions import has_slots, parse_prompt
from ..probes.recording import ReadText, Recording
from ..text import prompts
from ..text.embeddings import Encoder
from ..text.prompt_embeds import PromptEmbeds
from ..weights.pipeline import Pipeline
from .look import Look
from .predicting import predict
from .prompt_words import PromptReader, Taken

OnRows = Callable[[int], None]


class Answers:
    """Ask the U-Net of a recorded run again, while its pipeline is lent.

    `on_rows` is told how many rows were run so far, each a half of a guided call, and may raise.
    """

    def __init__(self, look: Look, pipe: Pipeline, on_rows: OnRows = lambda _: None) -> None:
        self._look, self._pipe, self._on_rows = look, pipe, on_rows
        self._encoder = Encoder(pipe, look.request.clip_skip)
        self.num_rows = 0

    def encode(self, text: str, num_windows: int, *, negative: bool = False) -> PromptEmbeds:
        """Encode a text to so many windows as the run does, (1, 77*n, D)."""
        template = parse_prompt(text, "negative_prompt" if negative else "prompt")
        pooled = self._encoder.pool(template) if self._pipe.is_xl else None
        return complete(self._encoder.encode(template, num_windows), pooled, text, negative=negative)

    def encode_without(
        self, reader: PromptReader, taken: Taken, num_windows: int, *, negative: bool = False
    ) -> PromptEmbeds:
        """Encode a text without a word to so many windows; every other word stays in its own window.

        Slots are worked out anew, and their text is cut into windows anew.
        """
        if has_slots(taken.text):
            return self.encode(taken.shorter, num_windows, negative=negative)
        windows = reader.windows_without(taken)
        windows += [[]] * (num_windows - len(windows))
        pooled = prompts.pool_chunks(self._pipe, windows) if self._pipe.is_xl else None
        rows = prompts.encode_chunks(self._pipe, windows, self._look.request.clip_skip)
        return complete(rows, pooled, taken.shorter, negative=negative)

    def ask(self, call: int, texts: Sequence[PromptEmbeds]) -> Tensor:
        """Return the U-Net's answers to x_t of a call for each text, (texts, 4, h, w) float32."""
        answers = predict(self._look.manager, self._pipe, self._look.recording, call, texts)
        self.num_rows += len(texts)
        self._on_rows(self.num_rows)
        return answers.float()


def complete(rows: Tensor, pooled: Tensor | None, text: str, *, negative: bool) -> PromptEmbeds:
    """Put what is read of a text together. An empty negative prompt is all zeros to SDXL."""
    if pooled is not None and negative and not text.strip():
        rows, pooled = torch.zeros_like(rows), torch.zeros_like(pooled)
    return PromptEmbeds(positive=rows, pooled=pooled)


def are_same(a: PromptEmbeds, b: PromptEmbeds) -> bool:
    """Tell whether two texts are read alike, to the bit."""
    pairs = zip(a.tensors, b.tensors, strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def num_windows(text: ReadText) -> int:
    """Return of how many windows of 77 rows a text was read."""
    return 1 + max(row.chunk for row in text.rows)


def early_calls(recording: Recording, shares: Sequence[float] = (0.12, 0.24)) -> tuple[int, ...]:
    """Return the first call and those at these shares of the run's steps.

    Who owns which place is settled at the first step; outlines come with the next ones, and later steps
    name the subject everywhere.
    """
    order = recording.facts.order
    steps = {min(round(share * recording.num_steps), recording.num_steps - 1) for share in (0.0, *shares)}
    return tuple(sorted(step * order for step in steps))
