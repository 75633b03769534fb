"""From a prompt to the numbers the U-Net reads: weights, tokens, chunks of 75, embeddings.

The syntax is AUTOMATIC1111's: `(a)` weighs 1.1, `[a]` 1/1.1, `(a:1.2)` 1.2, nesting multiplies, `\\(` is a
plain bracket, `BREAK` starts a new chunk. All of it takes time linear in the prompt's length.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from ..addons import NO_WORDS, LearnedWord, WordBook
from ..expressions import Template, iterate_words, parse_prompt, place_text
from ..expressions.tags import remove_tags
from ..requests import CHUNK_TOKENS, Token, TokenReport, TokenRow, TokenTable
from ..requests.text import END, PADDING, START
from ..weights.caches import fingerprint, recall
from ..weights.pipeline import Pipeline
from .learned_words import learned_vectors, replaced_vectors

BRACKET = 1.1
MAX_WEIGHT = 100.0  # a thousand nested brackets would overflow
COMMA_LOOKBACK = 20  # a full chunk ends at a comma if one of its last 20 tokens is one

ClipSkip = int | tuple[int, ...]  # the layer that is read, counted from the last; or that of each encoder

_MARKUP = re.compile(r"\\[()\[\]\\]|\\|[(\[\])]|:\s*[+-]?[.\d]+\s*\)|:|[^\\()\[\]:]+")
_EXPLICIT = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)")
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A run of text of one weight. `text` None is a BREAK."""

    text: str | None
    weight: float = 1.0


def parse(prompt: str) -> list[Piece]:
    """Split a prompt into weighted runs. Unclosed brackets reach to the end; unopened ones are text.

    LoRA tags are no words and leave no trace.
    """
    marks = _MARKUP.findall(remove_tags(prompt))
    factors = _opening_factors(marks)
    # Round and square brackets may overlap, as in "(a [b) c]", so each kind has a stack of its own.
    rounds, squares = [1.0], [1.0]
    pieces: list[Piece] = []
    for index, mark in enumerate(marks):
        if mark == "(":
            rounds.append(rounds[-1] * factors[index])
        elif mark == "[":
            squares.append(squares[-1] * factors[index])
        elif mark == "]" and len(squares) > 1:
            squares.pop()
        elif _closes_round(mark) and len(rounds) > 1:
            if mark[0] == ":" and not _EXPLICIT.fullmatch(mark):
                _add_text(pieces, mark[:-1], rounds[-1] * squares[-1])
            rounds.pop()
        else:
            text = mark[1:] if mark[0] == "\\" else mark
            _add_text(pieces, text, rounds[-1] * squares[-1])
    return pieces


def chunk(tokenizer: CLIPTokenizer, prompt: str, words: WordBook = NO_WORDS) -> list[list[Token]]:
    """Cut a prompt into chunks of at most 75 tokens; there is always at least one.

    A learned word has as many tokens as vectors, all in one chunk. Raise ValueError for another family's.
    """
    runs = [
        (run, piece.weight)
        for piece in parse(prompt)
        for run in ([None] if piece.text is None else words.split(piece.text))
    ]
    encoded = iter(_encode_texts(tokenizer, [run for run, _ in runs if isinstance(run, str)]))
    chunks: list[list[Token]] = [[]]
    for run, weight in runs:
        if run is None:
            chunks.append([])
        elif isinstance(run, str):
            for token_id, text, ends_word in next(encoded):
                if len(chunks[-1]) == CHUNK_TOKENS:
                    chunks.append(_cut_after_comma(chunks[-1], text))
                token = Token(text=text, id=token_id, position=0, chunk=0, weight=weight, ends_word=ends_word)
                chunks[-1].append(token)
        else:
            tokens = _learned_tokens(*run, weight)
            if len(chunks[-1]) + len(tokens) > CHUNK_TOKENS:
                chunks.append([])
            chunks[-1] += tokens
    if len(chunks) > 1 and not chunks[-1]:
        chunks.pop()  # a BREAK at the end starts nothing
    return [_numbered(tokens, number) for number, tokens in enumerate(chunks)]


