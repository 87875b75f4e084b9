"""What a person sees of captures: entries, dumps, and explanations that end with numbers."""

from __future__ import annotations

import dis
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import torch

from tracer.dispatch.cache import Entry
from tracer.dispatch.engine import Details, break_message
from tracer.events import LOG, Event
from tracer.graph import show
from tracer.guards.explain import guard_words


class GuardList(list[Any]):
    """Guards that print themselves in words."""

    def __str__(self) -> str:
        rows = [(guard_words(guard), guard.line.text if guard.line is not None else "") for guard in self]
        width = min(100, max((len(words) for words, _ in rows), default=0))
        return "\n".join(f"{words:<{width}}  {line}".rstrip() for words, line in rows)


class EntryView:
    """One cached capture: `graph_module`, `guards`, `program` (source text), `hits`, and where it broke."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._details: Details = entry.details

    @property
    def graph_module(self) -> torch.fx.GraphModule | None:
        """The graph as a module; None when the capture has no tensor operation."""
        graph = self._details.graph
        return None if graph is None else graph.graph_module()

    @property
    def guards(self) -> GuardList:
        return GuardList(self._entry.guards)

    @property
    def program(self) -> str:
        return self._details.program_source

    @property
    def hits(self) -> int:
        return self._entry.hits

    @property
    def broke(self) -> Any:
        return self._details.broke

    @property
    def graph_text(self) -> str:
        """The graph as runnable Python."""
        graph = self._details.graph
        return "# no tensor operation was captured\n" if graph is None else show.runnable_source(graph.graph)

    def to_networkx(self) -> Any:
        return show.to_networkx(self._graph)

    def to_dot(self) -> str:
        return show.dot(self._graph)

    def to_json(self) -> str:
        return json.dumps(show.rows(self._graph), default=str)

    @property
    def _graph(self) -> torch.fx.Graph:
        graph = self._details.graph
        return torch.fx.Graph() if graph is None else graph.graph


def _bytecode(code: CodeType, entries: list[EntryView]) -> str:
    text = io.StringIO()
    dis.dis(code, file=text)
    return text.getvalue()


KINDS: dict[str, Callable[[CodeType, list[EntryView]], str]] = {
    "graph": lambda code, entries: "\n".join(entry.graph_text for entry in entries),
    "guards": lambda code, entries: "\n\n".join(f"guards of entry {i}\n{e.guards}" for i, e in enumerate(entries)),
    "program": lambda code, entries: "\n".join(entry.program for entry in entries),
    "bytecode": _bytecode,
}
"""What `dump` can show."""


def dump_entries(code: CodeType, entries: list[EntryView], what: str, path: Any) -> str:
    """The text of `Captured.dump`. Raises ValueError naming the kinds."""
    if what != "all" and what not in KINDS:
        raise ValueError(f"what must be one of {', '.join([*KINDS, 'all'])}, not {what!r}")
    kinds = KINDS if what == "all" else (what,)
    text = "\n".join(KINDS[kind](code, entries) for kind in kinds)
    if path is not None:
        Path(path).write_text(text)
    return text


class Explanation:
    """What `explain` found: counts, breaks, guards, recompiles and times; prints itself."""

    def __init__(self, entries: list[Entry], events: list[Event], result: Any) -> None:
        self.result = result
        self.entries = [EntryView(entry) for entry in entries]
        self.events = events
        self.breaks = [view.broke for view in self.entries if view.broke is not None]
        self.graphs = sum(event.kind == "graph" for event in events)
        self.ops = sum(event.details["ops"] for event in events if event.kind == "graph")
        self.captures = sum(event.kind == "capture" for event in events)
        self.recompiles = [event.details["why"] for event in events if event.kind == "miss"]
        self.bugs = [event.details["error"] for event in events if event.kind == "bug"]
        self.seconds: dict[str, float] = {}
        for event in events:
            if event.kind == "capture":
                for stage, spent in event.details["stages"].items():
                    self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def __str__(self) -> str:
        parts = [view.graph_text for view in self.entries if view._details.graph is not None]
        parts += [break_message(broke) for broke in self.breaks]
        parts += [f"guards\n{_indented(str(view.guards))}" for view in self.entries]
        parts += [f"recompiled because {'; '.join(why)}" for why in self.recompiles]
        parts += [f"bytegraph made a mistake: {error}" for error in self.bugs]
        hits = sum(view.hits for view in self.entries)
        parts.append(
            f"{self.graphs} graphs, {self.ops} ops, {len(self.breaks)} breaks, {self.captures} captures, {hits} hits"
        )
        times = ", ".join(f"{stage} {spent * 1000:.1f} ms" for stage, spent in self.seconds.items())
        parts.append(f"time: {times}")
        return "\n\n".join(parts)

    __repr__ = __str__


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def listen() -> tuple[list[Event], Callable[[], None]]:
    """Collect events from now on: (the growing list, how to stop)."""
    events: list[Event] = []
    return events, LOG.subscribe(events.append)
