"""The rows of the benchmarks as a table for people and as JSON for programs."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict

import torch
from rich.table import Table

from benchmarks.measure import Spread
from benchmarks.suite import Row

_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def scale_of(value: float, unit: str) -> tuple[float, str]:
    """The factor and the name of the unit in which `value` has one to three digits before the point."""
    if unit != "s":
        return 1.0, unit
    return next((row for row in _SCALES if abs(value) >= row[0]), _SCALES[-1])


def amount(value: float, unit: str) -> str:
    """A number with three significant digits, in the unit that `scale_of` chooses."""
    scale, name = scale_of(value, unit)
    return f"{value / scale:.3g} {name}"


def cell(spread: Spread | None, unit: str) -> str:
    """The median, and the quartiles in brackets."""
    if spread is None:
        return ""
    scale, _ = scale_of(spread.median, unit)
    quartiles = f" [dim]({spread.low / scale:.3g}-{spread.high / scale:.3g})[/dim]" if spread.samples > 1 else ""
    return amount(spread.median, unit) + quartiles


def verdict(row: Row) -> str:
    if row.reached is None:
        return ""
    limit = amount(row.limit or 0.0, row.unit)
    return f"[green]≤ {limit}[/green]" if row.reached else f"[red]not ≤ {limit}[/red]"


def table(rows: Sequence[Row]) -> Table:
    """A table of all rows, with a line between groups."""
    grid = Table(title="bytegraph against TorchDynamo (medians, quartiles in brackets)")
    for heading in ("measured", "subject", "TorchDynamo", "bytegraph", "limit"):
        grid.add_column(heading, overflow="fold")
    previous = None
    for row in rows:
        if previous not in (None, row.group):
            grid.add_section()
        group = "" if row.group == previous else row.group
        grid.add_row(group, row.name, cell(row.dynamo, row.unit), cell(row.bytegraph, row.unit), verdict(row))
        previous = row.group
    return grid


def as_json(rows: Sequence[Row]) -> str:
    """The rows and the machine that they were measured on; seconds and ratios unscaled."""
    facts = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    return json.dumps(
        {"measured on": facts, "rows": [asdict(row) | {"reached": row.reached} for row in rows]}, indent=2
    )
