"""The words of a prompt as people count them, and what the prompt is without each, or with another instead.

A word is a run of letters and digits (`medium-sized`, `don't`, `2026` are one each), a learned word, or a
slot in braces as a whole; punctuation, weights, LoRA tags and the signs of prompt editing are none. Whether a
place holds a word is found out by taking it away: the texts that are then read at each step must be those of
before without some of their tokens, at the same weights. So no reading of the syntax is written twice.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from transformers import CLIPTokenizer

from ..addons import WordBook, words_of
from ..catalog import find_model
from ..expressions import place_text
from ..expressions.editing import Reading, readings
from ..expressions.parser import Parser
from ..expressions.tags import TAG
from ..requests import Token
from ..text.prompts import chunk
from .look import Look

MAX_WORDS = 100  # of one prompt that are looked into: each costs a row of several calls of the U-Net

WORD, LEARNED, SLOT = "word", "learned word", "slot"

# Letters and digits with what stands inside words, or signs that ASCII does not have, as emoji.
_WORDLIKE = re.compile(r"\w+(?:['’.\-]\w+)*|[^\w\s!-/:-@\[-`{-~]+")


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What taking a word out of the prompt does to one of the texts that are read."""

    text: str  # with the word
    shorter: str  # without it
    first: int  # of its tokens, counted in the whole text
    count: int


@dataclass(frozen=True, kw_only=True)
class PromptWord:
    """A word of a prompt, at one place: the same word elsewhere is another one."""

    text: str  # as it is written
    start: int  # of the prompt's characters
    end: int
    kind: str = WORD
    taken: tuple[Taken, ...] = ()  # of each text that holds it
    times: int = 1  # how often it has stood in the prompt up to here

    @property
    def label(self) -> str:
        """Return what tells the word from others: of one that stands twice the second is "on (2)"."""
        return self.text if self.times == 1 else f"{self.text} ({self.times})"

    def taken_from(self, text: str) -> Taken | None:
        """Return what it is in one of the texts; None where that one does not hold it."""
        return next((taken for taken in self.taken if taken.text == text), None)


@dataclass(frozen=True, kw_only=True)
class FoundWords:
    """The words of a prompt in their order."""

    words: tuple[PromptWord, ...]
    left_out: tuple[str, ...] = ()  # what is read as well, and is none of them
    too_many: bool = False  # the prompt has more words

    def only(self, *labels: str) -> "FoundWords":
        """Return some of the words. Raise ValueError for one that is not there."""
        for label in labels:
            if label not in [word.label for word in self.words]:
                raise ValueError(f"word must be one of the prompt, got {label[:80]}")
        return FoundWords(words=tuple(word for word in self.words if word.label in labels))

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what was left out, if it was anything."""
        if self.too_many:
            last = self.words[-1].label
            return (
                f"Only the first {len(self.words)} words are looked into, up to {last}: each costs calls.",
            )
        if not self.left_out:
            return ()
        shown = ", ".join(self.left_out[:8]) + (", ..." if len(self.left_out) > 8 else "")
        return (f"Not taken out on their own: {shown}.",)


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptReader:
    """How a model reads a prompt, or a negative one, in a run of so many steps of the schedule."""

    tokenizer: CLIPTokenizer
    book: WordBook
    steps: int
    negative: bool = False

    @cached_property
    def _known(self) -> dict[str, list[list[Token]]]:
        return {}

    @property
    def name(self) -> str:
        """Return the field."""
        return "negative_prompt" if self.negative else "prompt"

    def read(self, prompt: str) -> tuple[Reading, ...]:
        """Return what is read at each step."""
        return readings(prompt, self.steps, self.name, joins=not self.negative)

    def windows(self, text: str) -> list[list[Token]]:
        """Return a text's tokens by window; of slots those of the first phrases, which hold their places."""
        if text not in self._known:
            self._known[text] = chunk(self.tokenizer, place_text(text), self.book)
        return self._known[text]

    def tokens(self, text: str) -> list[Token]:
        """Return all tokens of a text."""
        return [token for window in self.windows(text) for token in window]

    def windows_without(self, taken: Taken) -> list[list[Token]]:
        """Return a text's windows without a word; every other token stays in its own window."""
        gone = range(taken.first, taken.first + taken.count)
        windows: list[list[Token]] = []
        count = 0
        for window in self.windows(taken.text):
            kept = [token for number, token in enumerate(window, count) if number not in gone]
            windows.append([replace(token, position=at) for at, token in enumerate(kept, 1)])
            count += len(window)
        return windows


def reader_of(look: Look, *, negative: bool = False) -> PromptReader:
    """Return how a recorded run read its prompt. Needs the model's tokenizer alone, no weights."""
    request, settings = look.request, look.manager.settings
    info = find_model(settings, request.model)
    assert request.num_inference_steps is not None
    return PromptReader(
        tokenizer=look.manager.tokenizer(info.name),
        book=words_of(settings, info.family, request.prompt),
        steps=request.num_inference_steps,
        negative=negative,
    )


