"""What a person sees of captures: entries, dumps, and explanations that end with numbers."""

from __future__ import annotations

import dis
import io
import json
from collections import Counter
from collections.abc import Callable
from os import path
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch

from backends.tiered.program import Status, TieredProgram
from passes.operators.verify import Prediction
from tracer.breaks import Break
from tracer.code.resume import original_place
from tracer.dispatch.cache import Entry
from tracer.dispatch.engine import Details
from tracer.events import LOG, Event
from tracer.graph import show
from tracer.graph.annotate import PREDICTION
from tracer.guards.digest import Row, digest, table
from tracer.guards.explain import guard_words
from tracer.interpret.evaluator import EVALUATOR

if TYPE_CHECKING:
    from tracer.output.memory import MemoryReport

FIRST = "first call"
NO_GRAPH = "# no tensor operation was captured\n"


class GuardList(list[Any]):
    """The guards of an entry; printed in a few rows. `text` is every one of them in words."""

    def __str__(self) -> str:
        return table(digest(self))

    @property
    def text(self) -> str:
        """A line for each guard, with the user's line that needed it."""
        return table(Row(guard_words(guard), "", "" if guard.line is None else guard.line.text) for guard in self)


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
        """Calls that this entry answered."""
        return self._entry.hits

    @property
    def ops(self) -> int:
        """Operations in the graph."""
        return self._details.op_count

    @property
    def skipped(self) -> bool:
        """Whether the frame runs as it was written."""
        return self._details.skipped

    @property
    def broke(self) -> Break | None:
        return self._details.broke

    @property
    def memory(self) -> MemoryReport | None:
        """What `donate` and `allocate` did to the graph, with its rewritten form; None without them."""
        return self._details.memory

    @property
    def tier(self) -> Status | None:
        """How far the `tiered` backend has come: `state`, `reason`, `seconds`; None with other backends."""
        program = self._details.compiled
        return program.status if isinstance(program, TieredProgram) else None

    @property
    def place(self) -> str:
        """The code captured: `step, train.py:40`; of a continuation `step, train.py:43 and on`."""
        code = self._details.code
        original, _ = original_place(code.native, code.ops[-1].offset)
        rest = "" if original is code.native else " and on"
        line = code.ops[0].line if rest else original.co_firstlineno
        return f"{code.qualname}, {path.basename(code.filename)}:{line}{rest}"

    @property
    def why(self) -> str:
        """Why it was captured: `first call`, or how the call differed from the entries that were there."""
        return "; ".join(self._details.why) or FIRST

    @property
    def graph_text(self) -> str:
        """The graph as runnable Python."""
        graph = self._details.graph
        return NO_GRAPH if graph is None else show.runnable_source(graph.graph)

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

    def __str__(self) -> str:
        """Where, why, the graph, how it ended, and what must hold for it to run again."""
        graph = self._details.graph
        parts = [
            f"{self.place}\ncaptured: {self.why}",
            NO_GRAPH if graph is None else show.graph_source(graph.graph),
            *([] if self.broke is None else [self.broke.message]),
            *([] if self.memory is None else [f"memory\n{_indented(str(self.memory))}"]),
            *([] if self.tier is None else [f"tier\n{_indented(str(self.tier))}"]),
            f"guards\n{_indented(str(self.guards))}",
        ]
        return "\n\n".join(part.rstrip() for part in parts)


# Dumps -----------------------------------------------------------------------------------------------


def _bytecode(code: CodeType, entries: list[EntryView]) -> str:
    text = io.StringIO()
    dis.dis(code, file=text)
    return text.getvalue()


def _each(tell: Callable[[EntryView], str]) -> Callable[[CodeType, list[EntryView]], str]:
    """A dump of every entry, under a heading when there are several."""

    def told(code: CodeType, entries: list[EntryView]) -> str:
        heading = "# entry {}: {}\n" if len(entries) > 1 else ""
        return "\n".join(f"{heading.format(i, entry.why)}{tell(entry).rstrip()}\n" for i, entry in enumerate(entries))

    return told


KINDS: dict[str, Callable[[CodeType, list[EntryView]], str]] = {
    "graph": _each(lambda entry: entry.graph_text),
    "guards": _each(lambda entry: str(entry.guards)),
    "program": _each(lambda entry: entry.program),
    "bytecode": _bytecode,
    "every guard": _each(lambda entry: entry.guards.text),
}
"""What `dump` can show."""

ALL = ("graph", "guards", "program", "bytecode")


