"""Errors in words for the person at the page or the client. Nothing else in the page words an error."""

from collections.abc import Callable
from typing import TypeVar

from gradio.exceptions import InvalidPathError
from pydantic import ValidationError

from ...failures import failure_text
from .form import LABELS
from .toasts import Worded

AnswerT = TypeVar("AnswerT")

NOT_UPLOADED = "a file in it was not uploaded here (open it again; a program uploads it before it is named)"


ODD_VALUE = "a value in it has another form than its field takes (reload the page, and try it again)"


def error_text(error: Exception, mode: str) -> str:
    """Return what to say of an error.

    Words of our own speak for themselves. Others go to the log, and may show the inside of the machine only
    to its owner: mode is local, shared or space.
    """
    if isinstance(error, InvalidPathError):
        return NOT_UPLOADED
    if isinstance(error, ValidationError):  # of what Gradio's own components take
        return ODD_VALUE
    return failure_text(error, mode)


def sentence(text: str) -> str:
    """Return an error's words as the page shows them: the field's label for its name, a full stop.

    An error that points at a character keeps its further lines as they are.
    """
    text, _, pointer = text.partition("\n")
    name, space, rest = text.partition(" ")
    begins = name.capitalize() if name in ("the", "there", "this", "what") else name
    shown = LABELS.get(name, begins) + space + rest
    shown += "" if shown.endswith((".", "!", "?")) else "."
    return f"{shown}\n{pointer}" if pointer else shown


def error_sentence(error: Exception, mode: str) -> str:
    """Return what the page says of an error: error_text as a sentence."""
    return sentence(error_text(error, mode))


def attempt(call: Callable[[], AnswerT], failed: Callable[[Exception], AnswerT]) -> AnswerT:
    """Return what a plain, quick call returns, or what `failed` makes of whatever it died of."""
    try:
        return call()
    except Worded:  # it has its words
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the page says so and lives
        return failed(error)
