"""Read a caption back: which attributes of the picture world it states."""

from __future__ import annotations

import re
from collections.abc import Mapping

from . import world


def read_caption(text: str) -> world.Scene:
    """Return what a text states in the words of `world.caption`, None where it says nothing. Case is ignored.

    It inverts `world.caption`. Of several subjects the first counts; a colour counts as the subject's unless
    "on" stands before it.
    """
    text = text.lower()
    found: dict[str, str | None] = {}
    # Backgrounds first: "under the stars" is no star, and "on red" is not the subject's colour.
    for name, words in (
        ("background", _BACKGROUNDS),
        ("style", world.STYLE_WORDS),
        ("place", world.PLACE_WORDS),
        ("size", world.SIZE_WORDS),
        ("color", world.COLOR_WORDS),
        ("subject", world.SUBJECT_WORDS),
    ):
        found[name], text = _take(text, words)
    return world.Scene(**found)


def _take(text: str, words: Mapping[str, tuple[str, ...]]) -> tuple[str | None, str]:
    """Find the first of several names by its words, and cut these out of the text."""
    names = {word.lower(): name for name, each in words.items() for word in each}
    longest_first = sorted(names, key=len, reverse=True)
    match = re.search(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", text)
    if match is None:
        return None, text
    return names[match.group()], f"{text[: match.start()]}, {text[match.end() :]}"


_BACKGROUNDS = {
    **world.SCENE_WORDS,
    **{
        name: tuple(
            f"on {article}{word}{ending}"
            for word in words
            for article in ("", "a ", "an ")
            for ending in ("", " background")
        )
        for name, words in world.COLOR_WORDS.items()
    },
}
