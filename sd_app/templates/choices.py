r"""The grammar of choices, as in the extension Dynamic Prompts, and drawing one prompt of a template.

    {red|blue|green}         one of them, each as likely as the others; an empty one is nothing
    {2::red|0.5::blue}       with weights: red four times as often as blue
    {2$$red|blue|green}      two different ones, joined by ", "
    {1-2$$ and $$red|blue}   one or two, joined by " and "
    __color__                a line of the file color.txt among the wildcards
    {2$$__color__}           two different lines of it

Braces without a bar or `$$` are arithmetic, as they were, and so is a bar in quotes: `{"a|b" + cat}`. Bars
in square brackets take turns there. Choices may lie in each other and in a wildcard's lines. A backslash
makes `\{`, `\|` and `\__color__` plain. The same seed draws the same prompt.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import isfinite
from random import Random
from typing import TypeAlias

from ..expressions import ExpressionError
from ..expressions.escaping import WILDCARD

MAX_NESTED = 16  # choices and wildcards in each other
MAX_DRAWS = 1_000  # of one prompt
MAX_DRAWN = 20_000  # characters of a drawn prompt

_BAR, _OPEN, _CLOSE = "|", "{", "}"
_PART = re.compile(rf"\\.|<[^<>\s]*>|{WILDCARD}|[{{}}|\[\]\"]", re.DOTALL)
_COUNT = re.compile(
    r"\s*~?\s*(?P<low>\d{1,4})?(?P<dash>-)?(?P<high>\d{1,4})?\$\$(?:(?P<between>[^$|{}]*)\$\$)?"
)
_WEIGHT = re.compile(r"\s*(?P<weight>\d+\.?\d*|\.\d+)::")
_NO_WEIGHT = re.compile(r"\s*[-+]?[\d.,eE%]*::")  # what was meant as one
_OTHER_SAMPLERS = re.compile(r"\s*[@!]")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a wildcard: its text and how often it is drawn beside others."""

    text: str
    weight: float = 1.0


Lines: TypeAlias = Callable[[str], Sequence[Line]]  # of a wildcard's name; raises ValueError in words


@dataclass(frozen=True, kw_only=True)
class Wildcard:
    """A place for a line of a file."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Option:
    """One of the things to choose from."""

    pieces: "Pieces"
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`low` to `high` of the options, none of them twice, joined by a text."""

    options: tuple[Option, ...]
    low: int = 1
    high: int | None = 1  # None: as many as there are
    between: str | None = None  # None: exactly one, taken as it stands


Piece: TypeAlias = str | Wildcard | Choice
Pieces: TypeAlias = tuple[Piece, ...]


def holds_choices(prompt: str, name: str = "prompt") -> bool:
    """Tell whether a prompt is a template. Raise ExpressionError for choices that cannot be read."""
    return any(not isinstance(piece, str) for piece in parse_template(prompt, name))


@lru_cache(maxsize=256)
def parse_template(prompt: str, name: str = "prompt") -> Pieces:
    """Take a prompt apart at its choices and wildcards; all else stays text as it is.

    Raise ExpressionError, which names the place, the rule and a remedy.
    """
    if "__" not in prompt and _BAR not in prompt and "$$" not in prompt:
        return (prompt,)
    return _Template(name, prompt).pieces(0, len(prompt), 0)