def tokenize(tokenizer: CLIPTokenizer, prompt: str, words: WordBook = NO_WORDS) -> TokenReport:
    """Report how a prompt is read: its tokens, their windows and weights. No weights of a model needed."""
    chunks = _placed_chunks(tokenizer, prompt, words)
    tokens = tuple(token for tokens in chunks for token in tokens)
    return TokenReport(tokens=tokens, num_chunks=len(chunks), count=len(tokens))


def token_table(
    tokenizer: CLIPTokenizer, prompt: str, words: WordBook = NO_WORDS, *, num_chunks: int = 1
) -> TokenTable:
    """List every row the model reads for a prompt: of each window start token, tokens, end token, padding.

    There are at least `num_chunks` windows.
    """
    chunks = _placed_chunks(tokenizer, prompt, words)
    chunks += [[]] * (num_chunks - len(chunks))
    rows: list[TokenRow] = []
    count = 0
    for number, tokens in enumerate(chunks):
        rows.append(_mark(tokenizer.bos_token_id, START, 0, number))
        for token in tokens:
            rows.append(TokenRow(**vars(token), cut=count >= CHUNK_TOKENS))
            count += 1
        rows.append(_mark(tokenizer.eos_token_id, END, len(tokens) + 1, number))
        rows += [
            _mark(tokenizer.pad_token_id, PADDING, position, number)
            for position in range(len(tokens) + 2, CHUNK_TOKENS + 2)
        ]
    return TokenTable(rows=tuple(rows), num_chunks=len(chunks))


def encode_pair(
    pipe: Pipeline, prompt: str, negative_prompt: str, *, clip_skip: int = 1
) -> tuple[Tensor, Tensor]:
    """Encode both prompts to (1, 77*n, D) each, with n what the longer one needs."""
    chunks, negative_chunks = (chunk(pipe.tokenizer, text, pipe.words) for text in (prompt, negative_prompt))
    num_chunks = max(len(chunks), len(negative_chunks))
    return tuple(  # type: ignore[return-value]
        encode_chunks(pipe, [*part, *[[]] * (num_chunks - len(part))], clip_skip)
        for part in (chunks, negative_chunks)
    )


def encode(pipe: Pipeline, prompt: str, *, clip_skip: int = 1) -> Tensor:
    """Encode one prompt to (1, 77*n, D); without weights and below 76 tokens as the pipeline itself does."""
    return encode_chunks(pipe, chunk(pipe.tokenizer, prompt, pipe.words), clip_skip)


@torch.no_grad()
def encode_chunks(
    pipe: Pipeline, chunks: list[list[Token]], clip_skip: ClipSkip, edits: dict[int, Tensor] | None = None
) -> Tensor:
    """Encode n chunks to (1, 77*n, D), each in a window of its own; a window met before is not read again.

    `edits` are token vectors, (D,) by position, that the first encoder reads instead of the tokens' own.
    Of two text encoders, each reads and weighs for itself; D counts both, side by side (Podell et al. 2023).
    """
    # One window at a time: a batch of windows would round differently from the same window alone.
    sides = [
        torch.cat(
            [
                _weigh(_encode_window(pipe, index, tokens, _skip_of(clip_skip, index), edits or {}), tokens)
                for tokens in chunks
            ],
            dim=1,
        )
        for index in range(len(pipe.text_encoders))
    ]
    return torch.cat(sides, dim=-1).to(dtype=pipe.text_encoder.dtype)


def _skip_of(clip_skip: ClipSkip, index: int) -> int:
    return clip_skip if isinstance(clip_skip, int) else clip_skip[index]


@torch.no_grad()
def pool_chunks(pipe: Pipeline, chunks: list[list[Token]]) -> Tensor:
    """Return the one vector, (1, P), that SDXL's second text encoder makes of a prompt's first chunk.

    Neither weights nor clip_skip count in it, as in AUTOMATIC1111.
    """
    ids, text_encoder = _window_ids(pipe.tokenizers[1], chunks[0]), pipe.text_encoders[1]
    vectors = learned_vectors(pipe, chunks[0], 1)

    def read() -> Tensor:
        with replaced_vectors(text_encoder, vectors):
            pooled: Tensor = text_encoder(_batch_of_one(pipe, ids)).text_embeds
        return pooled.to(dtype=pipe.text_encoder.dtype)

    return recall(text_encoder, ("pooled", ids, _named(vectors), pipe.merged), read)


