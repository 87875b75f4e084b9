"""One capture as plain data for the page: why it was made, what runs, what must hold, how it ended."""

from __future__ import annotations

from typing import Any

from backends.account import Account
from passes.node_meta import line_of
from tracer.breaks import Break
from tracer.code.resume import original_place
from tracer.entry import FIRST, Entry
from tracer.page.graph_facts import graph_facts
from tracer.page.rules import Rules
from tracer.page.sources import Sources


def entry_facts(entry: Entry, sources: Sources, rules: Rules, account: Account | None) -> dict[str, Any]:
    """The entry with its graph (None without one), guards in words, and its program linked with the user's lines."""
    code = entry.code
    assert code is not None, "an entry that no capture made"
    original, _ = original_place(code.native, code.ops[-1].offset)
    last = max((line for _, _, line in original.co_lines() if line), default=original.co_firstlineno)
    sources.span(code.filename, original.co_firstlineno, last)
    broke = entry.broke
    return {
        "number": entry.number,
        "place": entry.place,
        "function": original.co_qualname,
        "file": sources.place(code.filename, original.co_firstlineno, original.co_qualname),
        "last": last,
        "why": None if entry.why == FIRST else entry.why,
        "hits": entry.hits,
        "ops": entry.ops,
        "native": entry.skipped,
        "restarts": entry.restarts,
        "seconds": dict(entry.seconds),
        "broke": None if broke is None else break_facts(broke, sources),
        "guards": _guards(entry, sources),
        "checks": None if entry.costs is None else entry.costs.together,
        "program": entry.program.splitlines(),
        "links": _links(entry, sources),
        "graph": graph_facts(entry.graph, sources, rules) if entry.ops else None,
        "memory": None if entry.memory is None else str(entry.memory),
        "tier": None if entry.tier is None else str(entry.tier),
        "backend": None if account is None else account_facts(account),
    }


def _guards(entry: Entry, sources: Sources) -> list[dict[str, Any]]:
    """The guards in words, each with the line that needed it, and the seconds that it takes alone, if that is known."""
    alone = [None] * len(entry.guards) if entry.costs is None else entry.costs.alone
    return [
        {
            "words": words,
            "line": None if line is None else sources.place(line.file, line.line, line.function),
            "seconds": seconds,
        }
        for (words, line), seconds in zip(entry.guards.words, alone, strict=True)
    ]


def break_facts(broke: Break, sources: Sources) -> dict[str, Any]:
    """A break: its reason, where it is in the captured frame and in a function that this was calling, and remedies."""
    return {
        "reason": broke.reason.id,
        "what": broke.reason.what,
        "detail": broke.detail,
        "message": broke.message,
        "remedies": broke.reason.remedies,
        "frame": sources.place(broke.location.file, broke.location.line, broke.location.function),
        "cause": sources.place(broke.place.file, broke.place.line, broke.place.function),
    }


def _links(entry: Entry, sources: Sources) -> list[list[Any]]:
    """For each line of the program the places in the user's files that it stands for; none for its header."""
    links: list[list[Any]] = []
    for statement in entry.statements:
        lines = _graph_lines(entry) if statement.runs_graph else [statement.origin]
        places = [sources.place(line.file, line.line, line.function) for line in lines if line is not None]
        links += [places] * len(statement.line.splitlines())
    header = len(entry.program.splitlines()) - len(links)
    return [*([] for _ in range(header)), *links]


def _graph_lines(entry: Entry) -> list[Any]:
    """The user's lines that made the graph, each once."""
    lines = {(line.file, line.line): line for node in entry.graph.nodes if (line := line_of(node)) is not None}
    return list(lines.values())


def account_facts(account: Account) -> dict[str, Any]:
    """What a backend did: its name, its lines, and the texts that it made, with what each is."""
    return {
        "name": account.backend,
        "lines": account.words,
        "parts": [{"title": part.title, "text": part.text} for part in account.parts],
    }
