"""What each test costs, in seconds of CPU, its child processes included, and which tests are `slow` for it.

tests/slow.txt names the slow ones, a function (`FILE::FUNCTION`) or one of its parameters (`FILE::FUNCTION[PARAMETER]`)
a line; conftest.py marks them, and `make quick` leaves them out. A run of the whole suite with `--update-slow` writes
the file anew from what it measured, and a run of some files the lines of what it ran. Tests of which the first or last
pays for what they share are marked in their own file. `pytest --costs FILE` writes what every test cost, the dearest
first. The last lines of a run name the tests over LIMIT that are not marked.

Seconds of CPU depend on the machine, so a test never fails for what it costs.
"""

import re
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

LIMIT = 2.0
"""What no test of `make quick` should cost."""

SINGLE, MEAN = 0.5, 0.025
"""A test over SINGLE is slow, and a whole function whose other tests cost more than MEAN on average."""

DEFINITION = re.compile(r"^ *def (test_\w+)", re.MULTILINE)

LIST = Path(__file__).parent / "slow.txt"

START = pytest.StashKey[float]()


def slow_tests(costs: dict[str, float]) -> list[str]:
    """The names to list as slow, sorted: functions and single tests.

    Args:
        costs: Seconds of CPU by the name that pytest gives a test (its node identifier).
    """
    functions: dict[str, dict[str, float]] = {}
    for test, cost in costs.items():
        functions.setdefault(_function(test), {})[test] = cost
    slow: list[str] = []
    for function, tests in functions.items():
        cheap = [cost for cost in tests.values() if cost <= SINGLE]
        if not cheap or sum(cheap) / len(cheap) > MEAN:
            slow.append(function)
        else:
            slow += [test for test, cost in tests.items() if cost > SINGLE]
    return sorted(slow)


def updated(listed: Iterable[str], costs: dict[str, float]) -> list[str]:
    """The list after a run: the functions and tests that it measured are judged anew, the others stay."""
    measured = {*costs, *(_function(test) for test in costs)}
    slow = {*(name for name in listed if name not in measured), *slow_tests(costs)}
    return sorted(name for name in slow if name == _function(name) or _function(name) not in slow)


def _function(test: str) -> str:
    return test.partition("[")[0]


def _seconds() -> float:
    """CPU that this process and its finished children have used."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Meter:
    """Marks the slow tests, and adds the cost of a test to its last report, in whichever process runs it."""

    def __init__(self) -> None:
        self.slow = frozenset(LIST.read_text().splitlines())

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        """`-m "not slow"` does not even import a file of slow tests only."""
        if config.option.markexpr != "not slow" or not collection_path.match("tests/test_*.py"):
            return None
        functions = DEFINITION.findall(collection_path.read_text())
        names = {f"tests/{collection_path.name}::{function}" for function in functions}
        return True if names and names <= self.slow else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.nodeid in self.slow or _function(item.nodeid) in self.slow:
                item.add_marker("slow")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        item.stash[START] = _seconds()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report = yield
        if report.when == "teardown":
            marked = item.get_closest_marker("slow") is not None
            report.user_properties.append(("cost", (_seconds() - item.stash[START], marked)))
        return report


class Ledger:
    """Keeps what the tests of a run cost, and whether they are marked; their reports tell it, from all workers."""

    def __init__(self, file: Path | None, update: bool) -> None:
        self.file = file
        self.update = update
        self.costs: dict[str, tuple[float, bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.costs.update({report.nodeid: cost for name, cost in report.user_properties if name == "cost"})

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        costs = sorted(((cost, test, marked) for test, (cost, marked) in self.costs.items()), reverse=True)
        unmarked = [f"{cost:6.1f} s  {test}" for cost, test, marked in costs if cost > LIMIT and not marked]
        if unmarked and not self.update:
            terminalreporter.section(f"over {LIMIT} s of CPU and not marked as slow")
            terminalreporter.write_line("\n".join(unmarked))
        if self.file is not None:
            self.file.write_text("".join(f"{cost:.3f} {test}\n" for cost, test, _ in costs))
        if self.update:
            listed = LIST.read_text().splitlines()
            LIST.write_text("".join(f"{name}\n" for name in updated(listed, {test: cost for cost, test, _ in costs})))
