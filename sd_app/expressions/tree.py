"""What an expression means: a tree of phrases and plain factors."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Words:
    """A phrase as it is put in the slot's place."""

    text: str
    at: int = field(default=0, compare=False)
    marked: tuple[str, ...] = field(
        default=(), compare=False
    )  # its <learned words>, those in quotes left out


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
class Interpolation:
    """A point on the way from `a` (t = 0) to `b` (t = 1), straight ("lerp") or on the sphere ("slerp")."""

    method: str
    a: "Node"
    b: "Node"
    t: float


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of the parts."""

    parts: tuple["Node", ...]


Node: TypeAlias = Words | Scaled | Sum | Interpolation | Mean


def iterate_words(node: Node) -> Iterator[Words]:
    """Yield the phrases of an expression from left to right."""
    match node:
        case Words():
            yield node
        case Scaled():
            yield from iterate_words(node.part)
        case Interpolation():
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
        case Interpolation():
            return max(weight_of(node.a), weight_of(node.b))
        case Sum():
            return sum(map(weight_of, node.parts))
        case _:
            return sum(map(weight_of, node.parts)) / len(node.parts)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """An expression in a prompt, and the space it is worked out in."""

    expression: Node
    space: str = "all"

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the texts of its phrases, each once, in their order."""
        return tuple(dict.fromkeys(words.text for words in iterate_words(self.expression)))
