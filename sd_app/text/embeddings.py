"""Arithmetic with prompts: what a slot in braces becomes, in one of three spaces, and words near a vector.

`all`: every phrase is put in the slot's place, the whole prompt is encoded, and the expression is worked out
on these (77*n, D) tensors. `row`: the same, but only the slot's own rows of the encoder's output are taken
from it; the others are those of the prompt with the first phrase. `input`: the expression is worked out on
the phrases' token vectors, before the encoder, which then reads the result in the slot's place.

In the last two a slot has as many rows as its first phrase has tokens. A phrase of as many tokens is taken
token by token; one of another number counts with the mean of its rows.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import product
from typing import NoReturn
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..expressions import (
    Interpolation,
    Mean,
    Node,
    Scaled,
    Sum,
    Template,
    Words,
    has_slots,
    needed,
    parse_prompt,
    phrases_of,
)
from ..requests import NearWord, Token
from ..weights.pipeline import Pipeline
from . import prompts
from .learned_words import token_vectors

PARALLEL = 0.9995  # cosine from which on the arc is as good as straight, and dividing by its sine is not
WORD_BATCH = 1024  # words encoded together for the table of output rows

OnBatch = Callable[[int, int], None]

_word_rows: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[list[str], Tensor]]] = WeakKeyDictionary()


def encode(pipe: Pipeline, prompt: str, *, clip_skip: int = 1) -> Tensor:
    """Encode a prompt, with or without slots, to (1, 77*n, D)."""
    if not has_slots(prompt):
        return prompts.encode(pipe, prompt, clip_skip=clip_skip)
    return Encoder(pipe, clip_skip).encode(parse_prompt(prompt))


def encode_pair(
    pipe: Pipeline, prompt: str, negative_prompt: str, *, clip_skip: int = 1
) -> tuple[Tensor, Tensor]:
    """Encode both prompts to (1, 77*n, D) each, with n what the longer one needs."""
    if not has_slots(prompt) and not has_slots(negative_prompt):
        return prompts.encode_pair(pipe, prompt, negative_prompt, clip_skip=clip_skip)
    encoder = Encoder(pipe, clip_skip)
    templates = parse_prompt(prompt), parse_prompt(negative_prompt)
    num_chunks = max(map(encoder.count_chunks, templates))
    positive, negative = (encoder.encode(template, num_chunks) for template in templates)
    return positive, negative


MAX_WINDOWS = 1024  # that one prompt may need: some hundred MB of what Stable Diffusion 1 reads


class Encoder:
    """Encode prompts with slots; a text met twice is encoded once."""

    def __init__(self, pipe: Pipeline, clip_skip: prompts.ClipSkip = 1) -> None:
        self.pipe, self.clip_skip = pipe, clip_skip
        self._texts: dict[tuple[str, int], Tensor] = {}

    def count_chunks(self, template: Template) -> int:
        """Return how many windows a template needs.

        Raise ValueError for tables of different heights where they would be added up: an empty window to
        fill one up with is read like any other, so it would make another picture of the shorter text.
        """
        prompts.check_marked(template, self.pipe.words)
        counts = {phrases: len(self._chunk(text)) for phrases, text in self._fillings(template)}
        longest = max(counts.values())
        if longest * len(counts) > MAX_WINDOWS:
            raise ValueError(
                f"prompt must need at most {MAX_WINDOWS} windows of {prompts.CHUNK_TOKENS} tokens, and"
                f" {len(counts)} texts of up to {longest} each are {longest * len(counts):,} (use fewer"
                " phrases, or shorten it)"
            )
        if template.slots and template.space != "all":
            # Rows or vectors are put into the text of the first phrases, which alone is read as a whole.
            return len(self._chunk(template.fill(template.first_phrases)))
        if min(counts.values()) != longest:
            refuse_unequal(counts)
        return longest

    def encode(self, template: Template, num_chunks: int = 1) -> Tensor:
        """Encode a template to (1, 77*n, D), n being num_chunks or what it needs."""
        num_chunks = max(num_chunks, self.count_chunks(template))
        if not template.slots:
            return self._text(template.fill(()), num_chunks)
        if template.space == "input" and self.pipe.is_xl:
            raise ValueError(
                "prompt must not compute in the input space with SDXL, whose two text encoders have one each"
                " (use all: or row:)"
            )
        work = {"all": self._in_all, "row": self._in_rows, "input": self._in_input}[template.space]
        return work(template, num_chunks).to(self.pipe.text_encoder.dtype)

    def pool(self, template: Template) -> Tensor:
        """Return the one vector, (1, P), that SDXL also reads; of slots the same expression as in encode."""
        vector = self._fill(template, lambda text: prompts.pool_chunks(self.pipe, self._chunk(text)).float())
        return vector.to(self.pipe.text_encoder.dtype)

    def input_vectors(self, template: Template, slot: int) -> Tensor:
        """Return a slot's token vectors as the encoder reads them in the input space, (tokens, D)."""
        tokens = self._slot_tokens(template, slot, template.first_phrases[slot])

        def vectors_of(phrase: str) -> Tensor:
            return _fit(token_vectors(self.pipe, self._slot_tokens(template, slot, phrase)), len(tokens))

        return evaluate(template.slots[slot].expression, vectors_of)

    def _fillings(self, template: Template) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield phrases and the text they make, for every text that encoding the template reads."""
        if template.space == "all":
            needed_phrases = [phrases_of(needed(slot.expression)) for slot in template.slots]
            for phrases in product(*needed_phrases):
                yield phrases, template.fill(phrases)
            return
        for slot in range(len(template.slots)):
            for phrase in template.slots[slot].phrases:
                yield (str(slot), phrase), self._swapped(template, slot, phrase)

    def _in_all(self, template: Template, num_chunks: int) -> Tensor:
        return self._fill(template, lambda text: self._text(text, num_chunks).float())

    def _fill(self, template: Template, value_of: Callable[[str], Tensor]) -> Tensor:
        """Work a template out on what value_of gives for the whole text of each filling."""

        def fill(chosen: tuple[str, ...]) -> Tensor:
            if len(chosen) == len(template.slots):
                return value_of(template.fill(chosen))
            slot = template.slots[len(chosen)]
            return evaluate(needed(slot.expression), lambda phrase: fill((*chosen, phrase)))

        return fill(())

    def _in_rows(self, template: Template, num_chunks: int) -> Tensor:
        embeds = self._text(template.fill(template.first_phrases), num_chunks).float().clone()

        for number, slot in enumerate(template.slots):
            rows = self._rows(template, number, template.first_phrases[number])

            def rows_of(phrase: str, number: int = number, count: int = len(rows)) -> Tensor:
                whole = self._text(self._swapped(template, number, phrase), num_chunks).float()
                return _fit(whole[0, self._rows(template, number, phrase)], count)

            embeds[0, rows] = evaluate(slot.expression, rows_of)
        return embeds

    def _in_input(self, template: Template, num_chunks: int) -> Tensor:
        chunks = self._chunk(template.fill(template.first_phrases))
        edits: dict[int, dict[int, Tensor]] = {}
        for number, phrase in enumerate(template.first_phrases):
            tokens = self._slot_tokens(template, number, phrase)
            for token, vector in zip(tokens, self.input_vectors(template, number), strict=True):
                edits.setdefault(token.chunk, {})[token.position] = vector
        windows = []
        for number, tokens_of in enumerate([*chunks, *[[]] * (num_chunks - len(chunks))]):
            windows.append(
                prompts.encode_chunks(self.pipe, [tokens_of], self.clip_skip, edits.get(number, {}))
            )
        return torch.cat(windows, dim=1)

    def _text(self, text: str, num_chunks: int) -> Tensor:
        """Encode a text without slots to (1, 77*num_chunks, D)."""
        if (text, num_chunks) not in self._texts:
            chunks = self._chunk(text)
            chunks = [*chunks, *[[]] * (num_chunks - len(chunks))]
            self._texts[text, num_chunks] = prompts.encode_chunks(self.pipe, chunks, self.clip_skip)
        return self._texts[text, num_chunks]

    def _chunk(self, text: str) -> list[list[Token]]:
        return prompts.chunk(self.pipe.tokenizer, text, self.pipe.words)

    def _swapped(self, template: Template, slot: int, phrase: str) -> str:
        """Return the prompt with this phrase in one slot and the first phrase in the others."""
        first = template.first_phrases
        return template.fill((*first[:slot], phrase, *first[slot + 1 :]))

    def _rows(self, template: Template, slot: int, phrase: str) -> list[int]:
        window = prompts.CHUNK_TOKENS + 2
        return [t.chunk * window + t.position for t in self._slot_tokens(template, slot, phrase)]

    def _slot_tokens(self, template: Template, slot: int, phrase: str) -> list[Token]:
        """Find a phrase's tokens in a slot's place. Raise ValueError if it shares one with a neighbour."""
        before = template.fill(template.first_phrases[:slot])
        if slot:
            before += template.texts[slot]
        text = self._swapped(template, slot, phrase)
        start, end = (_flat_ids(self._chunk(part)) for part in (before, before + phrase))
        tokens = [token for tokens in self._chunk(text) for token in tokens]
        ids = _flat_ids([tokens])
        if ids[: len(end)] != end or end[: len(start)] != start or len(start) == len(end):
            raise ValueError(
                f"prompt must keep {phrase!r} apart from the words around it in the {template.space} space"
                " (put spaces around the slot, or use all:)"
            )
        return tokens[len(start) : len(end)]


def refuse_unequal(counts: Mapping[tuple[str, ...], int]) -> NoReturn:
    """Refuse phrases with which a prompt needs different numbers of windows."""
    short, long = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    names = [f"“{', '.join(phrases)[:60]}”" for phrases in (short, long)]
    raise ValueError(
        f"prompt must need as many windows of {prompts.CHUNK_TOKENS} tokens with each phrase in its place:"
        f" with {names[0]} it needs {counts[short]}, with {names[1]} {counts[long]}, and tables of different"
        " heights cannot be added up (shorten or lengthen the prompt around them, or compute in the row or"
        " input space)"
    )


def _flat_ids(chunks: list[list[Token]]) -> list[tuple[int, str, int]]:
    """Return what tells tokens apart: their ids, or whose vectors they are."""
    return [(token.id, token.learned, token.vector) for tokens in chunks for token in tokens]


def evaluate(node: Node, value_of: Callable[[str], Tensor]) -> Tensor:
    """Work an expression out; value_of gives a phrase's tensor, (..., rows, D) float32, all of one shape."""
    match node:
        case Words():
            return value_of(node.text)
        case Scaled():
            return node.factor * evaluate(node.part, value_of)
        case Interpolation():
            between = lerp if node.method == "lerp" else slerp
            return between(evaluate(node.a, value_of), evaluate(node.b, value_of), node.t)
        case Sum() | Mean():
            first, *others = (evaluate(part, value_of) for part in node.parts)
            for other in others:
                first = first + other
            return first / len(node.parts) if isinstance(node, Mean) else first


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Go the share t, 0..1, of the straight way from a to b, of one shape; exact at both ends."""
    return torch.lerp(a, b, t)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Go the share t, 0..1, of the arc from a to b, (..., D), each row on its own circle. Shoemake 1985.

    With theta the angle between two rows: (sin((1-t) theta) a + sin(t theta) b) / sin(theta). Rows that are
    nearly parallel, or opposite, have no such arc: they go straight. Exact at both ends.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1)[..., None]
    theta = torch.acos(cosine.clamp(-1, 1))
    arc = (torch.sin((1 - t) * theta) * a + torch.sin(t * theta) * b) / torch.sin(theta)
    arc = torch.where(torch.isfinite(arc), arc, torch.lerp(a, b, t))
    ends = {0.0: a, 1.0: b}  # a * sin(theta) / sin(theta) can be off by a rounding
    return torch.where(cosine.abs() > PARALLEL, torch.lerp(a, b, t), ends.get(t, arc))


@torch.no_grad()
def nearest_tokens(pipe: Pipeline, vector: Tensor, count: int = 8) -> tuple[NearWord, ...]:
    """Return the vocabulary's tokens whose input vectors are nearest to one, (D,), by cosine."""
    table = pipe.text_encoder.get_input_embeddings().weight
    names = pipe.tokenizer.convert_ids_to_tokens(range(table.shape[0]))
    return _nearest(names, table.float(), vector, count)


