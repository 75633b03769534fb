"""Tell what each file of tests costs, programs it started too: python -m pytest -p tests.cpu_seconds."""

import resource
from collections import Counter
from collections.abc import Iterator

import pytest


def cpu_seconds() -> float:
    """Return what this process and those it has waited for took so far."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    item.user_properties.append(("began", cpu_seconds()))
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    item.user_properties.append(("ended", cpu_seconds()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    files: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                times = dict(report.user_properties)
                files[report.nodeid.partition("::")[0]] += times["ended"] - times["began"]
    terminalreporter.section("CPU seconds by file")
    for name, seconds in files.most_common():
        terminalreporter.line(f"{seconds:7.1f}  {name}")
    terminalreporter.line(f"{files.total():7.1f}  all, without collecting")
