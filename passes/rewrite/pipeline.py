"""Passes over a graph one after the other, on a copy, with a report of what was done where.

After each pass the graph is checked by whoever made the pipeline. Knows nothing of how graphs are captured,
checked or printed: that is given to it.
"""

from __future__ import annotations

import difflib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from torch.fx import Graph, Node

from passes.operators.evaluate import Evaluator
from passes.rewrite.draft import Draft, Firing, SkippedMatch
from passes.rewrite.rule import RewriteRule, RewriteRules


@dataclass(frozen=True)
class GraphPass:
    """A pass that is written on graphs: it changes a draft and notes what it did."""

    name: str
    apply: Callable[[Draft], None]


Pass = RewriteRule | GraphPass
EVERY_PASS: Final = "every pass"


class UnsoundPass(RuntimeError):
    """A pass that broke the graph: an error of the pass, not of the program."""


@dataclass(frozen=True)
class RewriteReport:
    """What a pipeline did to one graph. `counts` has every pass, those too that found nothing."""

    counts: Mapping[str, int]
    firings: tuple[Firing, ...]
    refusals: tuple[SkippedMatch, ...]
    graphs: tuple[Graph, Graph]
    show: Callable[[Graph], str]
    calls: tuple[int, int]
    seconds: float

    @property
    def idle(self) -> list[str]:
        """The passes that found nothing to do."""
        return [name for name, count in self.counts.items() if not count]

    @property
    def before(self) -> str:
        """The graph as it was given."""
        return self.show(self.graphs[0])

    @property
    def after(self) -> str:
        """The graph as it was rewritten."""
        return self.show(self.graphs[1])

    @property
    def diff(self) -> str:
        """The graph before and after, as a unified diff."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), "before", "after", lineterm="", n=2
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        lines = [f"{self.calls[0]} calls, {self.calls[1]} after rewriting, in {self.seconds * 1e3:.0f} ms"]
        width = max((len(name) for name in self.counts), default=0)
        lines += [f"  {name:<{width}}  {count or 'never'}" for name, count in self.counts.items()]
        fired = Counter((firing.rule, firing.line) for firing in self.firings)
        lines += [f"    {rule} at {line or 'a line unknown'}{_times(count)}" for (rule, line), count in fired.items()]
        refused = Counter((refusal.rule, refusal.line, refusal.why) for refusal in self.refusals)
        lines += [
            f"    {rule} not at {line or 'a line unknown'}{_times(count)}: {why}"
            for (rule, line, why), count in refused.items()
        ]
        return "\n".join(lines)


def _times(count: int) -> str:
    return f", {count} times" if count > 1 else ""


@dataclass
class Pipeline:
    """Passes in their order. `check(graph, evaluator)` describes the first inconsistency in a graph, `show(graph)`
    prints the graph.
    """

    passes: Sequence[Pass]
    rules: RewriteRules
    evaluator: Evaluator
    check: Callable[[Graph, Evaluator], str]
    show: Callable[[Graph], str]
    reports: list[RewriteReport] = field(default_factory=list)

    def prepare(self) -> None:
        """Make patterns of the rules. Raises RuleError for a rule that cannot be used."""
        for step in self.passes:
            if isinstance(step, RewriteRule):
                self.rules.spellings(step)

    def run(self, graph: Graph, attributes: Mapping[str, Any]) -> tuple[Graph, dict[str, Any], RewriteReport]:
        """The rewritten graph with its constants, and what was done; what was given stays as it is.

        A graph that does not pass the check as it is given is left alone. Raises RuleError when a rule fails
        its own check, and UnsoundPass when a pass made an unsound graph.
        """
        began = time.perf_counter()
        draft = Draft(copied(graph), dict(attributes), self.evaluator)
        counts = dict.fromkeys((step.name for step in self.passes), 0)
        fault = self.check(graph, self.evaluator)
        if fault:
            draft.refusals.append(SkippedMatch(EVERY_PASS, "", f"the graph is unsound as it is: {fault}"))
        for step in () if fault else self.passes:
            before = len(draft.firings)
            if isinstance(step, RewriteRule):
                self.rules.apply(step, draft)
            else:
                step.apply(draft)
            fired = len(draft.firings) - before
            counts[step.name] += fired
            if fired:
                draft.forget()
                if fault := self.check(draft.graph, self.evaluator):
                    raise UnsoundPass(f"the pass {step.name!r} made an unsound graph: {fault}")
        report = RewriteReport(
            counts,
            tuple(draft.firings),
            tuple(draft.refusals),
            (graph, draft.graph),
            self.show,
            (call_count(graph), call_count(draft.graph)),
            time.perf_counter() - began,
        )
        self.reports.append(report)
        return draft.graph, draft.attributes, report


def copied(graph: Graph) -> Graph:
    """The same nodes under the same names, in a graph of their own."""
    copy, copies = Graph(), dict[Node, Node]()
    for node in graph.nodes:
        copies[node] = new = copy.node_copy(node, copies.__getitem__)
        if node.op == "placeholder":
            new.target = node.target
    return copy


def call_count(graph: Graph) -> int:
    """How many operators a graph calls."""
    return sum(node.op.startswith("call_") for node in graph.nodes)