def dump_entries(code: CodeType, entries: list[EntryView], what: str, path: Any) -> str:
    """The text of `Captured.dump`. Raises ValueError naming the kinds."""
    if what != "all" and what not in KINDS:
        raise ValueError(f"what must be one of {', '.join([*KINDS, 'all'])}, not {what!r}")
    if what == "all":
        text = "\n".join(f"{_rule(kind)}\n{KINDS[kind](code, entries)}" for kind in ALL)
    else:
        text = KINDS[what](code, entries)
    if path is not None:
        Path(path).write_text(text)
    return text


# Explanations ----------------------------------------------------------------------------------------


class Explanation:
    """What `explain` found: counts, breaks, guards, recompiles and times; prints itself."""

    def __init__(self, entries: list[Entry], events: list[Event], result: Any) -> None:
        self.result = result
        self.entries = [EntryView(entry) for entry in entries]
        self.events = events
        self.breaks = [view.broke for view in self.entries if view.broke is not None]
        self.graphs = sum(view.ops > 0 for view in self.entries)
        self.ops = sum(view.ops for view in self.entries)
        self.captures = len(self.entries)
        self.recompiles = [view.why for view in self.entries if view.why != FIRST]
        self.limits = [event.details["code"] for event in events if event.kind == "recompile limit"]
        self.bugs = [event.details["error"] for event in events if event.kind == "bug"]
        self.hits = sum(view.hits for view in self.entries)
        self.seconds: dict[str, float] = {}
        for entry in entries:
            for stage, spent in entry.details.seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def __str__(self) -> str:
        frames = [f"{_rule(f'{number} of {len(self.entries)}')}\n{view}" for number, view in enumerate(self.entries, 1)]
        return "\n\n".join([*frames, f"{_rule('in numbers')}\n{self.numbers}"])

    @property
    def numbers(self) -> str:
        """A line for each count, with what it is made of."""
        graphs = [str(view.ops) for view in self.entries if view.ops]
        reuses = [view.memory.reuse for view in self.entries if view.memory and view.memory.reuse]
        overwrites = [done for reuse in reuses for done in reuse.overwrites]
        saved = sum(done.bytes for done in overwrites)
        tiers = [f"{view.place}: {view.tier}" for view in self.entries if view.tier is not None]
        counts: list[tuple[str, int, list[str]]] = [
            ("graphs", self.graphs, []),
            ("ops", self.ops, [" + ".join(graphs)] if len(graphs) > 1 else []),
            *([] if EVALUATOR.book is None else [("by rules", self.ops_by_rules, self._without_rule())]),
            ("breaks", len(self.breaks), [f"{broke.reason.id} at {broke.location.text}" for broke in self.breaks]),
            ("captures", self.captures, [f"{view.place}: {view.why}" for view in self.entries]),
            ("hits", self.hits, []),
            *([("tiers", len(tiers), tiers)] if tiers else []),
            *([("in place", len(overwrites), [f"{saved:,} bytes saved"])] if overwrites else []),
            *([("recompile limit reached", len(self.limits), self.limits)] if self.limits else []),
            *([("mistakes of bytegraph", len(self.bugs), self.bugs)] if self.bugs else []),
        ]
        width = max(len(name) for name, _, _ in counts)
        below = "\n" + " " * (width + 7)
        lines = [f"{name:<{width}}  {number:>3}  {below.join(details)}".rstrip() for name, number, details in counts]
        stages = ", ".join(f"{stage} {spent * 1000:.1f} ms" for stage, spent in self.seconds.items())
        return "\n".join([*lines, f"{'time':<{width}}  {sum(self.seconds.values()) * 1000:.1f} ms  ({stages})"])

    @property
    def predictions(self) -> list[Prediction]:
        """What was said of each operator in the graphs, and by whom."""
        nodes = (node for view in self.entries for node in view._graph.nodes)
        return [node.meta[PREDICTION] for node in nodes if PREDICTION in node.meta]

    @property
    def ops_by_rules(self) -> int:
        """How many operators in the graphs were evaluated by rules."""
        return sum(prediction.outcome.trial is None for prediction in self.predictions)

    def _without_rule(self) -> list[str]:
        """How many operators there are, then those that had to be tried, with how often and why no rule told."""
        trials = Counter(trial for said in self.predictions if (trial := said.outcome.trial) is not None)
        heading = [f"of {len(self.predictions)} operators"] if self.predictions else []
        return heading + [
            f"{times} x {trial.operator}: {trial.reason}{', fake tensors asked' if trial.fake else ''}"
            for trial, times in trials.most_common()
        ]

    __repr__ = __str__


def _rule(title: str) -> str:
    return f"── {title} {'─' * (76 - len(title))}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def listen() -> tuple[list[Event], Callable[[], None]]:
    """Collect events from now on: (the growing list, how to stop)."""
    events: list[Event] = []
    return events, LOG.subscribe(events.append)
