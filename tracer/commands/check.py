"""`check`: a script run with every capture in it cross-checked, or a stored case replayed.

The script's captures get the backend `crosscheck`, with their own backend as the candidate. Exits with 1
if something is found.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import tracer
from backends.cases import replay_case
from tracer.api import capture
from tracer.commands.printing import JsonOption, print_json, say


class CheckError(ValueError):
    """A script that cannot be checked, and why."""


def check(
    script: Annotated[
        str | None, typer.Argument(help="A Python file, or file.py:function for a function without parameters.")
    ] = None,
    case: Annotated[Path | None, typer.Option("--case", help="Replay this stored case instead.")] = None,
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="Backend to check; else what each capture asks for, or eager.")
    ] = None,
    gradients: Annotated[
        bool | None,
        typer.Option(
            "--gradients/--no-gradients",
            help="Check gradients against slopes; unless told, operators' where inputs require them.",
        ),
    ] = None,
    layouts: Annotated[bool, typer.Option(help="Try each operator in other layouts, with out= and in place.")] = True,
    most: Annotated[int, typer.Option("--most", help="Findings per graph to stop at.", min=1)] = 1,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where scripts that show a finding go.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find silent wrong answers: every operator beside a float64 reference, in other layouts and poisoned memory."""
    if (script is None) == (case is None):
        raise CheckError("give either a script (file.py or file.py:function) or --case FOLDER")
    if case is not None:
        reports: list[Any] = [replay_case(case, backend=candidate or "eager")]
    else:
        assert script is not None
        choices: dict[str, Any] = {"layouts": layouts, "most": most, "check_gradients": gradients}
        if folder is not None:
            choices["folder"] = str(folder)
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout), _progress() as progress:
            reports = checked(script, candidate, {**choices, "progress": progress})
    ok = all(report.ok for report in reports)
    if as_json:
        print_json({"ok": ok, "reports": [report.to_json() for report in reports]})
    else:
        say("\n".join(map(str, reports)))
    raise typer.Exit(0 if ok else 1)


def checked(script: str, candidate: str | None, choices: Mapping[str, Any]) -> list[Any]:
    """The reports of every graph that the script runs. Raises CheckError where there is nothing to check."""
    path, _, name = script.partition(":")
    if not Path(path).is_file():
        raise CheckError(f"there is no file {path!r}")
    reports: list[Any] = []
    options = {**choices, "report": reports.append}
    before, arguments, places = tracer.capture, sys.argv, list(sys.path)
    tracer.capture = _capturing(candidate, options)
    sys.argv = [path]
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        namespace = runpy.run_path(path, run_name="__check__" if name else "__main__")
        if name:
            _function(namespace, name, path, candidate, options)()
    finally:
        tracer.capture, sys.argv, sys.path[:] = before, arguments, places
    if not reports:
        raise CheckError(f"{script} ran no captured graph; name a function to be captured: {path}:function")
    return reports


def _capturing(candidate: str | None, options: Mapping[str, Any]) -> Callable[..., Any]:
    """`capture` that checks: the backend asked for becomes the candidate."""

    def checking(fn: Any = None, *, backend: Any = "eager", **others: Any) -> Any:
        crosscheck_options = others.pop("options", None) or {}
        chosen = candidate or backend
        settings = {**options, "candidate": chosen}
        if crosscheck_options and candidate is None:
            settings["candidate_options"] = crosscheck_options
        return capture(fn, backend="crosscheck", options=settings, **others)

    return checking


def _function(
    namespace: Mapping[str, Any], name: str, path: str, candidate: str | None, options: Mapping[str, Any]
) -> Callable[..., Any]:
    """The function of a script, captured. Raises CheckError naming those that there are."""
    function = namespace.get(name)
    if not callable(function):
        functions = sorted(key for key, value in namespace.items() if callable(value) and not key.startswith("_"))
        raise CheckError(f"{path} has no function {name!r}; it has {', '.join(functions) or 'none'}")
    if hasattr(function, "entries"):  # captured by the script
        return function
    return _capturing(candidate, options)(function)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """What tells, on a terminal, which operator is being checked."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("checking", total=None)
        yield lambda done, total, what: progress.update(
            task, completed=done, total=total, description=f"checking {what}"
        )
