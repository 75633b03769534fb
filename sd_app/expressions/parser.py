"""From the text of an expression to its tree: recursive descent, with every mistake in words."""

import re
from dataclasses import dataclass
from math import isfinite

from .expression_error import ExpressionError
from .tree import Interpolation, Mean, Node, Scaled, Slot, Sum, Words, iterate_words, weight_of

SPACES = ("all", "row", "input")
METHODS = ("lerp", "slerp")
FUNCTIONS = (*METHODS, "mean")
MAX_DEPTH = 32  # brackets inside brackets
MAX_OPERANDS = 64  # phrases in one slot
MAX_WEIGHT = 1000.0  # a tensor of values up to about 33 stays within float16
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


@dataclass(frozen=True, kw_only=True)
class _Token:
    kind: str  # number, quoted, word, end, or the mark itself
    text: str
    at: int
    end: int


class Parser:
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
        """Read the text to its end as one expression. Raise ExpressionError."""
        self._next()
        return self._checked("end")

    def error(self, position: int, rule: str, remedy: str) -> ExpressionError:
        """Return the error of a mistake at a character of the text, counted from 0."""
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
            return self._scale(1 / right if mark.kind == "/" else right, left, mark.at)
        if isinstance(left, float):
            return self._scale(left, right, mark.at)
        raise self.error(mark.at, "must not multiply words by words", "one side must be a number: 0.5*cat")

    def _scale(self, factor: float, part: Node, at: int) -> Node:
        """Return a part times a number; of several numbers their product, so that the tree stays flat."""
        if isinstance(part, Scaled):
            factor, part = factor * part.factor, part.part
        return Scaled(factor=self._number(factor, at), part=part)

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
        remedy = "for instance cat or 0.5"
        if token.kind == "{":
            remedy = "a slot cannot hold another; what is {{cat}} in NovelAI is ((cat)) here"
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
        marked: list[str] = []
        while self.token.kind in ("word", "quoted"):
            word = self.token
            self._next()
            if word.kind == "word" and self.token.kind == "(":
                if word.text not in FUNCTIONS or texts:
                    rule = f"must have one of {', '.join(FUNCTIONS)} before a bracket, got {word.text[:30]}"
                    raise self.error(word.at, rule, "or use quotes, or * between")
                return self._function(word)
            marked += [word.text] if word.text[0] == "<" else []
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
        return Words(text=" ".join(texts), at=first.at, marked=tuple(marked))

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
        return Interpolation(method=name.text, a=a, b=b, t=t)

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
        remedy = "put anything that is not a word in quotes" if self.token.kind != "end" else "close it"
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
            remedy = "close it" if self.text[at] == '"' else "put anything that is not a plain word in quotes"
            if self.text[at] in "|$":  # alternatives in braces, as other programs have them
                remedy = r"close the brace for a choice, {a|b}; [a|b] takes turns, and \{ is a plain brace"
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