def nearest_words(
    pipe: Pipeline, row: Tensor, *, clip_skip: int = 1, count: int = 8, on_batch: OnBatch | None = None
) -> tuple[NearWord, ...]:
    """Return the words whose own output rows, each word encoded alone, are nearest to a row, (D,), by cosine.

    The first call of a model encodes its whole vocabulary, in windows of two tokens, and calls
    on_batch(words done, words in all), which may raise to stop it.
    """
    return _nearest(*word_rows(pipe, clip_skip, on_batch), row, count)


@torch.no_grad()
def word_rows(
    pipe: Pipeline, clip_skip: int = 1, on_batch: OnBatch | None = None
) -> tuple[list[str], Tensor]:
    """Return the vocabulary's whole words and the output row of each, encoded alone, (words, D).

    The encoder is causal, so a word's row is known once start token and word are read.
    """
    cache = _word_rows.setdefault(pipe.text_encoder, {})
    key = clip_skip, pipe.merged
    if key not in cache:
        tokenizer = pipe.tokenizer
        names = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        words = [i for i, name in enumerate(names) if name.endswith("</w>") and name[:-4].isalpha()]
        rows = []
        for first in range(0, len(words), WORD_BATCH):
            if on_batch:
                on_batch(first, len(words))
            ids = torch.tensor(words[first : first + WORD_BATCH], device=pipe.device)
            pairs = torch.stack([torch.full_like(ids, tokenizer.bos_token_id), ids], dim=1)
            rows.append(prompts.read_ids(pipe, pairs, clip_skip)[:, 1])
        cache.clear()  # one is enough to keep, and not where the pictures are made
        cache[key] = [names[i] for i in words], torch.cat(rows).half().cpu()
    return cache[key]


def _nearest(names: list[str], table: Tensor, vector: Tensor, count: int) -> tuple[NearWord, ...]:
    cosines = torch.nn.functional.cosine_similarity(
        table.float(), vector.to(table.device).float()[None], dim=1
    )
    values, indices = cosines.nan_to_num(-1.0).topk(min(count, len(names)))
    return tuple(
        NearWord(text=names[index].removesuffix("</w>"), cosine=value)
        for value, index in zip(values.tolist(), indices.tolist(), strict=True)
    )


def _fit(rows: Tensor, count: int) -> Tensor:
    """Bring a phrase's rows, (k, D), to a slot's number: as they are, or their mean in every row."""
    return rows if len(rows) == count else rows.mean(dim=0, keepdim=True).expand(count, -1)
