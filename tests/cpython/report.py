"""What a run came to: a table by module, every difference, and the same as JSON; and what is pinned of the sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.cpython.runner import BAD, ModuleRun

MEASURED = ("same", *BAD)
COLUMNS = (*MEASURED, "fails plainly", "unsteady", "excluded", "not run")


def outcomes(run: ModuleRun) -> Counter[str]:
    """How many tests of a module came to each outcome."""
    expected = run.ids or [] if run.job.only is None else run.job.only
    return Counter(run.results[name]["outcome"] if name in run.results else "not run" for name in expected)


def share(counts: Counter[str]) -> float:
    """Percentage of the measured tests that were the same; 100 if none was measured."""
    measured = sum(counts[outcome] for outcome in MEASURED)
    return 100 * counts["same"] / measured if measured else 100.0


def differences(runs: Iterable[ModuleRun]) -> list[dict[str, Any]]:
    """Each test that was not the same: its id, its mode, and how it came out plainly and captured."""
    return [
        {"test": name, "mode": run.job.mode, **result}
        for run in runs
        for name, result in sorted(run.results.items())
        if result["outcome"] in BAD
    ]


def total(runs: Iterable[ModuleRun]) -> Counter[str]:
    """The outcomes of all modules together."""
    return sum((outcomes(run) for run in runs), Counter[str]())


def as_json(runs: list[ModuleRun]) -> dict[str, Any]:
    """The whole run: the share, the outcomes, each difference, and what is known of each test."""
    counts = total(runs)
    return {
        "share": round(share(counts), 3),
        "outcomes": dict(counts),
        "differences": differences(runs),
        "modules": [
            {"module": run.job.module, "mode": run.job.mode, "note": run.note, "tests": run.results} for run in runs
        ],
    }


def summary(runs: list[ModuleRun]) -> str:
    """The run as text."""
    lines = [f"{'module':28}{'mode':10}" + "".join(f"{column:>15}" for column in COLUMNS)]
    for run in runs:
        lines.append(_row(run.job.module, run.job.mode, outcomes(run)) + (f"  {run.note[:60]!r}" if run.note else ""))
    counts = total(runs)
    lines.append(_row("all", "", counts))
    lines += [describe(row) for row in differences(runs)]
    measured = sum(counts[outcome] for outcome in MEASURED)
    lines.append(f"the same: {share(counts):.2f}% of {measured} tests that pass plainly")
    return "\n".join(lines)


def _row(module: str, mode: str, counts: Counter[str]) -> str:
    return f"{module[:27]:28}{mode:10}" + "".join(f"{counts[column]:15}" for column in COLUMNS)


def describe(row: dict[str, Any]) -> str:
    """One difference in a line."""
    said = row.get("errors") if row["outcome"] == "internal error" else row.get("message", "").strip().splitlines()
    alone = f" (alone: {row['alone']})" if row.get("alone", row["outcome"]) != row["outcome"] else ""
    return f"{row['outcome']}{alone}: {row['test']} [{row['mode']}], call {row.get('call')}: {(said or [''])[-1][:160]}"


def unpinned(runs: list[ModuleRun], pinned: dict[str, Any]) -> list[str]:
    """What a run of the sample shows that is not pinned: tests that fail, tests without result, a smaller share."""
    known: dict[str, str] = pinned["failing"]
    wrong = [describe(row) for row in differences(runs) if known.get(f"{row['mode']} {row['test']}") != row["outcome"]]
    counts = total(runs)
    if counts["not run"]:
        wrong.append(f"{counts['not run']} tests of the sample have no result")
    if share(counts) < pinned["share"]:
        wrong.append(f"the same: {share(counts):.2f}%, less than the pinned {pinned['share']}%")
    return wrong
