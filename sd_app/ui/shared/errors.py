"""Errors in words for the person at the page or the client."""

import logging

from .form import LABELS

log = logging.getLogger(__name__)


def error_text(error: Exception, mode: str) -> str:
    """Return what to say of an error.

    The studio's own errors speak for themselves. Others go to the log, and may show the inside of the
    machine only to its owner.
    """
    if isinstance(error, ValueError | MemoryError):
        return str(error) or "there is not enough memory (make the picture smaller, or fewer at once)"
    log.error("a job failed", exc_info=error)
    name = type(error).__name__
    if mode != "local":
        return f"the job failed ({name}); the owner can find the reason in the log"
    return str(error) if isinstance(error, OSError) else f"the job failed: {name}: {error}"


def sentence(text: str) -> str:
    """Return an error's words as the page shows them: the field's label for its name, a full stop.

    An error that points at a character keeps its further lines as they are.
    """
    text, _, pointer = text.partition("\n")
    name, space, rest = text.partition(" ")
    shown = LABELS.get(name, name.capitalize() if name in ("the", "there") else name) + space + rest
    shown += "" if shown.endswith((".", "!", "?")) else "."
    return f"{shown}\n{pointer}" if pointer else shown


def error_sentence(error: Exception, mode: str) -> str:
    """Return what the page says of an error: error_text as a sentence."""
    return sentence(error_text(error, mode))
