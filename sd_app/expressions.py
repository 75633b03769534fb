"""Arithmetic with words: the slots of a prompt, such as `a drawing of {cat + 0.43*tabby}`, read and checked.

    slot     = "{" [ ("all" | "row" | "input") ":" ] sum "}"
    sum      = product { ("+" | "-") product }
    product  = factor { ("*" | "/") factor }
    factor   = { "-" | "+" } ( number | words | "(" sum ")" | function )
    words    = bare words, side by side one phrase | "a quoted prompt" | <learned-word>
    function = "lerp(" sum "," sum "," sum ")" | "slerp(" the same ")" | "mean(" sum { "," sum } ")"

Numbers and words are two kinds: numbers scale words, words are added to words. What is made of numbers alone
is worked out here, so that the tree holds words and plain factors. `\\{` is a plain brace. No torch.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite, prod
from typing import TypeAlias

SPACES = ("all", "row", "input")
METHODS = ("lerp", "slerp")
FUNCTIONS = (*METHODS, "mean")
MAX_DEPTH = 32  # brackets inside brackets
MAX_OPERANDS = 64  # phrases in one slot
MAX_TEXTS = (
    64  # prompts to encode for one: with two slots, every phrase of one with every phrase of the other
)
MAX_WEIGHT = 1000.0  # a tensor of values up to about 33 stays within float16
EXCERPT = 30  # characters shown on either side of a mistake

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<quoted>"(?:\\.|[^"\\])*")
      | (?P<word><[^<>{}\s"]+>|\w(?:[\w'’])*)
      | (?P<mark>[-+*/(),{}:])
    )""",
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*(\w+)\s*:")


class ExpressionError(ValueError):
    """What is wrong in a slot, and where: `position` counts the text's characters from 0."""

    def __init__(self, name: str, text: str, position: int, rule: str, remedy: str) -> None:
        self.position = position
        first, last = max(0, position - EXCERPT), position + EXCERPT
        start, end = "…" if first else "", "…" if last < len(text) else ""
        # One character for one, so that the caret stands under the mistake.
        shown = "".join(char if char.isprintable() else " " for char in text[first:last])
        caret = " " * (len(start) + position - first) + "^"
        super().__init__(
            f"{name} {rule}, at character {position + 1} ({remedy})\n  {start}{shown}{end}\n  {caret}"
        )


@dataclass(frozen=True, kw_only=True)
class Words:
    """A phrase as it is put in the slot's place."""

    text: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A part times a number."""

    factor: float
    part: "Node"


@dataclass(frozen=True, kw_only=True)
class Sum:
    """Parts added up from left to right."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, kw_only=True)
class Between:
    """A point on the way from `a` (t = 0) to `b` (t = 1), straight ("lerp") or on the sphere ("slerp")."""

    method: str
    a: "Node"
    b: "Node"
    t: float


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of the parts."""

    parts: tuple["Node", ...]


Node: TypeAlias = Words | Scaled | Sum | Between | Mean


@dataclass(frozen=True, kw_only=True)
class Slot:
    """An expression in a prompt, and the space it is worked out in."""

    expression: Node
    space: str = "all"

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the texts of its phrases, each once, in their order."""
        return tuple(dict.fromkeys(words.text for words in iterate_words(self.expression)))


@dataclass(frozen=True, kw_only=True)
class Template:
    """A prompt taken apart: `texts[i]` stands before slot i, the last text after the last slot."""

    texts: tuple[str, ...]
    slots: tuple[Slot, ...]

    @property
    def space(self) -> str:
        return self.slots[0].space if self.slots else "all"

    @property
    def first_phrases(self) -> tuple[str, ...]:
        """Return the first phrase of every slot: the words that hold its place."""
        return tuple(slot.phrases[0] for slot in self.slots)

    def fill(self, phrases: tuple[str, ...]) -> str:
        """Return the prompt with a phrase in each slot's place; fewer phrases give its beginning."""
        text = self.texts[0]
        for number, phrase in enumerate(phrases):
            text += phrase
            if number + 1 < len(phrases) or len(phrases) == len(self.slots):
                text += self.texts[number + 1]
        return text


