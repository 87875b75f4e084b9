"""`report`: a program run as it is, and a page about what was captured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracer.commands.programs import ProgramArgument, explained


def report(
    program: ProgramArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")] = Path("report.html"),
) -> None:
    """Run a program and write a page about its captures: one HTML file for any browser, without a network.

    Exits with the program's own status.
    """
    explanation, status = explained(program, as_json=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    explanation.to_html(output, title=program[0])
    typer.echo(f"{output}: {explanation.captures} captures, {explanation.graphs} graphs")
    raise typer.Exit(status)
