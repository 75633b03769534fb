r"""Prompts that change on the way, and prompts joined by AND: taken apart into the texts that are read.

    [from:to:when]  `from` until step `when`, then `to`; [to:when] and [from::when] leave one of them empty
    [a|b|c]         in turns, one a step
    a AND b:0.7     two prompts at once, the second with weight 0.7 (Liu et al. 2022, composable diffusion)

As in AUTOMATIC1111 1.6 and later: a `when` with a point in it is a share of all steps, one without a number
of steps; `[from:to:8]` reads `from` in steps 1 to 8. Steps are the sampler's, not the U-Net's calls, counted
from the first that is run. Brackets may lie in each other; what they cannot be read as stays text, and `[a]`
alone weakens. Slots in braces, tags and escaped characters are never looked into. All of it is linear in the
prompt's length. No torch.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from .parser import Parser
from .tags import TAG
from .template import parse_prompt

MAX_TEXTS_READ = 64  # different texts that one run may read
MAX_JOINED = 16  # prompts joined by AND
MAX_NESTED = 32  # switches and turns in each other
MAX_JOIN_WEIGHT = 100.0

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_JOIN = re.compile(r"\bAND\b")
_JOIN_WEIGHT = re.compile(r"(?<!\\):\s*([+-]?(?:\d+\.?|\d*\.\d+))\s*$")
_PLAIN = re.compile(r"[^\\{<\[\]():|]+")
_PAIRS = {")": "(", "]": "["}


@dataclass(frozen=True, kw_only=True)
class Switch:
    """`before` until a step, `after` from then on."""

    before: "Pieces"
    after: "Pieces"
    when: str  # as it is written

    def last_step(self, steps: int) -> int:
        """Return the last step that reads `before`, 0 for none."""
        share = float(self.when) * steps if "." in self.when else float(self.when)
        return int(max(0.0, min(float(steps), share)))


@dataclass(frozen=True, kw_only=True)
class Turns:
    """One of several after another, another one at each step."""

    options: tuple["Pieces", ...]


Piece: TypeAlias = str | Switch | Turns
Pieces: TypeAlias = tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """One of the prompts that AND joins."""

    pieces: Pieces
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read at a step: texts without any of this syntax, and the weight of each."""

    texts: tuple[str, ...]
    weights: tuple[float, ...] = (1.0,)

    @property
    def is_plain(self) -> bool:
        """Tell whether it is one text, as it is."""
        return self.weights == (1.0,)


def readings(prompt: str, steps: int, name: str = "prompt", *, joins: bool = True) -> tuple[Reading, ...]:
    """Return what is read at each of `steps` steps; equal steps share one Reading.

    Without `joins`, as in a negative prompt, AND is a word. Parts of weight 0 are left out, since they count
    for nothing. Raise ExpressionError for a bad slot, ValueError for more than MAX_TEXTS_READ texts.
    """
    parts = parse_joined(prompt, name) if joins else (Joined(pieces=parse_editing(prompt, name)),)
    parts = tuple(part for part in parts if part.weight) or parts[:1]
    weights = tuple(part.weight for part in parts)
    known: dict[tuple[str, ...], Reading] = {}
    found = []
    changing = any(not isinstance(piece, str) for part in parts for piece in part.pieces)
    for step in range(1, steps + 1 if changing else 2):
        texts = tuple(_text(part.pieces, step, steps) for part in parts)
        found.append(known.setdefault(texts, Reading(texts=texts, weights=weights)))
        if len(known) > MAX_TEXTS_READ:
            raise ValueError(
                f"{name} must become at most {MAX_TEXTS_READ} different texts in one run, and it becomes more"
                f" in {steps} steps (use fewer [a|b] that take turns at different lengths)"
            )
    return tuple(found) if changing else tuple(found) * steps


def check_texts(prompt: str, steps: int, name: str = "prompt", *, joins: bool = True) -> None:
    """Raise ValueError for a slot that cannot be read in one of the texts that a prompt becomes."""
    for reading in dict.fromkeys(readings(prompt, steps, name, joins=joins)):
        for text in reading.texts:
            parse_prompt(text, name)


def changes(prompt: str, name: str = "prompt", *, joins: bool = True) -> bool:
    """Tell whether a prompt holds any of this syntax. Raise ExpressionError for a bad slot."""
    if joins and len(parse_joined(prompt, name)) > 1:
        return True
    return any(not isinstance(piece, str) for piece in parse_editing(prompt, name))


