"""One-line breaks of the code, drawn from what cosmic-ray's operators can do to it."""

import ast
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

# Not tried: the page, which is for a browser, and torch.compile, at minutes a trial.
LEFT_OUT = ("sd_app/ui/", "sd_app/speed/compiling.py")
# Of strings and whole numbers `is` says nearly always what `==` says; which, is chance.
IDENTITY = ("Eq_Is", "Eq_IsNot", "NotEq_Is", "NotEq_IsNot", "Is_Eq", "Is_NotEq", "IsNot_Eq", "IsNot_NotEq")
NEED_ARGUMENTS = ("VariableReplacer", "VariableInserter")

Position = tuple[int, int]  # line from 1, column from 0


@dataclass(frozen=True, kw_only=True)
class Break:
    """What one operator does at one place."""

    file: str  # relative to the root
    line: int  # from 1
    operator: str
    old: str  # the line, or the lines, as they are
    new: str  # as they are broken; both without indentation
    code: str = field(repr=False)  # the whole file, broken

    @property
    def name(self) -> str:
        """Say the break in one line, the same wherever in the file it stands."""
        return f"{self.file}: {self.old} => {self.new}"


def files_to_break(root: Path) -> list[str]:
    """Return the files that are drawn from."""
    names = (path.relative_to(root).as_posix() for path in root.glob("sd_app/**/*.py"))
    return sorted(name for name in names if not name.startswith(LEFT_OUT))


def draw_breaks(root: Path, seed: int) -> Iterator[Break]:
    """Yield breaks in a random order: every place is as likely as any, then every break of the place.

    The order hangs on the lines' texts, so that a change elsewhere leaves nearly all of it.
    """
    places = [place for file in files_to_break(root) for place in _places(root, file)]
    for place in sorted(places, key=lambda place: _random_number(seed, place.name)):
        source = (root / place.file).read_text(encoding="utf-8")
        ways = sorted(place.ways, key=lambda way: _random_number(seed, f"{place.name} {way}"))
        if found := next(filter(None, (break_at(place.file, source, *way) for way in ways)), None):
            yield found


@dataclass(frozen=True, kw_only=True)
class _Place:
    file: str
    name: str
    ways: list[tuple[str, int]]  # operators, each with which of all it can do in the file is meant


def _places(root: Path, file: str) -> Iterator[_Place]:
    source = (root / file).read_text(encoding="utf-8")
    nodes = list(ast_nodes(get_ast(source)))
    ways: dict[Position, list[tuple[str, int]]] = defaultdict(list)
    for name, operator in _operators().items():
        positions = ((node, start) for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (node, start) in enumerate(positions):
            if not _is_annotation(node):
                ways[start].append((name, occurrence))
    lines, equals = source.splitlines(), Counter[str]()
    for (line, column), found in sorted(ways.items()):
        name = f"{file} {column} {lines[line - 1]}"
        equals[name] += 1
        yield _Place(file=file, name=f"{name} {equals[name]}", ways=found)


def break_at(file: str, source: str, operator: str, occurrence: int) -> Break | None:
    """Return a break, or nothing if it is none: no longer Python, or the same in other words."""
    code = str(mutate_code(source, _operators()[operator], occurrence))
    try:
        if ast.dump(ast.parse(code)) == ast.dump(ast.parse(source)):
            return None
    except SyntaxError:  # the star of `{*a}` is no multiplication
        return None
    before, after = source.splitlines(), code.splitlines()
    changes = [o for o in SequenceMatcher(None, before, after, False).get_opcodes() if o[0] != "equal"]
    old = " ".join(line.strip() for _, i, j, _, _ in changes for line in before[i:j])
    new = " ".join(line.strip() for _, _, _, i, j in changes for line in after[i:j])
    return Break(file=file, line=changes[0][1] + 1, operator=operator, old=old, new=new, code=code)


def _random_number(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


@cache
def _operators() -> dict[str, Any]:
    provider = OperatorProvider()
    names = (name for name in provider if name not in NEED_ARGUMENTS and not name.endswith(IDENTITY))
    return {name: provider[name]() for name in sorted(names)}


def _is_annotation(node: Any) -> bool:
    """Tell whether a node stands in an annotation, which nothing runs, or is a mark between parameters."""
    if node.parent is not None and node.parent.type in ("parameters", "lambdef"):
        return True
    child, parent = node, node.parent
    while parent is not None:
        if parent.type == "annassign" and child is parent.children[1]:
            return True
        if parent.type == "tfpdef" and child is parent.children[2]:
            return True
        if parent.type == "funcdef" and child is parent.annotation:
            return True
        child, parent = parent, parent.parent
    return False
