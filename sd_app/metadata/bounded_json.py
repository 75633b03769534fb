"""JSON that nobody vouches for: how long and how deep it may be."""

import json

from .text_decoding import MAX_TEXT

MAX_DEPTH = 64  # objects and lists in each other
_TOO_DEEP = (
    f"the parameters are JSON nested more than {MAX_DEPTH} deep (copy the settings out of it and paste them)"
)


class UnreadableFormError(ValueError):
    """Parameters whose form is known, and which cannot be read all the same."""


def load_json(text: object) -> object:
    """Return what a text holds as JSON, None if it is none.

    Raise UnreadableFormError if it is nested too deeply."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        return None
    try:
        value: object = json.loads(text)
    except RecursionError as error:
        raise UnreadableFormError(_TOO_DEEP) from error
    except ValueError:
        return None
    _check_depth(value)
    return value


def load_object(text: object) -> dict[str, object]:
    """Return a JSON object, or one that is read already; an empty one for anything else."""
    value = text if isinstance(text, dict) else load_json(text)
    return value if isinstance(value, dict) else {}


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise UnreadableFormError(_TOO_DEEP)
