"""The value that match.js draws, as the server makes it."""

from collections.abc import Sequence
from typing import TypedDict

from ..shared.components import NamedFile
from ..shared.result_values import JobValue


class Tables(TypedDict, total=False):
    """Rows of numbers, a row a picture and a column a text."""

    cosines: Sequence[Sequence[float]]
    by_text: Sequence[Sequence[float]]  # which text is the picture's
    by_image: Sequence[Sequence[float]]  # which picture is the text's


class MatchValue(JobValue):
    """What the table shows."""

    pictures: list[NamedFile]  # the rows
    texts: list[str]  # the columns
    tables: Tables
    ranks: list[list[str]]  # as cosines, in words: the percentile among random phrases, "" if not known
    titles: list[list[str]]  # as cosines: the whole of what is known of each, a sentence
    note: str  # which CLIP


EMPTY: MatchValue = {
    "phase": "empty",
    "text": "",
    "detail": "",
    "fraction": 0,
    "notice": "",
    "pictures": [],
    "texts": [],
    "tables": {},
    "ranks": [],
    "titles": [],
    "note": "",
}
