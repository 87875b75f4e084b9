"""All of a report as plain data: the tree of frames, captures, breaks by place and reason, recaptures, times.

The page draws what stands here and computes nothing but positions.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from backends.account import Accounts
from passes.places import line_name
from tracer.entry import Entry
from tracer.events import Event
from tracer.page.entry_facts import account_facts, entry_facts
from tracer.page.rules import Rules
from tracer.page.sources import Sources
from tracer.stacks import STACK
from tracer.version import VERSION


def page_facts(
    title: str, entries: Sequence[Entry], events: Sequence[Event], accounts: Accounts | None = None
) -> dict[str, Any]:
    """The data of a page, as JSON can hold it. Places are [number of a file in `files`, line, function]."""
    sources, rules = Sources(), Rules()
    accounts = Accounts() if accounts is None else accounts
    captures = [entry_facts(entry, sources, rules, accounts.of(entry.compiled)) for entry in entries]
    stacks = {event.details["entry"]: event.details[STACK] for event in events if STACK in event.details}
    return {
        "title": title,
        "versions": f"bytegraph {VERSION}, torch {torch.__version__}, Python {platform.python_version()}",
        "entries": captures,
        "tree": _tree(entries, captures, stacks),
        "breaks": _breaks(captures),
        "recaptures": [
            {"entry": index, "place": capture["place"], "why": entries[index].differences}
            for index, capture in enumerate(captures)
            if entries[index].differences
        ],
        "limits": [_limit(event.details) for event in events if event.kind == "recompile limit"],
        "events": [_event(event) for event in events if event.kind in ("bug", "quarantine", "rewrite")],
        "compiled_later": account_facts(accounts.later) if accounts.later.parts else None,
        "rules": rules.texts,
        "files": sources.facts(),
    }


def _limit(details: Mapping[str, Any]) -> dict[str, Any]:
    """A function that has reached its limit of captures, with the guard that kept failing."""
    place = f"{details['code']}, {line_name(details['file'], details['line'])}"
    return {"place": place, **{name: details[name] for name in ("limit", "guard", "hint")}}


def _tree(
    entries: Sequence[Entry], captures: list[dict[str, Any]], stacks: dict[int, list[tuple[str, str, int]]]
) -> list[dict[str, Any]]:
    """The user's functions as they called each other, each with the captures made of it: `name`, `entries`, `inner`."""
    root: dict[str, Any] = {"inner": {}}
    for index, entry in enumerate(entries):
        at = root
        assert entry.code is not None, "an entry that no capture made"
        function = captures[index]["function"]
        path = [name for name, _, _ in stacks.get(entry.number, ())]
        for name in [*path, *([] if path and path[-1] == function else [function])]:
            at = at["inner"].setdefault(name, {"name": name, "entries": [], "inner": {}})
        at["entries"].append(index)
    return _listed(root)


def _listed(branch: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": inner["name"], "entries": inner["entries"], "inner": _listed(inner)}
        for inner in branch["inner"].values()
    ]


def _breaks(captures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The breaks by place and reason, those that most calls ran into first."""
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for index, capture in enumerate(captures):
        broke = capture["broke"]
        if broke is not None:
            key = (*broke["cause"], broke["reason"])
            group = groups.setdefault(key, {**broke, "entries": [], "calls": 0})
            group["entries"].append(index)
            group["calls"] += capture["hits"] + 1
    return sorted(groups.values(), key=lambda group: -group["calls"])


def _event(event: Event) -> dict[str, Any]:
    return {"kind": event.kind, "details": {key: str(value) for key, value in event.details.items()}}
