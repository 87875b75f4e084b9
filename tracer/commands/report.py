"""`report`: a program run as it is, and a page about what was captured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracer.commands.printing import say
from tracer.commands.programs import ProgramArgument, explained, write_output


def report(
    program: ProgramArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")] = Path("report.html"),
) -> None:
    """Run a program and write a page about its captures: one HTML file for any browser, without a network.

    Exits with the program's own status.
    """
    explanation, status = explained(program, as_json=False)
    write_output(output, explanation.to_html(title=program[0]))
    say(f"{output}: {explanation.captures} captures, {explanation.graphs} graphs")
    raise typer.Exit(status)
