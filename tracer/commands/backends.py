"""`python -m tracer backends`: which backends there are, where each comes from, and what one of them is."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from backends.registry import describe, list_backends, usual_backends
from tracer.commands.printing import JsonOption, print_json, print_table, say


def backends(
    name: Annotated[str | None, typer.Argument(help="Describe this one in full.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List those by which torch tests its compilers, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the backends that `capture(backend=...)` takes by name."""
    rows: list[dict[str, Any]] = []
    for each in (list_backends() if every else usual_backends()) if name is None else [name]:
        origin, documentation = describe(each)
        text = inspect.cleandoc(documentation or "")
        rows.append({"name": each, "from": origin, "what": text if name else text.partition("\n")[0]})
    if as_json:
        print_json(rows)
    elif name is not None:
        say(f"{name}, from {rows[0]['from']}\n\n{rows[0]['what']}")
    else:
        print_table("Backends", ("name", "from", "what"), [tuple(row.values()) for row in rows])
