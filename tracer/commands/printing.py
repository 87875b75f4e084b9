"""What commands print: tables for people, JSON for programs, progress on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer

from passes.printable import printable

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def print_json(value: Any) -> None:
    """Print a result for programs; what JSON cannot hold is written as its `str`."""
    print(json.dumps(value, indent=2, default=str))


def say(text: str, err: bool = False) -> None:
    """Print lines for people; what a file says reaches a terminal as text only."""
    typer.echo(printable(text), err=err)


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    rows = [tuple(row) for row in rows]
    table = Table(title=printable(title), title_justify="left")
    for index, heading in enumerate(headings):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(printable(heading), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    Console(markup=False).print(table)


def cell(value: Any) -> str:
    """A value as a table shows it: thousands separated, floats in three digits, nothing for None."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else printable(str(value))


def with_progress(steps: Iterable[str], total: int, doing: str) -> Iterator[str]:
    """The steps, with a bar on stderr as long as they last (none where stderr is no terminal)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        for step in steps:
            progress.update(task, advance=1, description=f"{doing} {step}")
            yield step