def has_slots(prompt: str) -> bool:
    """Tell whether a prompt holds a slot. Raise ExpressionError if one is wrong."""
    return "{" in prompt and bool(parse_prompt(prompt).slots)


def place_text(prompt: str) -> str:
    """Return a prompt as a text: of every slot the first phrase, which holds its place."""
    if "{" not in prompt:
        return prompt
    template = parse_prompt(prompt)
    return template.fill(template.first_phrases)


@lru_cache(maxsize=256)
def parse_prompt(prompt: str, name: str = "prompt") -> Template:
    """Take a prompt apart at its slots. Escapes and weights outside them are left as they are.

    Raise ExpressionError, which names the place, the rule and a remedy.
    """
    texts: list[str] = [""]
    slots: list[Slot] = []
    position = 0
    while position < len(prompt):
        char = prompt[position]
        if char == "\\":
            texts[-1] += prompt[position : position + 2]
            position += 2
        elif char == "{":
            parser = _Parser(name, prompt, position + 1)
            slot, end = parser.slot()
            if slots and slot.space != slots[0].space:
                raise parser.error(position, "must have all slots in one space", f"write {slots[0].space}:")
            slots.append(slot)
            texts.append("")
            position = end
        else:
            texts[-1] += char
            position += 1
    template = Template(texts=tuple(texts), slots=tuple(slots))
    if prod(len(slot.phrases) for slot in slots) > MAX_TEXTS and template.space == "all":
        raise ValueError(
            f"{name} must need at most {MAX_TEXTS} texts, and each phrase of one slot meets every one of the"
            " others (use fewer phrases)"
        )
    return template


def parse_expression(text: str, name: str) -> Node:
    """Read a text that is one expression without braces. Raise ExpressionError."""
    parser = _Parser(name, text, 0)
    return parser.whole()


def iterate_words(node: Node) -> Iterator[Words]:
    """Yield the phrases of an expression from left to right."""
    match node:
        case Words():
            yield node
        case Scaled():
            yield from iterate_words(node.part)
        case Between():
            yield from iterate_words(node.a)
            yield from iterate_words(node.b)
        case _:
            for part in node.parts:
                yield from iterate_words(part)


def weight_of(node: Node) -> float:
    """Return how many times as large as a plain prompt the result can be."""
    match node:
        case Words():
            return 1.0
        case Scaled():
            return abs(node.factor) * weight_of(node.part)
        case Between():
            return max(weight_of(node.a), weight_of(node.b))
        case Sum():
            return sum(map(weight_of, node.parts))
        case _:
            return sum(map(weight_of, node.parts)) / len(node.parts)


@dataclass(frozen=True, kw_only=True)
class _Token:
    kind: str  # number, quoted, word, end, or the mark itself
    text: str
    at: int
    end: int


