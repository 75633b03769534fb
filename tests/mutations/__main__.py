"""How many of 100 one-line breaks do the tests notice? python -m tests.mutations

Draws breaks of the code (breaks.py), applies each in a copy of the tree, runs the tests that touch the broken
line and tells which break none of them noticed. It takes hours; stopped, it goes on where it was. What was
tried is tried again once its file has changed; what was not noticed, with --again.
"""

import argparse
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from .breaks import Break, draw_breaks
from .harmless import HARMLESS
from .trial import ROOT, Copy, Map, idle_assertions, read_map

NOTICED, SURVIVED, HARMLESS_ONE = "noticed", "not noticed", "harmless"
ROUNDS = (3, 12, None)  # files of tests in each round; the rest in the last
READERS = ["tests/test_dataclasses.py"]  # read the code and run none of it
MOST_SECONDS = 120  # CPU time of the tests of one break, as they take it without the break


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100, help="breaks to draw (%(default)s)")
    parser.add_argument("--seed", type=int, default=2026, help="which ones (%(default)s)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutations", help="keeps what was found out")
    parser.add_argument("--again", action="store_true", help="try those again that nothing noticed")
    parser.add_argument("--report", action="store_true", help="try nothing, say what is known")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    state = State(options.folder / f"state-{options.seed}.json")
    breaks = list(islice(draw_breaks(ROOT, options.seed), options.count))
    if not options.report:
        try_breaks([one for one in breaks if state.is_open(one, again=options.again)], state, options.folder)
    print(report(breaks, state))


class State:
    """What came of each break, in a file that is written after each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def outcome(self, one: Break) -> str:
        """Return what came of it, with the test that noticed it; empty if it was not tried on this code."""
        if one.name in HARMLESS:
            return f"{HARMLESS_ONE}: {HARMLESS[one.name]}"
        found = self._found.get(one.name, {})
        return str(found["outcome"]) if found.get("code") == _digest(one) else ""

    def is_open(self, one: Break, *, again: bool) -> bool:
        outcome = self.outcome(one)
        return not outcome or (again and outcome.startswith(SURVIVED))

    def keep(self, one: Break, outcome: str) -> None:
        self._found[one.name] = {"outcome": outcome, "code": _digest(one)}
        self._path.write_text(json.dumps(self._found, indent=1))


def try_breaks(breaks: Sequence[Break], state: State, folder: Path) -> None:
    """Try breaks in a fresh copy of the tree, and keep what comes of each."""
    if not breaks:
        return
    with tempfile.TemporaryDirectory() as temporary:
        copy = Copy(Path(temporary))
        known = read_map(copy, folder / "map")
        for place in idle_assertions(copy.folder, known):
            print(f"asserts nothing, since no test comes there: {place}", flush=True)
        for number, one in enumerate(breaks, 1):
            outcome = try_break(one, copy, known)
            state.keep(one, outcome)
            print(f"{number} of {len(breaks)}: {one.name}\n    {outcome}", flush=True)
        copy.close()


def try_break(one: Break, copy: Copy, known: Map) -> str:
    """Run what touches the broken line, then what touches its file at all; stop at the first who notices.

    The second is for lines that run at import, or once for all. Tests that read the code come between.
    """
    near, far = known.tests_of(one.file, one.line), known.tests_of(one.file)
    spent = 0.0
    for tests in (near, far - near):
        if tests is not near and (who := _who_notices(one, copy, READERS, None, 1)):
            return f"{NOTICED} by {who}"
        files = known.files_in_order(tests, one.file)
        for count in ROUNDS:
            chosen, files = files[:count], files[len(files) if count is None else count :]
            seconds = sum(of_file for _, of_file in chosen)
            if not chosen or (spent and spent + seconds > MOST_SECONDS):
                continue
            spent += seconds
            names = [name for name, _ in chosen]
            if who := _who_notices(one, copy, names, _of_files(tests, names), seconds):
                return f"{NOTICED} by {who}"
    return f"{SURVIVED} by {len(near)} tests of its line and {len(far)} of its file"


def _of_files(tests: set[str], files: Sequence[str]) -> list[str]:
    return sorted(test for test in tests if test.partition("::")[0] in files)


def _who_notices(one: Break, copy: Copy, files: list[str], tests: list[str] | None, seconds: float) -> str:
    """Return the test that fails, or what else goes wrong; empty if nothing does.

    A test that fails without the break too has noticed nothing: it is left out, and the rest run again.
    """
    answer: dict[str, Any] = {}
    for patience in (1, 2):  # a loop without end ends neither time
        with copy.broken(one.file, one.code):
            answer = copy.run(files, tests, seconds=(120 + 5 * seconds) * patience)
        if answer["code"] >= 0 and "Failed: Timeout" not in answer["output"]:
            break
    if answer["code"] in (0, 5):
        return ""
    if not (failed := answer["failed"]):
        ended = answer["code"] < 0
        return f"the end of the process, signal {-answer['code']}" if ended else "an error at import"
    file = failed.partition("::")[0]
    same = tests and _of_files(set(tests), [file])
    if tests and copy.run([file], same, seconds=120 + 5 * seconds)["failed"] == failed:
        print(f"fails without a break: {failed}", flush=True)
        return _who_notices(one, copy, files, [test for test in tests if test != failed], seconds)
    return str(failed)


def report(breaks: Sequence[Break], state: State) -> str:
    """Return the share noticed, and each break that was not."""
    outcomes = {one.name: state.outcome(one) for one in breaks}
    tried = {name: outcome for name, outcome in outcomes.items() if outcome}
    kinds = Counter(outcome.partition(":")[0].partition(" by ")[0] for outcome in tried.values())
    lines = [f"{len(tried)} of {len(breaks)} breaks tried", *(f"{n:4} {kind}" for kind, n in kinds.items())]
    for one in breaks:
        outcome = outcomes[one.name]
        if outcome and not outcome.startswith(NOTICED):
            lines += ["", f"{one.file}:{one.line} {one.operator}", f"- {one.old}", f"+ {one.new}", outcome]
    return "\n".join(lines)


def _digest(one: Break) -> str:
    return hashlib.sha256(one.code.encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
