"""The breaks that python -m tests.mutations draws: one a place, the same again, none that break nothing."""

import ast
from pathlib import Path

import pytest

from tests.mutations.breaks import Break, draw_breaks, files_to_break
from tests.mutations.harmless import HARMLESS
from tests.mutations.trial import Map, idle_assertions

SOURCE = '''"""A module."""

LIMIT: int | None = 3


def add(first: int | str, *, second: list[int | None]) -> bool | None:
    if first == "x" and LIMIT:
        return not second
    for one in second:
        print(*second, one + 1)
    return None
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("sd_app/ui/page.py", "sd_app/text/words.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(SOURCE)
    return tmp_path


def test_the_page_is_left_out(tree: Path) -> None:
    assert files_to_break(tree) == ["sd_app/text/words.py"]


def test_each_place_is_broken_once_and_only_where_something_runs(tree: Path) -> None:
    breaks = list(draw_breaks(tree, 1))
    assert [one.line for one in sorted(breaks, key=lambda one: one.line)] == [3, 7, 7, 7, 8, 9, 10, 10]
    for one in breaks:
        assert ast.dump(ast.parse(one.code)) != ast.dump(ast.parse(SOURCE))
        assert one.code.replace(one.new, one.old) == SOURCE
        assert " is " not in one.new


def test_a_seed_draws_the_same_again_whatever_changes_elsewhere(tree: Path) -> None:
    first = [one.name for one in draw_breaks(tree, 1)]
    assert [one.name for one in draw_breaks(tree, 1)] == first
    assert [one.name for one in draw_breaks(tree, 2)] != first
    (tree / "sd_app/text/words.py").write_text('"""A module.\n\nLonger."""\n' + SOURCE[15:])
    (tree / "sd_app/text/new.py").write_text("X = 1\n")
    assert [one.name for one in draw_breaks(tree, 1) if "new.py" not in one.file] == first


def test_the_tests_that_run_most_of_a_file_for_the_least_are_tried_first() -> None:
    known = Map()
    seconds = {"a.py::x": 9, "b.py::y": 0.1, "b.py::z": 1}
    known.add({"seconds": seconds, "lines": {"f": {"1": ["a.py::x"]}}, "asserted": {}})
    known.add(
        {"seconds": {}, "lines": {"f": {"1": ["b.py::y"], "2": ["b.py::z", "b.py::y"]}}, "asserted": {}}
    )
    assert known.tests_of("f", 1) == {"a.py::x", "b.py::y"}
    assert known.tests_of("f", 3) == set()
    assert [name for name, _ in known.files_in_order(known.tests_of("f"), "f")] == ["b.py", "a.py"]


def test_an_assertion_that_no_test_reaches_is_named(tmp_path: Path) -> None:
    text = "def test_a():\n    if False:\n        assert 1\n    assert 2\n"
    text += "@pytest.mark.slow\ndef test_b():\n    assert 3\n"
    (tmp_path / "test_x.py").write_text(text)
    known = Map()
    known.add({"seconds": {}, "lines": {}, "asserted": {"test_x.py": [4]}})
    assert idle_assertions(tmp_path, known) == ["test_x.py:3"]


def test_what_is_called_harmless_is_still_in_the_code() -> None:
    root = Path(__file__).parents[1]
    for name, why in HARMLESS.items():
        file, change = name.split(": ", 1)
        before = " ".join(change.split(" => ")[0].split())
        assert before in " ".join((root / file).read_text(encoding="utf-8").split())
        assert why.endswith("."), name


def test_a_break_is_named_by_its_lines() -> None:
    one = Break(file="sd_app/a.py", line=3, operator="", old="x = 1", new="x = 2", code="")
    assert one.name == "sd_app/a.py: x = 1 => x = 2"
