"""What can be done in a panel on the page, and what the browser sent with it: none of that is trusted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..checks import shown
from ..requests import LookAnswer
from .look import Look, PictureAlone

Given = Mapping[str, object]  # by name, as the browser sent it


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that is done in a panel. `answer` may raise ValueError in words."""

    name: str
    answer: Callable[[Look, Given], LookAnswer]
    runs: bool = True  # it asks the model, if only to decode: then it waits for its turn in the line
    # The same of a picture that could not be recorded; None: there is no such thing.
    of_picture: Callable[[PictureAlone, Given], LookAnswer] | None = None


def choice(given: Given, name: str, known: Sequence[str]) -> str:
    """Return one of the known texts. Raise ValueError for anything else."""
    value = given.get(name)
    if isinstance(value, str) and value in known:
        return value
    raise ValueError(f"{name} must be one of {', '.join(known)}, got {shown(value)}")


def whole(given: Given, name: str, low: int, high: int) -> int:
    """Return a whole number from low to high. Raise ValueError for anything else."""
    value = given.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ValueError(f"{name} must be a whole number from {low} to {high}, got {shown(value)}")


def wholes(given: Given, name: str, low: int, high: int, most: int) -> list[int]:
    """Return at most so many whole numbers. Raise ValueError for anything else."""
    values = given.get(name)
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        raise ValueError(f"{name} must be a list of 1 to {most} whole numbers, got {shown(values)}")
    return [whole({name: value}, name, low, high) for value in values]


def number(given: Given, name: str, low: float, high: float) -> float:
    """Return a number from low to high. Raise ValueError for anything else, NaN too."""
    value = given.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {shown(value)}")


def text(given: Given, name: str, most: int) -> str:
    """Return a text of at most so many characters. Raise ValueError for anything else."""
    value = given.get(name)
    if isinstance(value, str) and len(value) <= most:
        return value
    raise ValueError(f"{name} must be a text of at most {most} characters, got {shown(value)}")
