"""Plain text made a prompt: what the grammar would read as an order is read as the words it is."""

import re

_MARKS = re.compile(r"[\\()\[\]{}|:]")
_ORDERS = re.compile(r"\b(?:AND|BREAK)\b")
_TAG_START = re.compile(r"<(?=\w)")  # of <lora:name> and its like
# A place for a line of a file, see templates/. Not within a word, as in the names of learned words.
WILDCARD = r"(?<!\w)__~?[\w\-./*]+?__(?!\w)"
_WILDCARD = re.compile(rf"(?<!\\){WILDCARD}")
_OPEN_BRACE = re.compile(r"(\\.)|\{", re.DOTALL)


def escape(text: str) -> str:
    r"""Return the prompt that is read as this text, every word of it with weight 1.

    Brackets, braces, `|`, `:`, `\` and wildcards get a backslash, tags one behind their `<`; AND and BREAK
    are written small, which to CLIP is the same. The result may also stand inside brackets of another
    prompt. The names of learned words stay what they are: there is no spelling in which they are not read.
    """
    text = _MARKS.sub(r"\\\g<0>", text)
    text = _ORDERS.sub(lambda order: order[0].lower(), text)
    return escape_wildcards(_TAG_START.sub(r"<\\", text))


def escape_wildcards(prompt: str) -> str:
    """Return a prompt in which what would be a wildcard is plain words; all else keeps its meaning."""
    return _WILDCARD.sub(lambda found: f"\\{found[0]}", prompt)


def escape_braces(text: str) -> str:
    r"""Return a prompt of another program with its braces as plain text; all else keeps its meaning.

    AUTOMATIC1111 and its kin read `{` as a character, here it opens arithmetic. One that already has a
    backslash is left alone, so that doing it twice changes nothing.
    """
    return _OPEN_BRACE.sub(lambda found: found[1] or r"\{", text)
