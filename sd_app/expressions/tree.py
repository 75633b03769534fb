"""What an expression means: a tree of phrases and plain factors."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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


def phrases_of(node: Node) -> tuple[str, ...]:
    """Return the texts of an expression's phrases, each once, in their order."""
    return tuple(dict.fromkeys(words.text for words in iterate_words(node)))


def needed(node: Node) -> Node:
    """Return an expression without the parts that count for nothing: times 0, or at the other end of a way.

    What is all nothing is returned as it is.
    """
    return _counting(node) or node


def _counting(node: Node) -> Node | None:
    match node:
        case Scaled():
            part = _counting(node.part) if node.factor else None
            return part and Scaled(factor=node.factor, part=part)
        case Interpolation() if node.t in (0, 1):
            return _counting(node.b if node.t else node.a)
        case Sum():
            parts = tuple(part for part in map(_counting, node.parts) if part)
            return Sum(parts=parts) if len(parts) > 1 else (parts[0] if parts else None)
        case Interpolation():
            return replace(node, a=needed(node.a), b=needed(node.b))
        case Mean():
            return Mean(parts=tuple(map(needed, node.parts)))
    return node


def sum_of_weights(node: Node) -> float:
    """Return what the weights of an expression's phrases add up to: 1 leaves the size of a prompt's rows."""
    match node:
        case Words():
            return 1.0
        case Scaled():
            return node.factor * sum_of_weights(node.part)
        case Interpolation():
            return (1 - node.t) * sum_of_weights(node.a) + node.t * sum_of_weights(node.b)
        case Sum():
            return sum(map(sum_of_weights, node.parts))
        case Mean():
            return sum(map(sum_of_weights, node.parts)) / len(node.parts)


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
        return phrases_of(self.expression)
