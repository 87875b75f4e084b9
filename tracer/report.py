"""What a person sees of captures: dumps, and explanations that end with numbers."""

from __future__ import annotations

import dis
import io
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from backends.account import Accounts
from passes.node_meta import prediction_of
from passes.operators.verify import Prediction
from tracer._native import lacks_watcher
from tracer.entry import FIRST, NO_GRAPH, Entry
from tracer.events import LOG, Event
from tracer.graph.show import graph_source, module_source
from tracer.guards.costs import seconds_in_words
from tracer.interpret.evaluator import EVALUATOR
from tracer.stacks import with_stacks

# Dumps -----------------------------------------------------------------------------------------------


def _bytecode(code: CodeType, entries: list[Entry]) -> str:
    text = io.StringIO()
    dis.dis(code, file=text)
    return text.getvalue()


def _each(tell: Callable[[Entry], str]) -> Callable[[CodeType, list[Entry]], str]:
    """A dump of every entry, under a heading when there are several."""

    def text_of(code: CodeType, entries: list[Entry]) -> str:
        heading = "# entry {}: {}\n" if len(entries) > 1 else ""
        return "\n".join(f"{heading.format(i, entry.why)}{tell(entry).rstrip()}\n" for i, entry in enumerate(entries))

    return text_of


def _graphs(code: CodeType, entries: list[Entry]) -> str:
    """The graphs as one module, whose functions are `graph` or, of several, `graph_0` and so on."""
    several = len(entries) > 1
    functions: list[str] = []
    for number, entry in enumerate(entries):
        heading = f"# entry {number}: {' '.join(entry.why.split())}\n" if several else ""
        name = f"graph_{number}" if several else "graph"
        source = graph_source(entry.graph, name) if entry.ops else NO_GRAPH
        functions.append(f"{heading}{source.rstrip()}\n")
    captured = [entry.graph for entry in entries if entry.ops]
    return module_source(captured, "\n".join(functions)) if captured else "\n".join(functions)


KINDS: dict[str, Callable[[CodeType, list[Entry]], str]] = {
    "graph": _graphs,
    "guards": _each(lambda entry: str(entry.guards)),
    "program": _each(lambda entry: entry.program),
    "bytecode": _bytecode,
    "every guard": _each(lambda entry: entry.guards.text),
}
"""What `dump` can show."""

ALL = ("graph", "guards", "program", "bytecode")


def dump_entries(code: CodeType, entries: list[Entry], what: str, path: Any) -> str:
    """The text of `Captured.dump`. Raises ValueError naming the kinds, and for one in the place of the path."""
    if what != "all" and what not in KINDS:
        raise ValueError(f"what must be one of {', '.join([*KINDS, 'all'])}, not {what!r}")
    if isinstance(path, str) and path in KINDS:
        raise ValueError(f"the first argument is the file to write; write dump(what={path!r}) for that part alone")
    if what == "all":
        text = "\n".join(f"{_rule(kind)}\n{KINDS[kind](code, entries)}" for kind in ALL)
    else:
        text = KINDS[what](code, entries)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
    return text


# Explanations ----------------------------------------------------------------------------------------

REPEATED = "like an earlier call, and not interpreted"

NO_WATCHER = "CPython had none left for us: what captures read from dictionaries is compared at every call"


