"""`explain`: a program run as it is, and what was captured of it: graphs, breaks, recaptures, time per stage."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backends.account import Account
from tracer.commands.printing import JsonOption, print_json, say
from tracer.commands.programs import ProgramArgument, explained
from tracer.entry import Entry
from tracer.report import Explanation


def explain(
    program: ProgramArgument,
    full: Annotated[bool, typer.Option("--full", help="Show every graph and its guards, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a program and say what was captured of it and why. Exits with the program's own status."""
    explanation, status = explained(program, as_json)
    if as_json:
        print_json(facts(explanation))
    elif full:
        say(str(explanation))
    else:
        messages = dict.fromkeys(broke.message for broke in explanation.breaks)
        say("\n\n".join([*messages, explanation.numbers]))
    raise typer.Exit(status)


def facts(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON can hold it; times are in seconds."""
    return {
        "graphs": explanation.graphs,
        "ops": explanation.ops,
        "hits": explanation.hits,
        "recompiles": explanation.recompiles,
        "recompile_limits": explanation.limits,
        "bugs": explanation.bugs,
        "seconds": explanation.seconds,
        "captures": [_capture(entry, explanation.accounts.of(entry.compiled)) for entry in explanation.entries],
    }


def _capture(entry: Entry, account: Account | None) -> dict[str, Any]:
    broke = entry.broke
    return {
        "place": entry.place,
        "why": entry.why,
        "ops": entry.ops,
        "hits": entry.hits,
        "skipped": entry.skipped,
        "guards": len(entry.guards),
        "guard_seconds": None if entry.costs is None else entry.costs.together,
        "backend": None if account is None else {"name": account.backend, "did": account.lines},
        "break": None
        if broke is None
        else {"reason": broke.reason.id, "place": broke.place.text, "message": broke.message},
    }