class _Template:
    """One reading of a template's text: where each brace ends, and at which bars its options part."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._ends, self._bars = _braces(text)

    def pieces(self, start: int, end: int, depth: int) -> Pieces:
        """Return the pieces of a stretch of the text."""
        if depth > MAX_NESTED:
            raise self._error(start, f"must nest at most {MAX_NESTED} choices", "take some apart")
        found: list[Piece] = []
        begin = position = start
        for part in _PART.finditer(self._text, start, end):
            if part.start() < position:
                continue
            piece, after = self._piece(part, depth)
            if piece is None:
                continue
            found += [self._text[begin : part.start()], piece]
            begin = position = after
        found.append(self._text[begin:end])
        return tuple(piece for piece in found if piece != "") or ("",)

    def _piece(self, part: re.Match[str], depth: int) -> tuple[Piece | None, int]:
        """Return the choice or wildcard that begins there and where the text goes on; None for others."""
        if part[0].startswith("__"):
            name = part[0].strip("~").removeprefix("__").removesuffix("__").lstrip("~")
            return Wildcard(name=name), part.end()
        if part[0] != _OPEN or (end := self._ends.get(part.start())) is None:
            return None, 0
        inside = part.end()
        count = _COUNT.match(self._text, inside, end)
        if count and not (count["low"] or count["high"]):
            count = None
        if not self._bars[part.start()] and not count:
            return None, 0  # arithmetic; a wildcard in it is still one
        if _OTHER_SAMPLERS.match(self._text, inside, end):
            raise self._error(
                inside,
                "must not begin a choice with @ or !",
                "choices are drawn by the seed here: leave it out",
            )
        return self._choice(part.start(), count, depth), end + 1

    def _choice(self, brace: int, count: re.Match[str] | None, depth: int) -> Choice:
        end = self._ends[brace]
        begin = count.end() if count else brace + 1
        edges = [begin - 1, *(bar for bar in self._bars[brace] if bar >= begin), end]
        options = tuple(self._option(left + 1, right, depth) for left, right in pairwise(edges))
        if not any(option.weight for option in options):
            raise self._error(brace, "must have an option with a weight above 0", "raise one")
        if not count:
            return Choice(options=options)
        low = int(count["low"]) if count["low"] else 1
        high = low if not count["dash"] else int(count["high"]) if count["high"] else None
        if high is not None and high < low:
            raise self._error(brace, f"must choose from fewer to more, got {low}-{high}", f"{high}-{low}")
        if low > len(options) and not _lone_wildcard(options):
            rule = f"must choose at most as many as there are, {len(options)}, got {low}"
            raise self._error(brace, rule, "add options, or choose fewer")
        between = ", " if count["between"] is None else count["between"]
        return Choice(options=options, low=low, high=high, between=between)

    def _option(self, start: int, end: int, depth: int) -> Option:
        weight = 1.0
        if written := _WEIGHT.match(self._text, start, end):
            weight, start = float(written["weight"]), written.end()
            if not isfinite(weight):
                raise self._error(start, "must have finite weights", "use a smaller one")
        elif _NO_WEIGHT.match(self._text, start, end):
            raise self._error(start, "must have a number of 0 or more before ::", r"as in {0.5::a|b}")
        return Option(pieces=self.pieces(start, end, depth + 1), weight=weight)

    def _error(self, position: int, rule: str, remedy: str) -> ExpressionError:
        return ExpressionError(self._name, self._text, position, rule, remedy)


def _braces(text: str) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Return where each closed brace ends, and the bars at its own level, outside of turns and quotes.

    Linear in the text's length.
    """
    ends: dict[int, int] = {}
    bars: dict[int, list[int]] = {}
    turns = _turns(text)
    quoted = _quoted(text)
    stack: list[int] = []
    for part in _PART.finditer(text):
        at, sign = part.start(), part[0]
        if sign == _OPEN:
            stack.append(at)
            bars[at] = []
        elif sign == _CLOSE and stack:
            ends[stack.pop()] = at
        elif sign == _BAR and stack and not quoted[at] and turns[at] <= turns[stack[-1]]:
            bars[stack[-1]].append(at)
    return ends, bars


def _turns(text: str) -> list[int]:
    """Return in how many closed square brackets each character stands."""
    changes = [0] * (len(text) + 1)
    opened: list[int] = []
    for part in _PART.finditer(text):
        if part[0] == "[":
            opened.append(part.start())
        elif part[0] == "]" and opened:
            changes[opened.pop()] += 1
            changes[part.start()] -= 1
    return list(accumulate(changes))


def _quoted(text: str) -> list[bool]:
    """Tell of each character whether it stands in double quotes within its pair of braces."""
    marks = [False] * len(text)
    stack: list[int] = []  # where the open quote of each level is, -1 for none
    for part in _PART.finditer(text):
        if part[0] == _OPEN:
            stack.append(-1)
        elif part[0] == _CLOSE and stack:
            stack.pop()
        elif part[0] == '"' and stack:
            if stack[-1] >= 0:
                marks[stack[-1] : part.start()] = [True] * (part.start() - stack[-1])
            stack[-1] = -1 if stack[-1] >= 0 else part.start()
    return marks


