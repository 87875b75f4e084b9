"""`bench`: the project's own benchmarks, where its repository is at hand."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer

from tracer.commands.printing import JsonOption, print_json, say


class BenchError(ValueError):
    """Benchmarks that there are not, and what to do."""


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Measurements, or parts of their names; all if none.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: a minute instead of several.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Measure nothing, list the measurements.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure bytegraph against eager and torch.compile; needs the repository's `benchmarks`."""
    benchmarks = _benchmarks()
    choices = list(benchmarks.MEASUREMENTS)
    for name in names or ():
        if not any(name in each for each in choices):
            raise BenchError(f"there is no measurement {name!r}; there are {', '.join(choices)}")
    if listed:
        chosen = [each for each in choices if not names or any(name in each for name in names)]
        if as_json:
            print_json(chosen)
        else:
            say("\n".join(chosen))
        return
    words = [*(["--quick"] if quick else []), *(["--json"] if as_json else [])]
    runs = [["--only", name] for name in names] if names else [[]]
    raise typer.Exit(max(benchmarks.main([*words, *only]) for only in runs))


def _benchmarks() -> Any:
    """The command line of the benchmarks. Raises BenchError where they are not installed."""
    missing = "the benchmarks are not installed with bytegraph: run this in the folder of its repository"
    try:
        module = import_module("benchmarks.__main__")
    except ModuleNotFoundError as error:
        if error.name not in ("benchmarks", "benchmarks.__main__"):
            raise
        raise BenchError(missing) from error
    if not hasattr(module, "MEASUREMENTS"):
        raise BenchError(missing)
    return module
