"""What the browser kept is read by shape: a value is rebuilt of nothing but what a pattern names."""

from dataclasses import dataclass

MAX_LIST = 1000  # entries of a list that the browser kept
MAX_TEXT = 100_000  # characters


@dataclass(frozen=True)
class Maybe:
    """A part that may be None, or not be there at all."""

    pattern: object


def like(value: object, pattern: object) -> object:
    """Return a value made of nothing but what the pattern has; raise ValueError if it is of another kind.

    A pattern is an example: a text, a number, a list of one entry, a dict of named parts, or a dict whose one
    name is "" for parts of any name.
    """
    match pattern:
        case Maybe():
            return None if value is None else like(value, pattern.pattern)
        case {"": part} if isinstance(value, dict) and len(value) <= MAX_LIST:
            return {str(name): like(one, part) for name, one in value.items()}
        case dict() if isinstance(value, dict):
            return {name: like(value.get(name), part) for name, part in pattern.items()}
        case [part] if isinstance(value, list) and len(value) <= MAX_LIST:
            return [like(entry, part) for entry in value]
        case str() if isinstance(value, str) and len(value) <= MAX_TEXT:
            return value
        case int() | float() if isinstance(value, int | float):
            return value
    raise ValueError("the browser kept something else")