def _lone_wildcard(options: Sequence[Option]) -> Wildcard | None:
    """Return the wildcard that is all there is to choose from: then its lines are."""
    match options:
        case (Option(pieces=(Wildcard() as wildcard,)),):
            return wildcard
    return None


# -- drawing


def draw(template: str, seed: int, lines: Lines, name: str = "prompt") -> str:
    """Return the prompt that a seed draws of a template; one without choices is returned as it is.

    `name` is the field's: the prompt and the negative prompt are drawn apart, so that a change of one leaves
    the other as it is. Raise ValueError for a wildcard that is not there or leads back to itself, and for a
    prompt that grows too long.
    """
    pieces = parse_template(template, name)
    if all(isinstance(piece, str) for piece in pieces):
        return template
    return Draw(Random(f"{name} {seed}"), lines, name).text(pieces, 0)


class Draw:
    """One drawing of a prompt. Only Random.random is used, whose numbers no version of Python changes."""

    def __init__(self, random: Random, lines: Lines, name: str) -> None:
        self._random, self._lines, self._name = random, lines, name
        self._num_draws = 0

    def text(self, pieces: Pieces, depth: int) -> str:
        """Return what some pieces become."""
        drawn = "".join(piece if isinstance(piece, str) else self._piece(piece, depth) for piece in pieces)
        if len(drawn) > MAX_DRAWN:
            raise ValueError(
                f"{self._name} must become at most {MAX_DRAWN:,} characters, and its choices make more of it"
                " (use shorter ones)"
            )
        return drawn

    def _piece(self, piece: Wildcard | Choice, depth: int) -> str:
        self._num_draws += 1
        if self._num_draws > MAX_DRAWS or depth > MAX_NESTED:
            named = f"the wildcard {piece.name} leads" if isinstance(piece, Wildcard) else "they lead"
            raise ValueError(
                f"{self._name} must come to an end after {MAX_NESTED} choices in each other and"
                f" {MAX_DRAWS:,} in all, and {named} on and on (see whether a wildcard names itself)"
            )
        if isinstance(piece, Wildcard):
            return self._line(piece, depth)
        return self._chosen(piece, depth)

    def _line(self, wildcard: Wildcard, depth: int) -> str:
        lines = self._lines(wildcard.name)
        (line,) = self._pick([line.weight for line in lines], 1)
        return self.text(self._parsed(lines[line], wildcard.name), depth + 1)

    def _parsed(self, line: Line, wildcard: str) -> Pieces:
        return parse_template(line.text, f"the wildcard {wildcard}")

    def _chosen(self, choice: Choice, depth: int) -> str:
        options = self._options(choice)
        if choice.between is None:
            (one,) = self._pick([option.weight for option in options], 1)
            return self.text(options[one].pieces, depth + 1)
        possible = sum(option.weight > 0 for option in options)
        low = choice.low
        if low > possible:
            raise ValueError(
                f"{self._name} must choose at most as many as there are, {possible}, got {low} (add lines or"
                " options, or choose fewer)"
            )
        high = possible if choice.high is None else min(choice.high, possible)
        count = low + int(self._random.random() * (high - low + 1))
        chosen = self._pick([option.weight for option in options], count)
        texts = [self.text(options[one].pieces, depth + 1).strip() for one in chosen]
        return choice.between.join(filter(None, texts))

    def _options(self, choice: Choice) -> Sequence[Option]:
        """Return a choice's options; those of a lone wildcard of which several are chosen are its lines."""
        if choice.between is None or not (wildcard := _lone_wildcard(choice.options)):
            return choice.options
        name = wildcard.name
        return [Option(pieces=self._parsed(line, name), weight=line.weight) for line in self._lines(name)]

    def _pick(self, weights: Sequence[float], count: int) -> list[int]:
        """Return `count` different places, each drawn by the weights of those that are left."""
        left = list(weights)
        chosen = []
        for _ in range(count):
            target = self._random.random() * sum(left)
            place = next(
                (k for k, total in enumerate(accumulate(left)) if target < total and left[k]),
                max(k for k, weight in enumerate(left) if weight),
            )
            chosen.append(place)
            left[place] = 0.0
        return chosen
