"""Findings and figures of a step, for people: a table, and a plot."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from typing import Any

from passes.diagnose.findings import TrainingFinding
from passes.diagnose.measure import Record
from passes.diagnose.plot import draw


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found in `batches` batches. `records` are the figures, in the order of the program."""

    findings: tuple[TrainingFinding, ...]
    records: tuple[Record, ...]
    batches: int

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def of(self, kind: str) -> list[TrainingFinding]:
        """The findings of one kind: "saturated", "dead", "vanishing" ..."""
        return [finding for finding in self.findings if finding.kind == kind]

    def table(self) -> str:
        """Every layer, activation and parameter with its gradient's norm, and what is wrong with it, as text."""
        from rich.console import Console

        console = Console(file=io.StringIO(), width=140, color_system=None, force_jupyter=False)
        console.print(self._rich_table())
        for finding in self.findings:
            console.print(f"{finding}\n    hint: {finding.hint}", markup=False, highlight=False)
        if self.healthy:
            console.print(f"nothing found in {self.batches} batches")
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw gradient norms and shares of idle units to a file. Raises ImportError where matplotlib is missing."""
        draw(shown(self.records), self.findings, path)

    def __rich__(self) -> Any:
        return self._rich_table()

    def __str__(self) -> str:
        return self.table()

    def _rich_table(self) -> Any:
        from rich.table import Column, Table

        table = Table(
            "operator",
            Column("name", overflow="fold"),
            "gradient norm",
            "idle units",
            "finding",
            "line",
            title="training step",
        )
        wrong: dict[str, list[str]] = {}
        for finding in self.findings:
            wrong.setdefault(finding.name.partition(" (")[0], []).append(finding.kind)
        for record in shown(self.records):
            norm = "none" if record.norm is None else f"{record.norm:.2e}"
            share = f"{record.share:.0%}" if record.fault else ""
            table.add_row(record.operator, record.name, norm, share, ", ".join(wrong.get(record.name, [])), record.line)
        return table


def shown(records: Iterable[Record]) -> list[Record]:
    """The records worth a row: layers, activations, parameters."""
    return [record for record in records if record.weights or record.fault or record.is_parameter]
