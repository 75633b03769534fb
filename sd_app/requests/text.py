"""A prompt as the model reads it. Plain data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

CHUNK_TOKENS = 75  # tokens of text in one 77-token window of CLIP, without its start and end tokens
START, TEXT, END, PADDING = "start", "text", "end", "padding"  # kinds of rows


@dataclass(frozen=True, kw_only=True)
class Token:
    """One piece of a prompt as the model reads it."""

    text: str  # as written, without the tokenizer's end-of-word mark
    id: int
    position: int  # in its 77-token window; 0 is the start token, so the first token has 1
    chunk: int  # window it is in, from 0
    weight: float = 1.0
    ends_word: bool = True  # False: the next token continues the same word
    learned: str = ""  # the learned word whose vector stands here; `id` then means nothing
    vector: int = 0  # which of its vectors


@dataclass(frozen=True, kw_only=True)
class TextRead:
    """One of the texts that a prompt becomes, and when it is read."""

    text: str
    steps: tuple[tuple[int, int], ...]  # first and last of each stretch of steps, counted from 1
    weight: float = 1.0  # beside others joined by AND
    count: int = 0  # tokens
    num_chunks: int = 1


@dataclass(frozen=True, kw_only=True)
class TokenReport:
    """A prompt cut into tokens, start token, end token and padding left out.

    Of a prompt that changes on the way or is joined by AND, the tokens are those of the text read first;
    `texts` are all of them.
    """

    tokens: tuple[Token, ...]
    num_chunks: int
    count: int  # tokens in all
    limit: int = CHUNK_TOKENS  # tokens a chunk holds
    texts: tuple[TextRead, ...] = ()  # none for a prompt that is one text
    remarks: tuple[str, ...] = ()  # what should be said of it, a sentence each
    unseen: tuple[str, ...] = ()  # its words that the model never saw in training, where that is known

    def chunk_tokens(self, chunk: int) -> tuple[Token, ...]:
        """Return the tokens of one window; those of chunk 1 and later are past the model's 77 positions."""
        return tuple(token for token in self.tokens if token.chunk == chunk)

    def chunk_text(self, chunk: int) -> str:
        """Return one window's words, to show where a long prompt is divided."""
        return "".join(t.text + (" " if t.ends_word else "") for t in self.chunk_tokens(chunk)).rstrip()


@dataclass(frozen=True, kw_only=True)
class TokenRow(Token):
    """One of the 77 rows of a window. The U-Net attends to every kind, padding too."""

    kind: str = TEXT  # "start", "text", "end" or "padding"
    # A single window keeps the first 75 tokens and cuts this one. Here it is read, in a window of its own.
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class TokenTable:
    """Every row the model reads for a prompt, 77 a window. Of a slot in braces the first phrase is shown."""

    rows: tuple[TokenRow, ...]
    num_chunks: int

    @property
    def count(self) -> int:
        """Return the number of the text's tokens."""
        return sum(row.kind == TEXT for row in self.rows)

    @property
    def kept(self) -> int:
        """Return how many of them a single window keeps, at most 75."""
        return sum(row.kind == TEXT and not row.cut for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class NearWord:
    """A word of the vocabulary and how near it is: the cosine, -1..1."""

    text: str
    cosine: float


@dataclass(frozen=True, kw_only=True)
class RowReport:
    """One row of an encoded prompt."""

    token: TokenRow
    norm: float
    channels: tuple[tuple[int, float], ...]  # the largest by size: (channel, value)
    near: tuple[NearWord, ...]  # words whose own output rows, each word alone, point the same way


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoding:
    """A prompt as the U-Net reads it: (77*n, D) float32, a row each token of the table.

    `empty` is the empty prompt's, of the same shape: its 77 rows for every window.
    """

    prompt: str
    model: str
    clip_skip: int
    embeds: "Floats"
    empty: "Floats"
    table: TokenTable

    @property
    def minus_empty(self) -> "Floats":
        """Return what the prompt's words change, (77*n, D)."""
        return self.embeds - self.empty

    @property
    def norms(self) -> "Floats":
        """Return the length of every row, (77*n,)."""
        return (self.embeds**2).sum(axis=1) ** 0.5

    def largest_channels(self, row: int, count: int = 8) -> tuple[tuple[int, float], ...]:
        """Return the channels of a row with the largest values by size, (channel, value) each."""
        values = self.embeds[row]
        order = abs(values).argsort(kind="stable")[::-1][:count]
        return tuple((int(channel), float(values[channel])) for channel in order)

    def rows_unlike(self, other: "Encoding") -> tuple[int, ...]:
        """Return the rows in which two prompts differ; a row that only one of them has counts."""
        shared = min(len(self.embeds), len(other.embeds))
        unlike = (self.embeds[:shared] != other.embeds[:shared]).any(axis=1).nonzero()[0].tolist()
        return (*unlike, *range(shared, max(len(self.embeds), len(other.embeds))))
