"""Runs pytest again and again in one copy of the tree, a fork each; the libraries are imported once.

Started by trial.py with the copy as its folder. Takes a job a line, as JSON: {"files", "tests", "seconds",
"touched"}; says {"code", "cpu", "output", "failed"} of each. `tests` are those to run of `files`; null: all.
"""

import importlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import pytest

# What takes long to import. Nothing of sd_app: the break to be tried is in there.
LIBRARIES = ("torch", "torchvision", "diffusers", "transformers", "open_clip", "gradio", "scipy.stats", "av")
OTHERS = ("cv2", "hypothesis", "matplotlib.pyplot", "peft", "coverage", "playwright.sync_api")
FIRST_FAILED = "first failed: "
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "AutoencoderKL", "UNet2DConditionModel")


class Chosen:
    """Deselects all tests but those named, and says as the last line which one failed first."""

    def __init__(self, tests: list[str] | None) -> None:
        self._tests = tests and set(tests)
        self._failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._tests is not None:
            items[:] = [item for item in items if item.nodeid in self._tests]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._failed:
            self._failed = report.nodeid

    def pytest_unconfigure(self) -> None:
        print(f"\n{FIRST_FAILED}{self._failed}")


def run_tests(job: dict[str, Any]) -> int:
    """Run the tests of a job in this process; return pytest's code."""
    arguments = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-o", "timeout=1200", "--tb=line"]
    arguments += job["files"]
    plugins: list[object] = [Chosen(job["tests"])]
    if job["touched"]:
        from tests.mutations.touched import Touched

        arguments.remove("-x")
        plugins.append(Touched(Path(job["touched"])))
    return int(pytest.main(arguments, plugins=plugins))


def run_apart(job: dict[str, Any], log: Path) -> dict[str, Any]:
    """Run a job in a process of its own; `code` is negative if that took more CPU time than `seconds`."""
    process = os.fork()
    if process == 0:
        os.setsid()
        limit = int(job["seconds"])
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = 3
        try:
            code = run_tests(job)
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status, used = os.wait4(process, 0)
    cpu = round(used.ru_utime + used.ru_stime, 1)
    output = log.read_text(errors="replace")
    failed = output.rpartition(FIRST_FAILED)[2].strip() if FIRST_FAILED in output else ""
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "cpu": cpu, "output": output[-3000:], "failed": failed}


def main() -> None:
    for name in (*LIBRARIES, *OTHERS):
        importlib.import_module(name)
    diffusers = importlib.import_module("diffusers")
    for name in PIPELINES:
        getattr(diffusers, name)
    log = Path(sys.argv[1])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(run_apart(json.loads(line), log)), flush=True)


if __name__ == "__main__":
    main()