def words_in(look: Look, *, negative: bool = False) -> FoundWords:
    """Find the words of a recorded request's prompt. Raise ValueError if the model is not here any more."""
    prompt = look.request.negative_prompt if negative else look.request.prompt
    return find_words(reader_of(look, negative=negative), prompt)


def find_words(reader: PromptReader, prompt: str, *, most: int = MAX_WORDS, only: str = "") -> FoundWords:
    """Find the words of a prompt, or those of one kind. Raise ValueError for a prompt that cannot be read."""
    read = reader.read(prompt)
    words: list[PromptWord] = []
    done: dict[str, int] = {}  # by text: its first token that no word has yet
    too_many = False
    for start, end, kind in places(prompt, reader.book):
        if only not in ("", kind):
            continue
        taken = _take(reader, read, without(prompt, start, end), done)
        if not taken:
            continue
        if len(words) == most:
            too_many = True
            break
        done |= {each.text: each.first + each.count for each in taken}
        text = prompt[start:end]
        times = 1 + sum(word.text == text for word in words)
        words.append(PromptWord(text=text, start=start, end=end, kind=kind, taken=taken, times=times))
    left_out = _left_out(reader, read, words)
    return FoundWords(words=tuple(words), left_out=left_out, too_many=too_many)


def places(prompt: str, book: WordBook) -> Iterator[tuple[int, int, str]]:
    """Yield where words may stand in a prompt: (start, end, kind)."""
    at = begin = 0
    while at < len(prompt):
        tag = TAG.match(prompt, at) if prompt[at] == "<" else None
        if prompt[at] == "{":
            end, kind = Parser("prompt", prompt, at + 1).slot()[1], SLOT
        elif tag:
            end, kind = tag.end(), ""
        else:
            at += 2 if prompt[at] == "\\" else 1
            continue
        yield from _places_in_text(prompt, begin, at, book)
        if kind:
            yield at, end, kind
        begin = at = end
    yield from _places_in_text(prompt, begin, len(prompt), book)


def _places_in_text(prompt: str, start: int, end: int, book: WordBook) -> Iterator[tuple[int, int, str]]:
    at = start
    for run in book.split(prompt[start:end]):
        text = run if isinstance(run, str) else run[1]
        if isinstance(run, str):
            for match in _WORDLIKE.finditer(text):
                yield at + match.start(), at + match.end(), WORD
        else:
            yield at, at + len(text), LEARNED
        at += len(text)


def without(prompt: str, start: int, end: int) -> str:
    """Return a prompt without its characters start..end-1; what stands on both sides stays apart."""
    return with_other(prompt, start, end, "")


def with_other(prompt: str, start: int, end: int, other: str) -> str:
    """Return a prompt with another text, or none, in the place of its characters start..end-1."""
    before, after = prompt[:start], prompt[end:]
    if other.strip():
        return before + other.strip() + after
    if after[:1].isspace() and (not before or before[-1].isspace()):
        return before + after[1:]
    apart = bool(before) and bool(after) and not before[-1].isspace() and not after[0].isspace()
    return before + (" " if apart else "") + after


def _take(
    reader: PromptReader, read: Sequence[Reading], prompt: str, done: dict[str, int]
) -> tuple[Taken, ...]:
    """Return what a shorter prompt lacks in each text; nothing where it differs otherwise."""
    try:
        shorter = reader.read(prompt)
        pairs: set[tuple[str, str]] = set()
        for one, other in zip(read, shorter, strict=True):
            if one.weights != other.weights:
                return ()
            pairs.update(zip(one.texts, other.texts, strict=True))
        taken = [_gap(reader, text, rest, done.get(text, 0)) for text, rest in sorted(pairs) if text != rest]
    except ValueError:  # what is left cannot be read, or it differs by more than a word
        return ()
    return tuple(each for each in taken if each.count)


def _gap(reader: PromptReader, text: str, shorter: str, done: int) -> Taken:
    """Find the tokens that a text has and a shorter one lacks. Raise ValueError if it differs otherwise."""
    whole, rest = ([_meaning(token) for token in reader.tokens(one)] for one in (text, shorter))
    count = len(whole) - len(rest)
    if count >= 0:
        for first in range(min(done, len(rest)), len(rest) + 1):
            if whole[:first] == rest[:first] and whole[first + count :] == rest[first:]:
                return Taken(text=text, shorter=shorter, first=first, count=count)
    raise ValueError("more than a word was taken")


def _meaning(token: Token) -> tuple[object, ...]:
    return token.id, token.learned, token.vector, token.weight


def _left_out(reader: PromptReader, read: Sequence[Reading], words: Sequence[PromptWord]) -> tuple[str, ...]:
    """Return the tokens with letters or digits that no word holds, as they are written."""
    found: dict[str, None] = {}
    for text in dict.fromkeys(text for reading in read for text in reading.texts):
        held = {
            number
            for word in words
            if (taken := word.taken_from(text))
            for number in range(taken.first, taken.first + taken.count)
        }
        for number, token in enumerate(reader.tokens(text)):
            if number not in held and any(character.isalnum() for character in token.text):
                found[token.text] = None
    return tuple(found)