class Explanation:
    """The result of `explain`: counts, breaks, guards, recompiles and times. `str` of it is for people to read."""

    def __init__(
        self, entries: list[Entry], events: list[Event], result: Any, accounts: Accounts | None = None
    ) -> None:
        self.result = result
        self.accounts = Accounts() if accounts is None else accounts
        """What the backend did with the graphs that were compiled meanwhile."""
        self.entries = entries
        self.events = events
        self.breaks = [entry.broke for entry in self.entries if entry.broke is not None]
        self.graphs = sum(entry.ops > 0 for entry in self.entries)
        self.ops = sum(entry.ops for entry in self.entries)
        self.captures = len(self.entries)
        self.recompiles = [entry.why for entry in self.entries if entry.why != FIRST]
        limits = [event.details for event in events if event.kind == "recompile limit"]
        self.limits = [f"{limit['code']}: {limit['guard']} changes; {limit['hint']}" for limit in limits]
        self.bugs = [event.details["error"] for event in events if event.kind == "bug"]
        self.instantiated = sum(entry.instantiated for entry in self.entries)
        self.hits = sum(entry.hits for entry in self.entries)
        self.seconds: dict[str, float] = {}
        for entry in entries:
            for stage, spent in entry.seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def __str__(self) -> str:
        frames = [
            f"{_rule(f'{number} of {len(self.entries)}')}\n{entry}{self._backend_text(entry)}"
            for number, entry in enumerate(self.entries, 1)
        ]
        remedies = [f"{_rule('what would remove the breaks')}\n{self.remedies}"] if self.remedies else []
        return "\n\n".join([*frames, *remedies, f"{_rule('in numbers')}\n{self.numbers}"])

    def _backend_text(self, entry: Entry) -> str:
        """What the backend says that it did with the graph of an entry."""
        account = self.accounts.of(entry.compiled)
        lines = [] if account is None else [f"  {line}" for line in account.lines]
        return "" if account is None or not lines else "\n".join(["", "", f"backend {account.backend}", *lines])

    @property
    def remedies(self) -> str:
        """A line for each way to remove a break, behind the break's place."""
        breaks = dict.fromkeys((broke.place.text, broke.reason) for broke in self.breaks)
        lines = [f"{place}: {remedy}" for place, reason in breaks for remedy in reason.remedies]
        return "\n".join(lines)

    @property
    def numbers(self) -> str:
        """A line for each count, with its details."""
        graphs = [str(entry.ops) for entry in self.entries if entry.ops]
        reuses = [entry.memory.reuse for entry in self.entries if entry.memory and entry.memory.reuse]
        overwrites = [done for reuse in reuses for done in reuse.overwrites]
        saved = sum(done.bytes for done in overwrites)
        tiers = [f"{entry.place}: {entry.tier}" for entry in self.entries if entry.tier is not None]
        counts: list[tuple[str, int, list[str]]] = [
            ("graphs", self.graphs, []),
            ("ops", self.ops, [" + ".join(graphs)] if len(graphs) > 1 else []),
            *([] if EVALUATOR.book is None else [("predicted by rules", self.ops_by_rules, self._without_rule())]),
            *([("rulebook refused", 1, [EVALUATOR.book_refusal])] if EVALUATOR.book_refusal else []),
            ("breaks", len(self.breaks), [f"{broke.reason.id} at {broke.place.text}" for broke in self.breaks]),
            ("captures", self.captures, [f"{entry.place}: {entry.why}" for entry in self.entries]),
            ("hits", self.hits, []),
            *([("repeated calls", self.instantiated, [REPEATED])] if self.instantiated else []),
            *([("tiers", len(tiers), tiers)] if tiers else []),
            *([("in place", len(overwrites), [f"{saved:,} bytes saved"])] if overwrites else []),
            *([("recompile limit reached", len(self.limits), self.limits)] if self.limits else []),
            *([("dict watchers", 0, [NO_WATCHER])] if lacks_watcher() else []),
            *([("internal errors", len(self.bugs), self.bugs)] if self.bugs else []),
        ]
        width = max(len(name) for name, _, _ in counts)
        below = "\n" + " " * (width + 7)
        lines = [f"{name:<{width}}  {number:>3}  {below.join(details)}".rstrip() for name, number, details in counts]
        stages = ", ".join(f"{stage} {spent * 1000:.1f} ms" for stage, spent in self.seconds.items())
        lines.append(f"{'time':<{width}}  {sum(self.seconds.values()) * 1000:.1f} ms  ({stages})")
        checks = [entry.costs.together for entry in self.entries if entry.costs is not None]
        if checks:
            lines.append(f"{'guards':<{width}}  {seconds_in_words(sum(checks))} to check all of them once")
        return "\n".join(lines)

    def to_html(self, path: str | Path | None = None, title: str = "bytegraph report") -> str:
        """The report as one HTML file that needs no network, written to `path` if it is given."""
        from tracer.page.facts import page_facts
        from tracer.page.render import page_of

        text = page_of(page_facts(title, self.entries, self.events, self.accounts))
        if path is not None:
            Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
        return text

    def _repr_html_(self) -> str:
        """The report for notebooks, in a frame of its own."""
        from tracer.page.render import framed

        return framed(self.to_html())

    @property
    def predictions(self) -> list[Prediction]:
        """The prediction of each operator's result in the graphs."""
        nodes = (node for entry in self.entries for node in entry.graph.nodes)
        return [prediction for node in nodes if (prediction := prediction_of(node)) is not None]

    @property
    def ops_by_rules(self) -> int:
        """The number of operators in the graphs whose results were predicted by rules."""
        return sum(prediction.outcome.trial is None for prediction in self.predictions)

    def _without_rule(self) -> list[str]:
        """The number of operators, then the operators that no rule predicted, with how often and why."""
        trials = Counter(trial for each in self.predictions if (trial := each.outcome.trial) is not None)
        heading = [f"of {len(self.predictions)} operators"] if self.predictions else []
        return heading + [
            f"{times} x {trial.operator}: {trial.reason}{', evaluated with fake tensors' if trial.fake else ''}"
            for trial, times in trials.most_common()
        ]

    __repr__ = __str__


def _rule(title: str) -> str:
    return f"── {title} {'─' * (76 - len(title))}"


def listen() -> tuple[list[Event], Callable[[], None]]:
    """Collect events from now on: (the growing list, how to stop)."""
    events: list[Event] = []
    return events, LOG.subscribe(with_stacks(events.append, sys._getframe(1)))