def _window_ids(tokenizer: CLIPTokenizer, tokens: list[Token]) -> tuple[int, ...]:
    """Return the 77 ids of one window: start token, tokens, end token, padding."""
    padding = [tokenizer.pad_token_id] * (CHUNK_TOKENS - len(tokens))
    return (tokenizer.bos_token_id, *(token.id for token in tokens), tokenizer.eos_token_id, *padding)


def _batch_of_one(pipe: Pipeline, ids: tuple[int, ...]) -> Tensor:
    return torch.tensor([ids], device=pipe.device)


def _named(vectors: dict[int, Tensor]) -> Hashable:
    """Return what tells replaced token vectors apart."""
    return tuple((position, fingerprint(vector)) for position, vector in sorted(vectors.items()))


def _encode_window(
    pipe: Pipeline, index: int, tokens: list[Token], clip_skip: int, edits: dict[int, Tensor]
) -> Tensor:
    """Encode one window with text encoder 0 or 1 to (1, 77, D)."""
    ids = _window_ids(pipe.tokenizers[index], tokens)
    text_encoder = pipe.text_encoders[index]
    vectors = learned_vectors(pipe, tokens, index) | ({} if index else edits)

    def read() -> Tensor:
        input_ids, mask = _batch_of_one(pipe, ids), None
        if getattr(text_encoder.config, "use_attention_mask", False):
            mask = (torch.arange(input_ids.shape[1], device=input_ids.device) < len(tokens) + 2).long()[None]
        with replaced_vectors(text_encoder, vectors):
            return _run(text_encoder, input_ids, mask, clip_skip, is_xl=pipe.is_xl)

    # Padding can be the end token's id, so the ids alone do not tell how many tokens the mask lets through.
    key = ("rows", ids, len(tokens), clip_skip, _named(vectors), pipe.merged)
    return recall(text_encoder, key, read)


@torch.no_grad()
def read_ids(pipe: Pipeline, input_ids: Tensor, clip_skip: int) -> Tensor:
    """Return the output rows of (B, L) token ids, (B, L, D), of all text encoders side by side."""
    rows = [_run(one, input_ids, None, clip_skip, is_xl=pipe.is_xl) for one in pipe.text_encoders]
    return torch.cat(rows, dim=-1)


def _run(
    text_encoder: CLIPTextModel, input_ids: Tensor, mask: Tensor | None, clip_skip: int, *, is_xl: bool
) -> Tensor:
    """Return the output rows of (B, L) token ids, (B, L, D), of the layer clip_skip asks for.

    SDXL was trained on the last layer but one, not normalised: 1 and 2 both mean that one, as people who
    come from AUTOMATIC1111 expect, and only 3 and more go further back.
    """
    if is_xl:
        clip_skip = max(clip_skip, 2)
    if clip_skip == 1:
        return text_encoder(input_ids, attention_mask=mask)[0]
    num_layers = text_encoder.config.num_hidden_layers
    if clip_skip > num_layers:
        raise ValueError(
            f"clip_skip must be at most {num_layers} for this model's text encoder, got {clip_skip}"
        )
    output = text_encoder(input_ids, attention_mask=mask, output_hidden_states=True)
    if is_xl:
        return output.hidden_states[-clip_skip]
    final_layer_norm = getattr(text_encoder, "text_model", text_encoder).final_layer_norm
    return final_layer_norm(output.hidden_states[-clip_skip])


def _weigh(embeds: Tensor, tokens: list[Token]) -> Tensor:
    """Multiply each token's row by its weight, then restore the window's old mean, as AUTOMATIC1111 does.

    The mean is left alone where it is noise beside the values: dividing by it could turn signs around.
    """
    if all(token.weight == 1 for token in tokens):
        return embeds
    weights = torch.ones(embeds.shape[1], device=embeds.device)
    weights[1 : len(tokens) + 1] = torch.tensor([token.weight for token in tokens], device=embeds.device)
    weighted = embeds.float() * weights[None, :, None]
    old_mean, new_mean, spread = embeds.float().mean(), weighted.mean(), embeds.float().std()
    meaningful = (old_mean.abs() > 0.02 * spread) & (old_mean * new_mean > 0.25 * old_mean**2)
    scale = torch.where(meaningful, old_mean / new_mean, torch.ones_like(old_mean))
    return (weighted * scale).to(embeds.dtype)


