"""What crosses modules is frozen and given by keywords: a field may move, and nobody changes one unseen."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# These have state of their own, and change. The page's jobs do too.
CHANGING = {
    "LoraNames",
    "_Open",
    "_Read",
    "Job",
    "PngText",
    "Carried",
    "Known",
    "Checkpoint",
    "MergePlan",
    "Pipeline",
    "PictureAlone",
    "Progress",
    "Coming",
    "_Folder",
    "_Found",
}
BY_PLACE = {"RunOptions", "InfotextKey", "Maybe", "Swept", "_Layout"}  # of few fields that nobody mixes up


def dataclasses_of(path: Path) -> dict[str, set[str]]:
    """Return what each dataclass of a file says of itself, by its name."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for mark in getattr(node, "decorator_list", ()):
            call = mark.func if isinstance(mark, ast.Call) else mark
            if isinstance(node, ast.ClassDef) and ast.unparse(call) == "dataclass":
                words = mark.keywords if isinstance(mark, ast.Call) else []
                found[node.name] = {ast.unparse(word) for word in words}
    return found


def test_every_dataclass_is_frozen_and_takes_keywords_only_but_for_those_named_here() -> None:
    every = {path: dataclasses_of(path) for path in sorted((ROOT / "sd_app").rglob("*.py"))}
    assert sum(map(len, every.values())) > 100
    for path, classes in every.items():
        page = path.is_relative_to(ROOT / "sd_app/ui")
        for name, says in classes.items():
            assert ("kw_only=True" in says) == (name not in BY_PLACE), f"{path.name}: {name}"
            if not page:
                assert ("frozen=True" in says) == (name not in CHANGING), f"{path.name}: {name}"
