"""A prompt as the model reads it. Plain data."""

from dataclasses import dataclass

CHUNK_TOKENS = 75  # tokens of text in one 77-token window of CLIP, without its start and end marks


@dataclass(frozen=True, kw_only=True)
class Token:
    """One piece of a prompt as the model reads it."""

    text: str  # as written, without the tokenizer's end-of-word mark
    id: int
    position: int  # in its 77-token window; 0 is the start mark, so the first token has 1
    chunk: int  # window it is in, from 0
    weight: float = 1.0
    ends_word: bool = True  # False: the next token continues the same word


@dataclass(frozen=True, kw_only=True)
class TokenReport:
    """A prompt cut into tokens, start mark, end mark and padding left out."""

    tokens: tuple[Token, ...]
    num_chunks: int
    count: int  # tokens in all
    limit: int = CHUNK_TOKENS  # tokens a chunk holds

    def chunk_tokens(self, chunk: int) -> tuple[Token, ...]:
        """Return the tokens of one window; those of chunk 1 and later are past the model's 77 positions."""
        return tuple(token for token in self.tokens if token.chunk == chunk)

    def chunk_text(self, chunk: int) -> str:
        """Return one window's words, to show where a long prompt is divided."""
        return "".join(t.text + (" " if t.ends_word else "") for t in self.chunk_tokens(chunk)).rstrip()
