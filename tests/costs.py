"""What each test costs, in seconds of CPU, its child processes included; conftest.py installs these classes.

A test that costs more than LIMIT is to be marked `slow`, and so is one with many parameters that add up to more:
`make quick` leaves it out. The last lines of a run name the tests that cost more alone and are not marked.
`pytest --costs FILE` writes what every test cost, the dearest first; with it the last lines also name the tests that
are marked and cost less than half of LIMIT, all their parameters together.

Seconds of CPU depend on the machine, so a test never fails for what it costs.
"""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT = 2.0

START = pytest.StashKey[float]()


def _seconds() -> float:
    """CPU that this process and its finished children have used."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Meter:
    """Adds the cost of a test to its last report, in whichever process runs it."""

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

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.costs: dict[str, tuple[float, bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.costs.update({report.nodeid: cost for name, cost in report.user_properties if name == "cost"})

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        costs = sorted(((cost, test, marked) for test, (cost, marked) in self.costs.items()), reverse=True)
        unmarked = [f"{cost:6.1f} s  {test}" for cost, test, marked in costs if cost > LIMIT and not marked]
        if unmarked:
            terminalreporter.section(f"over {LIMIT} s of CPU, to be marked slow")
            terminalreporter.write_line("\n".join(unmarked))
        if self.file is None:
            return
        self.file.write_text("".join(f"{cost:.3f} {test}\n" for cost, test, _ in costs))
        totals: dict[str, float] = {}
        for cost, test, marked in costs:
            if marked:
                name = test.partition("[")[0]
                totals[name] = totals.get(name, 0.0) + cost
        cheap = [f"{cost:6.1f} s  {name}" for name, cost in totals.items() if cost < LIMIT / 2]
        if cheap:
            terminalreporter.section(f"marked slow, under {LIMIT / 2} s of CPU")
            terminalreporter.write_line("\n".join(cheap))