def _placed_chunks(tokenizer: CLIPTokenizer, prompt: str, words: WordBook) -> list[list[Token]]:
    """Cut a prompt, of its slots the first phrases. Raise ValueError for an unknown word in a slot."""
    check_marked(parse_prompt(prompt), words)
    return chunk(tokenizer, place_text(prompt), words)


def check_marked(template: Template, words: WordBook) -> None:
    """Raise ValueError if an expression holds a `<word>` that is not there."""
    for slot in template.slots:
        for phrase in iterate_words(slot.expression):
            words.check_marked(phrase.marked)


def _learned_tokens(word: LearnedWord, text: str, weight: float) -> list[Token]:
    """Return a learned word's tokens, one a vector. Their id is none that ends a prompt."""
    last = word.num_vectors - 1
    return [
        Token(
            text="" if vector else text,
            id=0,
            position=0,
            chunk=0,
            weight=weight,
            ends_word=vector == last,
            learned=word.name,
            vector=vector,
        )
        for vector in range(word.num_vectors)
    ]


def _mark(token_id: int, kind: str, position: int, chunk_number: int) -> TokenRow:
    return TokenRow(text="", id=token_id, position=position, chunk=chunk_number, kind=kind)


def _closes_round(mark: str) -> bool:
    return mark == ")" or (mark[0] == ":" and mark[-1] == ")")


def _opening_factors(marks: list[str]) -> dict[int, float]:
    """Match the brackets: what each opening one multiplies by, by its index among the marks."""
    factors: dict[int, float] = {}
    open_rounds: list[int] = []
    for index, mark in enumerate(marks):
        if mark == "(":
            factors[index] = BRACKET
            open_rounds.append(index)
        elif mark == "[":
            factors[index] = 1 / BRACKET
        elif _closes_round(mark) and open_rounds:
            opening = open_rounds.pop()
            if explicit := _EXPLICIT.fullmatch(mark):
                factors[opening] = float(explicit[1])
    return factors


def _add_text(pieces: list[Piece], text: str, weight: float) -> None:
    """Append text, with BREAK as a piece of its own; equal weights are joined, so words stay whole."""
    weight = max(-MAX_WEIGHT, min(MAX_WEIGHT, weight))
    for number, part in enumerate(_BREAK.split(text)):
        if number:
            pieces.append(Piece(text=None))
        if pieces and pieces[-1].text is not None and pieces[-1].weight == weight:
            pieces[-1] = Piece(text=pieces[-1].text + part, weight=weight)
        elif part:
            pieces.append(Piece(text=part, weight=weight))


def _encode_texts(tokenizer: CLIPTokenizer, texts: list[str]) -> list[list[tuple[int, str, bool]]]:
    """Tokenise each text to (id, text as written, ends a word)."""
    if not texts:
        return []
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        return_offsets_mapping=True,
        split_special_tokens=True,  # a typed <|endoftext|> is text, not an order
        verbose=False,  # more than 77 tokens are what chunks are for
    )
    results = []
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        row, done = [], 0
        names = tokenizer.convert_ids_to_tokens(ids)
        for token_id, name, (start, end) in zip(ids, names, offsets, strict=True):
            # The bytes of one character can be several tokens: the first one shows it.
            row.append((token_id, text[max(start, done) : end], name.endswith("</w>")))
            done = max(done, end)
        results.append(row)
    return results


def _cut_after_comma(tokens: list[Token], next_text: str) -> list[Token]:
    """Shorten a full chunk to its last comma if that is near; return what moves to the next chunk."""
    if next_text == ",":
        return []
    for index in range(len(tokens) - 1, len(tokens) - 1 - COMMA_LOOKBACK, -1):
        if tokens[index].text == ",":
            moved = tokens[index + 1 :]
            del tokens[index + 1 :]
            return moved
    return []


def _numbered(tokens: list[Token], chunk_number: int) -> list[Token]:
    return [replace(token, position=at, chunk=chunk_number) for at, token in enumerate(tokens, start=1)]
