"""`graph`: a program run as it is, and the graphs that were captured of it, printed or written to files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from passes.network.build import network_of
from passes.network.export import to_dot, to_graphml, to_svg
from tracer.commands.printing import JsonOption, print_json, say
from tracer.commands.programs import NothingCaptured, ProgramArgument, ProgramError, explained, write_output
from tracer.entry import Entry


def _network(write: Callable[[Any], str]) -> Callable[[Entry], str]:
    return lambda entry: write(network_of(entry.graph_module.graph))  # type: ignore[union-attr]


FORMATS: Final[dict[str, Callable[[Entry], str]]] = {
    ".py": lambda entry: entry.graph_text,
    ".json": lambda entry: entry.to_json() + "\n",
    ".dot": _network(to_dot),
    ".svg": _network(to_svg),
    ".graphml": _network(to_graphml),
}


def graph(
    program: ProgramArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=f"File to write: {', '.join(FORMATS)}. Of several graphs, a number each."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a program and show its captured graphs. Exits with the program's own status."""
    if output is not None and output.suffix not in FORMATS:
        raise ProgramError(f"{output} ends in no format that there is: {', '.join(FORMATS)}")
    explanation, status = explained(program, as_json)
    entries = [entry for entry in explanation.entries if entry.graph_module is not None]
    if not entries:
        raise NothingCaptured(f"no tensor operation was captured of {program[0]}", status)
    files = [None] * len(entries) if output is None else written(entries, output)
    if as_json:
        rows = zip(entries, files, strict=True)
        print_json(
            [
                {"place": entry.place, "ops": entry.ops, "file": file, "nodes": json.loads(entry.to_json())}
                for entry, file in rows
            ]
        )
    else:
        for entry, file in zip(entries, files, strict=True):
            say(f"# {entry.place}\n{entry.graph_text}" if file is None else f"{file}: {entry.place}")
    raise typer.Exit(status)


def written(entries: list[Entry], output: Path) -> list[str]:
    """The files that the graphs were written to: `output`, or `output` with a number if there are several."""
    files: list[str] = []
    for number, entry in enumerate(entries, 1):
        file = output if len(entries) == 1 else output.with_stem(f"{output.stem}-{number}")
        write_output(file, FORMATS[output.suffix](entry))
        files.append(str(file))
    return files
