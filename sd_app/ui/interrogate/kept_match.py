"""What the browser keeps of the matching matrix, so that it stands there after a reload."""

from collections.abc import Sequence
from typing import TypedDict, cast

from ..shared.components import NamedFile
from ..shared.files import PictureFiles
from ..shared.kept_shape import like
from .match_value import EMPTY, MatchValue, Tables

TABLES = ("cosines", "by_text", "by_image")
ROW = [[0.0]]
SHAPE = {
    "pictures": [[""]],
    "texts": [""],
    "tables": dict.fromkeys(TABLES, ROW),
    "ranks": [[""]],
    "titles": [[""]],
    "text": "",
    "notice": "",
    "note": "",
}


class KeptMatch(TypedDict):
    """What is kept of a MatchValue; its pictures as path and name."""

    pictures: list[list[str]]
    texts: list[str]
    tables: Tables
    ranks: list[list[str]]
    titles: list[list[str]]
    text: str
    notice: str
    note: str


def keep_match(drawn: MatchValue) -> KeptMatch:
    """Return what the browser shall keep of a finished matrix."""
    return {
        "pictures": [[picture["file"]["path"], picture["name"]] for picture in drawn["pictures"]],
        "texts": drawn["texts"],
        "tables": drawn["tables"],
        "ranks": drawn["ranks"],
        "titles": drawn["titles"],
        "text": drawn["text"],
        "notice": drawn["notice"],
        "note": drawn["note"],
    }


def read_match(saved: object, files: PictureFiles) -> MatchValue | None:
    """Return the matrix that the browser kept; None for anything else, or if a picture has gone.

    It is not trusted: it is rebuilt by its shape, each table must have a row a picture and a column a text.
    """
    try:
        kept = cast(KeptMatch, like(saved, SHAPE))
    except ValueError:
        return None
    pictures: list[NamedFile] = []
    for entry in kept["pictures"]:
        file = files.again(entry[0]) if len(entry) == 2 else None
        if file is None:
            return None
        pictures.append({"file": file, "name": entry[1][:100]})
    size = (len(pictures), len(kept["texts"]))
    tables = kept["tables"]
    cells = (tables["cosines"], tables["by_text"], tables["by_image"], kept["ranks"], kept["titles"])
    if not all(size) or not all(_has_size(rows, size) for rows in cells):
        return None
    return {**EMPTY, **kept, "pictures": pictures, "phase": "done", "fraction": 1}


def _has_size(rows: Sequence[Sequence[object]], size: tuple[int, int]) -> bool:
    return len(rows) == size[0] and all(len(row) == size[1] for row in rows)
