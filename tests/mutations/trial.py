"""A copy of the tree in which tests are run over broken code, and which tests touch which line."""

import compileall
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .touched import assertions

ROOT = Path(__file__).resolve().parents[2]
MOST_CPU_SECONDS = 900  # of one file of tests that is only watched
# What the tests' own conftest sets, but before the libraries are imported.
AWAY = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HOME": "/nowhere",
    "HF_HUB_CACHE": "/nowhere/hub",
    "HF_TOKEN": "",
}
AWAY |= {"HF_ENDPOINT": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Copy:
    """A copy of the tracked and the new files of this checkout, and a process there that runs tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tree"
        self._log = folder / "log.txt"
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, self.folder / name)
        compileall.compile_dir(self.folder / "sd_app", quiet=1)
        self._worker = self._start()

    def _start(self) -> subprocess.Popen[str]:
        # The module by its path: the package must be the copy's, and nothing of it is imported yet.
        command = [sys.executable, "-m", "tests.mutations.worker", str(self._log)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | AWAY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(
        self, files: list[str], tests: list[str] | None, *, seconds: float, touched: Path | None = None
    ) -> dict[str, Any]:
        """Run tests of files in the copy; see worker.py."""
        job = {"files": files, "tests": tests, "seconds": seconds, "touched": touched and str(touched)}
        assert self._worker.stdin
        assert self._worker.stdout
        self._worker.stdin.write(json.dumps(job) + "\n")
        self._worker.stdin.flush()
        while True:
            line = self._worker.stdout.readline()
            if not line:
                raise RuntimeError(f"the worker ended; its log: {self._log}")
            if (answer := json.loads(line)) != "ready":
                return dict(answer)

    @contextmanager
    def broken(self, file: str, code: str) -> Iterator[None]:
        """Give a file of the copy other code for a while; no compiled code of it is left to be taken."""
        path = self.folder / file
        before = path.read_text(encoding="utf-8")
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(code, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")

    def close(self) -> None:
        assert self._worker.stdin
        self._worker.stdin.close()
        self._worker.wait(timeout=60)


@dataclass
class Map:
    """Which tests ran which line of which file."""

    seconds: dict[str, float] = field(default_factory=dict)  # CPU time of each test
    lines: dict[str, dict[int, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )

    asserted: dict[str, set[int]] = field(
        default_factory=lambda: defaultdict(set)
    )  # lines of the tests' files

    def add(self, touched: dict[str, Any]) -> None:
        self.seconds |= touched["seconds"]
        for file, lines in touched["asserted"].items():
            self.asserted[file] |= set(lines)
        for file, lines in touched["lines"].items():
            for line, tests in lines.items():
                self.lines[file][int(line)] |= set(tests)

    def tests_of(self, file: str, line: int | None = None) -> set[str]:
        """Return the tests that ran a line, or anything of the file."""
        of_file = self.lines.get(file, {})
        return set(of_file.get(line, ())) if line is not None else set().union(*of_file.values())

    def files_in_order(self, tests: set[str], file: str) -> list[tuple[str, float]]:
        """Return the files of these tests and their CPU seconds; first who runs most for the least."""
        seconds: dict[str, float] = defaultdict(float)
        for test in tests:
            seconds[test.partition("::")[0]] += self.seconds[test]
        ran: dict[str, set[int]] = defaultdict(set)
        for line, users in self.lines[file].items():
            for test in users & tests:
                ran[test.partition("::")[0]].add(line)
        return sorted(seconds.items(), key=lambda item: (item[1] + 1) / (len(ran[item[0]]) + 1))


def idle_assertions(folder: Path, known: Map) -> list[str]:
    """Return the places of assertions that no test reached: under an `if` that is never true, say.

    Only of files that ran at all; what is seldom run, and what a browser runs, is left out.
    """
    return [
        f"{file}:{line}"
        for file in sorted(known.asserted)
        for line in sorted(assertions(folder / file) - known.asserted[file])
    ]


def test_files(folder: Path) -> list[str]:
    """Return all files of tests that need no browser."""
    found = (path.relative_to(folder).as_posix() for path in folder.glob("tests/**/test_*.py"))
    return sorted(name for name in found if not name.startswith("tests/browser/"))


def read_map(copy: Copy, folder: Path) -> Map:
    """Return the map; files of tests that changed since it was made are watched anew."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Map()
    for file in test_files(copy.folder):
        text = (copy.folder / file).read_bytes()
        kept = folder / f"{file.replace('/', '.')}-{hashlib.sha256(text).hexdigest()[:12]}.json"
        if not kept.exists():
            answer = copy.run([file], None, seconds=MOST_CPU_SECONDS, touched=kept)
            print(f"{file}: {answer['cpu']} CPU s, code {answer['code']}", flush=True)
            if answer["code"] not in (0, 5):
                print(answer["output"][-600:], flush=True)
        if kept.exists():
            found.add(json.loads(kept.read_text()))
    return found
