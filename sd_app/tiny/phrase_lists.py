"""The picture world's own words as phrase lists, which ship with the embedded CLIP.

python -m sd_app.tiny.phrase_lists  # write them again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..settings import EMBEDDED_DIR
from . import world

FOLDER = EMBEDDED_DIR / "tiny-clip" / "phrases"


def make_phrases() -> dict[str, tuple[str, ...]]:
    """Return the phrases of each list, by the list's name."""
    colors, subjects = _words(world.COLOR_WORDS), _words(world.SUBJECT_WORDS)
    return {
        "backgrounds": (
            *_words(world.SCENE_WORDS),
            *(f"on {world.indefinite_article(color)} {color} background" for color in colors),
        ),
        "places": _words(world.PLACE_WORDS),
        "sizes": _words(world.SIZE_WORDS),
        "styles": _words(world.STYLE_WORDS),
        "things": tuple(
            f"{world.indefinite_article(color)} {color} {subject}" for subject in subjects for color in colors
        ),
    }


def write_phrases(folder: Path = FOLDER) -> None:
    """Write one text file a list."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, phrases in make_phrases().items():
        (folder / f"{name}.txt").write_text("\n".join(phrases) + "\n", encoding="utf-8")


def _words(table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    words: Iterable[str] = (word for words in table.values() for word in words)
    return tuple(dict.fromkeys(words))


if __name__ == "__main__":
    write_phrases()