def refuse_changing(name: str, prompt: str) -> None:
    """Raise ValueError for a prompt that is more than one text where one is looked into."""
    if not changes(prompt, name):
        return
    first = readings(prompt, 2, name)[0].texts[0].strip()
    raise ValueError(
        f"{name} must be one text to be looked into, and this one is several: in turns, after each other or"
        f" joined by AND (take one of them, for instance {first[:200] or 'the empty one'})"
    )


def every_switch(prompt: str, *, joins: bool = True) -> Iterator[Switch | Turns]:
    """Yield every switch and every place of turns, those inside others too."""
    parts = parse_joined(prompt) if joins else (Joined(pieces=parse_editing(prompt)),)
    for part in parts:
        yield from _inside(part.pieces)


def keep_old_reading(prompt: str, *, joins: bool = True) -> str:
    r"""Return the prompt that is read today as versions before 0.3 read this one: without this syntax.

    The signs that part a switch or turns get a backslash, which was read as nothing then, too; AND becomes
    small, which to CLIP is the same.
    """
    if joins:
        for start, _ in _joined_spans(prompt)[1:]:
            prompt = f"{prompt[: start - 3]}and{prompt[start:]}"
    # Only now: a bracket that AND would have cut is one again.
    for place in sorted(_read(prompt, "prompt").separators, reverse=True):
        prompt = f"{prompt[:place]}\\{prompt[place:]}"
    return prompt


@lru_cache(maxsize=256)
def parse_joined(prompt: str, name: str = "prompt") -> tuple[Joined, ...]:
    """Take a prompt apart at AND. Only then is a number behind a last colon a weight."""
    spans = _joined_spans(prompt, name)
    if len(spans) == 1:
        return (Joined(pieces=parse_editing(prompt, name)),)
    if len(spans) > MAX_JOINED:
        raise ValueError(
            f"{name} must join at most {MAX_JOINED} prompts by AND, got {len(spans)} (join fewer, or write"
            " and in small letters for the word)"
        )
    found = []
    for start, end in spans:
        text, weight = prompt[start:end], 1.0
        if match := _JOIN_WEIGHT.search(text):
            text, weight = text[: match.start()], float(match[1])
        if abs(weight) > MAX_JOIN_WEIGHT:
            raise ValueError(
                f"{name} must weigh each part of AND by {-MAX_JOIN_WEIGHT:g} to {MAX_JOIN_WEIGHT:g}, got"
                f" {weight:g} (usual is 0.3 to 1.5)"
            )
        found.append(Joined(pieces=parse_editing(text, name), weight=weight))
    return tuple(found)


@lru_cache(maxsize=256)
def parse_editing(prompt: str, name: str = "prompt") -> Pieces:
    """Take one prompt apart at its switches and turns."""
    return _read(prompt, name).pieces if "[" in prompt else (prompt,)


def _text(pieces: Pieces, step: int, steps: int) -> str:
    """Return the text of a step, counted from 1."""
    text = ""
    for piece in pieces:
        if isinstance(piece, Switch):
            piece = _text(piece.before if step <= piece.last_step(steps) else piece.after, step, steps)
        elif isinstance(piece, Turns):
            piece = _text(piece.options[(step - 1) % len(piece.options)], step, steps)
        text += piece
    return text


def _inside(pieces: Pieces) -> Iterator[Switch | Turns]:
    for piece in pieces:
        if isinstance(piece, str):
            continue
        yield piece
        for inner in (piece.before, piece.after) if isinstance(piece, Switch) else piece.options:
            yield from _inside(inner)


# -- from text to pieces


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """A bracket, colon or bar that may part the text, or (`is_text`) a stretch without any."""

    text: str
    at: int
    is_text: bool


@dataclass(kw_only=True)
class _Open:
    """A bracket that is not closed yet, and what stands in it: segments, parted by colons and bars."""

    bracket: str = ""
    segments: list[list[Piece]] = field(default_factory=lambda: [[]])
    parted_by: list[_Mark] = field(default_factory=list)
    depth: int = 0  # of the switches and turns inside

    def add(self, piece: Piece) -> None:
        """Append to the last segment; texts grow together."""
        last = self.segments[-1]
        if isinstance(piece, str) and last and isinstance(last[-1], str):
            last[-1] += piece
        elif piece != "":
            last.append(piece)

    def part(self, mark: _Mark) -> None:
        self.parted_by.append(mark)
        self.segments.append([])

    def whole(self) -> Iterator[Piece]:
        """Yield what stands in it with what parts it as text."""
        yield from self.segments[0]
        for mark, segment in zip(self.parted_by, self.segments[1:], strict=True):
            yield mark.text
            yield from segment


@dataclass(kw_only=True)
class _Read:
    """A prompt taken apart, and where the signs stand that parted it."""

    pieces: Pieces
    separators: list[int]