class _Parser:
    """Recursive descent over one expression; `position` walks through the text."""

    def __init__(self, name: str, text: str, position: int) -> None:
        self.name, self.text = name, text
        self.start = position
        self.depth = self.num_operands = 0
        self.token = _Token(kind="end", text="", at=position, end=position)
        self.end = position  # of the token before

    def slot(self) -> tuple[Slot, int]:
        """Read a slot after its opening brace; return it and where the text goes on."""
        space = "all"
        if prefix := _SPACE.match(self.text, self.start):
            space = prefix[1]
            if space not in SPACES:
                raise self.error(
                    prefix.start(1),
                    f"must have one of {', '.join(SPACES)} before the colon, got {space[:30]}",
                    "or put the words in quotes",
                )
            self.token = _Token(kind="end", text="", at=prefix.end(), end=prefix.end())
        self._next()
        expression = self._checked("}")
        if space != "all":
            self._check_apart(space, expression)
        return Slot(expression=expression, space=space), self.token.end

    def whole(self) -> Node:
        self._next()
        return self._checked("end")

    def error(self, position: int, rule: str, remedy: str) -> ExpressionError:
        return ExpressionError(self.name, self.text, position, rule, remedy)

    def _checked(self, closing: str) -> Node:
        begin = self.token.at
        if self.token.kind == closing:
            raise self.error(
                begin, "must not have an empty expression", r"say what it holds, or write \{ for a brace"
            )
        value = self._sum()
        self._expect(closing)
        if isinstance(value, float):
            raise self.error(begin, "must hold words, not a number alone", "for instance 0.5*cat")
        if weight_of(value) > MAX_WEIGHT:
            raise self.error(begin, f"must not weigh more than {MAX_WEIGHT:g} in all", "use smaller factors")
        return value

    def _check_apart(self, space: str, expression: Node) -> None:
        """In these spaces the slot has tokens of its own: no letter may touch it, and it may not be empty."""
        before, after = self.text[: self.start - 1][-1:], self.text[self.token.end : self.token.end + 1]
        if before.isalnum() or after.isalnum():
            at = self.start - 1 if before.isalnum() else self.token.end
            raise self.error(
                at, f"must keep a slot of the {space} space apart from letters", "put a space there"
            )
        for words in iterate_words(expression):
            if not words.text.strip():
                raise self.error(words.at, f"must not have an empty phrase in the {space} space", "use all:")

    def _sum(self) -> float | Node:
        start = self.token.at
        value = self._product()
        while self.token.kind in ("+", "-"):
            sign = self.token
            self._next()
            at = self.token.at
            value = self._add(value, self._product(), sign, start, at)
        return value

    def _add(
        self, left: float | Node, right: float | Node, sign: _Token, start: int, at: int
    ) -> float | Node:
        factor = -1.0 if sign.kind == "-" else 1.0
        if isinstance(left, float) and isinstance(right, float):
            return self._number(left + factor * right, sign.at)
        if isinstance(left, float) or isinstance(right, float):
            number = start if isinstance(left, float) else at
            raise self.error(number, "must not add a number to words", "a number only scales: 2*cat")
        part = right if factor == 1 else Scaled(factor=factor, part=right)
        parts = (*left.parts, part) if isinstance(left, Sum) else (left, part)
        return Sum(parts=parts)

    def _product(self) -> float | Node:
        value = self._factor()
        while self.token.kind in ("*", "/"):
            mark = self.token
            self._next()
            at = self.token.at
            right = self._factor()
            if mark.kind == "/":
                right = self._inverse(right, at)
            value = self._multiply(value, right, mark)
        return value

    def _inverse(self, value: float | Node, at: int) -> float:
        if not isinstance(value, float):
            raise self.error(at, "must not divide by words", "divide by a number: cat/2")
        if value == 0:
            raise self.error(at, "must not divide by 0", "divide by another number")
        return value

    def _multiply(self, left: float | Node, right: float | Node, mark: _Token) -> float | Node:
        if isinstance(left, float) and isinstance(right, float):
            return self._number(left / right if mark.kind == "/" else left * right, mark.at)
        if isinstance(right, float):
            assert not isinstance(left, float)
            return Scaled(factor=self._number(1 / right if mark.kind == "/" else right, mark.at), part=left)
        if isinstance(left, float):
            return Scaled(factor=left, part=right)
        raise self.error(mark.at, "must not multiply words by words", "one side must be a number: 0.5*cat")

    def _factor(self) -> float | Node:
        negative = False
        while self.token.kind in ("+", "-"):
            negative ^= self.token.kind == "-"
            self._next()
        value = self._primary()
        if not negative:
            return value
        return -value if isinstance(value, float) else Scaled(factor=-1.0, part=value)

    def _primary(self) -> float | Node:
        token = self.token
        if token.kind == "number":
            self._next()
            if self.token.kind in ("word", "quoted", "number", "("):
                raise self.error(
                    self.token.at, "must have an operator after a number", "write 2*cat, or use quotes"
                )
            return self._number(float(token.text), token.at)
        if token.kind == "(":
            return self._bracket()
        if token.kind in ("word", "quoted"):
            return self._words()
        what = {"end": "the end", "}": "the closing brace"}.get(token.kind, token.kind)
        remedy = "a slot cannot hold another" if token.kind == "{" else "for instance cat or 0.5"
        raise self.error(token.at, f"must have words or a number here, got {what}", remedy)

    def _bracket(self) -> float | Node:
        self._enter()
        self._next()
        value = self._sum()
        self._expect(")")
        self._leave()
        return value

    def _words(self) -> Node:
        first = self.token
        texts: list[str] = []
        while self.token.kind in ("word", "quoted"):
            word = self.token
            self._next()
            if word.kind == "word" and self.token.kind == "(":
                if word.text not in FUNCTIONS or texts:
                    rule = f"must have one of {', '.join(FUNCTIONS)} before a bracket, got {word.text[:30]}"
                    raise self.error(word.at, rule, "or use quotes, or * between")
                return self._function(word)
            texts.append(word.text if word.kind == "word" else _unquote(word.text))
        if len(texts) == 1 and first.kind == "word" and first.text.lower() in ("nan", "inf"):
            raise self.error(first.at, f"must have finite numbers, got {first.text}", "quotes make it a word")
        if self.token.kind == "number":
            raise self.error(
                self.token.at, "must have an operator between words and a number", "or use quotes"
            )
        self.num_operands += 1
        if self.num_operands > MAX_OPERANDS:
            raise self.error(first.at, f"must have at most {MAX_OPERANDS} phrases in a slot", "use fewer")
        return Words(text=" ".join(texts), at=first.at)

    def _function(self, name: _Token) -> Node:
        """Read a function's arguments; the opening bracket is the current token."""
        self._enter()
        starts, values = [], []
        while self.token.kind in ("(", ","):
            self._next()
            starts.append(self.token.at)
            values.append(self._sum())
        self._expect(")")
        self._leave()
        if name.text == "mean":
            return Mean(parts=tuple(self._tensor(*pair) for pair in zip(values, starts, strict=True)))
        if len(values) != 3:
            raise self.error(
                name.at, f"must give {name.text} 3 values, got {len(values)}", f"{name.text}(cat, dog, 0.5)"
            )
        t = values[2]
        if not isinstance(t, float) or not 0 <= t <= 1:
            rule = f"must give {name.text} a number from 0 to 1 as its third value"
            raise self.error(starts[2], rule, f"{name.text}(cat, dog, 0.5)")
        a, b = (self._tensor(values[index], starts[index]) for index in range(2))
        return Between(method=name.text, a=a, b=b, t=t)

    def _tensor(self, value: float | Node, at: int) -> Node:
        if isinstance(value, float):
            raise self.error(at, "must have words here, got a number", "for instance cat")
        return value

    def _number(self, value: float, at: int) -> float:
        if not isfinite(value) or abs(value) > 1e6:
            raise self.error(at, "must have finite numbers, up to a million", "use a smaller one")
        return value

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(self.token.at, f"must nest at most {MAX_DEPTH} brackets", "remove some")

    def _leave(self) -> None:
        self.depth -= 1

    def _expect(self, kind: str) -> None:
        if self.token.kind == kind:
            if kind == ")":
                self._next()
            return
        names = {"end": "the end", "}": "a closing brace", ")": "a closing bracket"}
        got = {"end": "the end"}.get(self.token.kind, self.token.text[:30])
        remedy = "put what is no word in quotes" if self.token.kind != "end" else "close it"
        raise self.error(self.token.at, f"must have {names[kind]} or an operator here, got {got}", remedy)

    def _next(self) -> None:
        """Step to the next token."""
        start = self.token.end
        match = _TOKEN.match(self.text, start)
        if match is None:
            at = start + len(self.text[start:]) - len(self.text[start:].lstrip())
            if at == len(self.text):
                self.token = _Token(kind="end", text="", at=at, end=at)
                return
            remedy = "close it" if self.text[at] == '"' else "put what is no plain word in quotes"
            raise self.error(at, f"must not have {self.text[at]!r} in an expression", remedy)
        kind = match.lastgroup
        assert kind is not None
        text = match[kind]
        self.token = _Token(
            kind=text if kind == "mark" else kind, text=text, at=match.start(kind), end=match.end()
        )


def _unquote(text: str) -> str:
    """Take the quotes off; every other escape is the prompt's own."""
    return text[1:-1].replace('\\"', '"')
