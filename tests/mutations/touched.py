"""Write down which lines of sd_app each test runs, and which assertions of the tests, as JSON; see trial.py.

What a fixture runs that several tests share counts for each of them.
"""

import ast
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage


class Touched:
    """Watches a run of pytest and writes `path` at its end.

    {"seconds": {test: CPU seconds}, "lines": {file: {line: [test, ...]}}, "asserted": {file: [line, ...]}},
    files and tests relative to the root. Lines that ran while a file was imported belong to no test.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._coverage = Coverage(data_file=None, source=["sd_app", "tests"], config_file=False)
        self._context = ""
        self._users: dict[str, set[str]] = defaultdict(set)  # tests of each shared fixture
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()

    def _switch(self, context: str) -> str:
        before, self._context = self._context, context
        self._coverage.switch_context(context)
        return before

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        for definitions in item._fixtureinfo.name2fixturedefs.values():
            for definition in definitions:
                self._users[_context_of(definition)].add(item.nodeid)
        before, began = self._switch(item.nodeid), time.process_time()
        result = yield
        self._seconds[item.nodeid] = round(time.process_time() - began, 3)
        self._switch(before)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        self._users[_context_of(fixturedef)].add(self._context)
        before = self._switch(_context_of(fixturedef))
        try:
            return (yield)
        finally:
            self._switch(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        for test in self._failed:  # it says nothing about a break
            self._seconds.pop(test, None)
        data, root = self._coverage.get_data(), Path.cwd()
        lines: dict[str, dict[int, list[str]]] = {}
        asserted: dict[str, list[int]] = {}
        for file in data.measured_files():
            name = Path(file).relative_to(root).as_posix()
            if name.startswith("tests/"):
                asserted[name] = sorted(assertions(Path(file)) & set(data.lines(file) or ()))
                continue
            of_file = lines[name] = {}
            for line, contexts in data.contexts_by_lineno(file).items():
                tests = {test for context in contexts for test in self._users.get(context, {context})}
                if named := sorted(tests & self._seconds.keys()):
                    of_file[line] = named
        self._path.write_text(json.dumps({"seconds": self._seconds, "lines": lines, "asserted": asserted}))


def assertions(path: Path) -> set[int]:
    """Return the lines where a file of tests asserts something, but for tests that seldom run."""
    seldom = ("pytest.mark.slow", "pytest.mark.gpu")
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set[int]()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assert):
            found.add(node.lineno)
        marks = [ast.unparse(mark) for mark in getattr(node, "decorator_list", ())]
        if not any(mark.startswith(seldom) for mark in marks):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def _context_of(definition: Any) -> str:
    return f"fixture {definition.baseid}::{definition.argname}"