def _read(prompt: str, name: str) -> _Read:
    """Match the brackets. A bracket that is not matched within its neighbours makes them text, too."""
    separators: list[int] = []
    stack = [_Open()]
    for mark in _marks(prompt, name):
        if mark.is_text:
            stack[-1].add(mark.text)
        elif mark.text in "([":
            stack.append(_Open(bracket=mark.text))
        elif mark.text in ":|":
            if len(stack) > 1:
                stack[-1].part(mark)
            else:
                stack[-1].add(mark.text)
        elif stack[-1].bracket == _PAIRS[mark.text] and (piece := _closed(stack[-1], separators)):
            inside = stack.pop()
            depth = inside.depth + isinstance(piece, Switch | Turns)
            if depth > MAX_NESTED:
                raise ValueError(
                    f"{name} must nest at most {MAX_NESTED} [from:to:when] or [a|b] (nest fewer)"
                )
            stack[-1].depth = max(stack[-1].depth, depth)
            for part in piece if isinstance(piece, list) else [piece]:
                stack[-1].add(part)
        else:
            stack = [_flat(stack)]
            stack[0].add(mark.text)
    return _Read(pieces=tuple(_flat(stack).segments[0]), separators=separators)


def _closed(inside: _Open, separators: list[int]) -> Switch | Turns | list[Piece] | None:
    """Return what a bracket is now that it is closed: pieces of text for a weight, None if it is nothing."""
    marks = inside.parted_by
    colons = sum(mark.text == ":" for mark in marks)
    if inside.bracket == "(":
        return ["(", *inside.whole(), ")"] if colons <= 1 else None
    if not marks:
        return ["[", *inside.whole(), "]"]
    if not colons:
        separators += [mark.at for mark in marks]
        return Turns(options=tuple(map(tuple, inside.segments)))
    return _switch(inside, separators)


def _switch(inside: _Open, separators: list[int]) -> Switch | None:
    """Return the switch in square brackets: one or two colons, then a number. Bars in it are text."""
    parts = _Open()
    for piece_or_mark in _by_colons(inside):
        if isinstance(piece_or_mark, _Mark):
            parts.part(piece_or_mark)
        else:
            parts.add(piece_or_mark)
    *texts, when = parts.segments
    number = _NUMBER.fullmatch(when[0]) if len(when) == 1 and isinstance(when[0], str) else None
    if number is None or len(texts) > 2:
        return None
    separators += [mark.at for mark in parts.parted_by]
    before, after = texts if len(texts) == 2 else ([], texts[0])
    return Switch(before=tuple(before), after=tuple(after), when=number[1])


def _by_colons(inside: _Open) -> Iterator[Piece | _Mark]:
    yield from inside.segments[0]
    for mark, segment in zip(inside.parted_by, inside.segments[1:], strict=True):
        yield mark if mark.text == ":" else mark.text
        yield from segment


def _flat(stack: list[_Open]) -> _Open:
    """Return the outermost level with all that is open as text in it."""
    root = stack[0]
    for inside in stack[1:]:
        root.add(inside.bracket)
        for piece in inside.whole():
            root.add(piece)
        root.depth = max(root.depth, inside.depth)
    return root


def _marks(prompt: str, name: str) -> Iterator[_Mark]:
    """Yield what may part a text and the stretches between. Slots, tags and escapes are text."""
    at = 0
    while at < len(prompt):
        char = prompt[at]
        if char == "\\":
            end = at + 2
        elif char == "{":
            end = Parser(name, prompt, at + 1).slot()[1]
        elif char == "<":
            tag = TAG.match(prompt, at)
            end = tag.end() if tag else at + 1
        elif match := _PLAIN.match(prompt, at):
            end = match.end()
        else:
            yield _Mark(text=char, at=at, is_text=False)
            at += 1
            continue
        yield _Mark(text=prompt[at:end], at=at, is_text=True)
        at = end


def _joined_spans(prompt: str, name: str = "prompt") -> list[tuple[int, int]]:
    """Return where the prompts begin and end that AND joins."""
    spans, start = [], 0
    if "AND" in prompt:
        hidden = _hidden(prompt, name)
        for match in _JOIN.finditer(prompt):
            if not hidden[match.start()]:
                spans.append((start, match.start()))
                start = match.end()
    return [*spans, (start, len(prompt))]


def _hidden(prompt: str, name: str) -> bytearray:
    """Return for each character whether it stands in a slot or a tag, where AND is no order."""
    hidden = bytearray(len(prompt))
    for mark in _marks(prompt, name):
        if mark.is_text and mark.text[0] in "{<":
            hidden[mark.at : mark.at + len(mark.text)] = b"\x01" * len(mark.text)
    return hidden
