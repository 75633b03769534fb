"""Where the prompt's meaning is kept: the picture with some rows of the text closed to cross attention.

A closed row's score is minus infinity before the softmax, so that the open ones share what it had. Only what
reads the prompt is changed, not the half without it. The processors are wrapped, and are the ones they were
afterwards. With nothing closed the picture is the same to the byte.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from ..probes.observers import LoopStart, Observer, UNetCall
from ..probes.recorder import text_keys
from ..requests.text import END, PADDING, START, TEXT
from ..text.prompts import token_table
from .again import Again, make_frames, of_picture
from .look import Look

Processor = Callable[..., Tensor]

# The end mark is a row of the same kind as the padding, which repeats it.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "nothing closed": (),
    "all words closed": (TEXT,),
    "all padding closed": (END, PADDING),
    "all but words closed": (START, END, PADDING),
    "all but padding closed": (START, TEXT),
}


class RowCloser(Observer):
    """Close the rows of these kinds, in every window, to every cross attention of a run."""

    needs_every_part = True

    def __init__(self, kinds: Sequence[str]) -> None:
        self._kinds = frozenset(kinds)
        self._start: LoopStart | None = None
        self._call = 0
        self._read: dict[str, int] = {}  # by layer: of the prompts joined by AND those that it has read
        self._biases: dict[int, list[Tensor | None]] = {}  # by step: of each prompt joined by AND

    def before_loop(self, start: LoopStart) -> None:
        self._start, self._call = start, 0
        self._read.clear()
        self._biases.clear()

    def on_unet_call(self, call: UNetCall) -> None:
        self._call = call.index + 1
        self._read.clear()

    @contextmanager
    def listening(self, unet: UNet2DConditionModel) -> Iterator[None]:
        before: list[tuple[Attention, Processor]] = []
        try:
            for name, part in unet.named_modules():
                if isinstance(part, Attention) and part.is_cross_attention:
                    before.append((part, part.processor))
                    part.processor = Closing(part.processor, self, name)
            yield
        finally:
            for attention, processor in before:
                attention.processor = processor

    def bias(self, layer: str, text: Tensor) -> Tensor | None:
        """Return what is added to a layer's scores, (R, 1, 77*n) for its text, (R, 77*n, D); None: nothing.

        A step calls a layer with the half without the prompt above the first of the prompts joined by AND,
        then with the others, up to two at a time.
        """
        assert self._start
        read = self._read.get(layer, 0)
        count = len(self._start.latents)
        copies = len(text) // count
        halved = not read and copies == 2 and self._start.negative_prompt_embeds is not None
        here = copies - halved
        self._read[layer] = read + here
        closed = self._parts()[read : read + here]
        if all(bias is None for bias in closed):
            return None
        nothing = text.new_zeros(count, 1, text.shape[1])
        rows = [*([nothing] if halved else []), *(nothing if bias is None else bias for bias in closed)]
        return torch.cat([row.to(text) for row in rows])

    def _parts(self) -> list[Tensor | None]:
        assert self._start
        start = self._start
        step = min(self._call // start.scheduler.order, len(start.prompts) - 1)
        if step not in self._biases:
            count, embeds = len(start.latents), start.prompts[step]
            keys = [text_keys(embeds, picture, count) for picture in range(count)]
            self._biases[step] = [
                self._bias_of([(each[part][0], each[part][1]) for each in keys])
                for part in range(len(embeds.weights))
            ]
        return self._biases[step]

    def _bias_of(self, texts: Sequence[tuple[str, int]]) -> Tensor | None:
        """Return minus infinity at the closed rows of texts and their windows, (B, 1, 77*n), else 0."""
        assert self._start
        pipe = self._start.pipe
        tables = [token_table(pipe.tokenizer, text, pipe.words, num_chunks=count) for text, count in texts]
        closed = torch.tensor([[row.kind in self._kinds for row in table.rows] for table in tables])
        if not closed.any():
            return None
        if closed.all(dim=1).any():
            raise ValueError("at least one row must stay open, and this prompt has none of the others")
        return torch.zeros(closed.shape).masked_fill(closed, float("-inf"))[:, None]


class Closing:
    """An attention processor that lets the one before it work, with some rows closed."""

    def __init__(self, inner: Processor, closer: RowCloser, layer: str) -> None:
        self._inner, self._closer, self._layer = inner, closer, layer

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: object,
        **kwargs: object,
    ) -> Tensor:
        if encoder_hidden_states is not None:
            bias = self._closer.bias(self._layer, encoder_hidden_states)
            if bias is not None:
                attention_mask = bias if attention_mask is None else attention_mask + bias
        return self._inner(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **kwargs)


def with_closed_rows(look: Look, name: str) -> Again:
    """Make the picture again with one of GROUPS closed. Raise ValueError where no row would stay open."""
    [picture] = make_frames(look, look.request, observers=[RowCloser(GROUPS[name])])
    return of_picture(look.recording, picture, label=name)
