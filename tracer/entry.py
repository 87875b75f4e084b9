"""One cached capture of a frame: what must hold, what runs then, and what was captured, for people to look at.

The cache knows its guards, its inputs and its function; the rest is never looked at by a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import torch

from backends.tiered.program import TieredProgram, TierStatus
from passes.places import line_name
from tracer._native import NativeEntry
from tracer.code.resume import original_place
from tracer.graph import show
from tracer.graph.builder import DeferredGraph
from tracer.guards.costs import GuardCosts, seconds_in_words
from tracer.guards.digest import Row, digest, table
from tracer.guards.explain import Difference, guard_words
from tracer.guards.words import first_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracer.breaks import Break
    from tracer.code.decode import Code
    from tracer.graph.builder import GraphBuilder
    from tracer.guards.source import Source
    from tracer.interpret.location import Location
    from tracer.output.memory import MemoryReport
    from tracer.output.program import ResidualProgram
    from tracer.output.statements import Statement

FIRST: Final = "first call"
NO_GRAPH: Final = "# no tensor operation was captured\n"
NO_PROGRAM: Final = "# the original function runs\n"

_numbers = count()


class GuardWords(Iterable[Any]):
    """Guards, printed in a few rows. `text` is every one of them in words."""

    __slots__ = ()

    def __str__(self) -> str:
        return table(digest(self))

    @property
    def text(self) -> str:
        """A line for each guard, with the user's line that needed it."""
        return table(Row(words, "", "" if line is None else line.text) for words, line in self.words)

    @property
    def words(self) -> list[tuple[str, Location | None]]:
        """Each guard in words, and the user's line that needed it."""
        return [(guard_words(guard), guard.line) for guard in self]


class GuardList(list[Any], GuardWords):
    """The guards of an entry."""


class Entry(NativeEntry):
    """One capture. `function(*values of inputs)` stands for the call when all `guards` hold; None: the original runs.

    `program` is the source text of the function, made of `statements`, `ops` the number of operators in the graph,
    `seconds` the time spent in each stage of the capture, and `compiled` what the backend made of the graph. `end` is
    the break that ended the capture before the frame returned; a `transparent` frame, which only calls another, was
    then left to that other. `skipped` says that the original function runs, `restarts` how many traces were discarded,
    `instantiated` how many calls a template stood for, and `memory` what `donate` and `allocate` did to the graph.
    `too_long` are the code objects, of this frame or of those that it calls, which compute for long with hardly any
    tensor. Entries are numbered in the order of capture.
    """

    __slots__ = (
        *(
            "_builder",
            "_native",
            "code",
            "compiled",
            "costs",
            "differences",
            "end",
            "instantiated",
            "memory",
            "number",
            "of_process",
            "own_globals",
            "ops",
            "program",
            "residual",
            "restarts",
            "seconds",
            "skipped",
            "statements",
            "symbols",
        ),
        *("stored_as", "too_long", "transparent", "why"),
    )

    def __init__(
        self,
        guards: Iterable[Any],
        inputs: Sequence[Source],
        function: Callable[..., Any] | None,
        *,
        code: Code | None = None,
        program: str = NO_PROGRAM,
        statements: Sequence[Statement] = (),
        builder: GraphBuilder | DeferredGraph | None = None,
        end: Break | None = None,
        compiled: Callable[..., Any] | None = None,
        memory: MemoryReport | None = None,
        skipped: bool = False,
        transparent: bool = False,
        why: Sequence[Difference] = (),
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(guards, inputs, function)
        self.code = code
        self._native = (
            None if code is None else code.native
        )  # kept alive, because `code` itself only refers to it weakly
        self.program = program
        self.statements = statements
        self.ops = 0 if builder is None else builder.call_count
        self._builder = builder if self.ops else None
        self.end = end
        self.compiled = compiled
        self.memory = memory
        self.skipped = skipped
        self.transparent = transparent
        self.differences = tuple(why)
        """How the call differed from the entries that existed, each difference once, that of the nearest first."""
        self.why = "; ".join(map(str, why)) or FIRST
        """Why it was captured: `first call`, or how the call differed from the entries that existed."""
        self.seconds = seconds or {}
        self.costs: GuardCosts | None = None
        """What the guards cost; None unless they answered a call while a report was made."""
        self.restarts = 0
        self.instantiated = 0
        self.too_long: tuple[Any, ...] = ()
        self.number = next(_numbers)
        self.residual: ResidualProgram | None = None
        """The residual program that `program` is the text of; None where the original runs."""
        self.symbols: Mapping[Any, Source] = {}
        """The access path of the int that each symbol of torch's algebra stands for."""
        self.own_globals: tuple[str, ...] = ()
        """The constants of the residual program that are the globals of the function captured."""
        self.of_process = ""
        """What it holds that no other process need have, as `tracer.values.context.Context` says."""
        self.stored_as = ""
        """The name of the file that it was read from or written to; empty for an entry that is in no folder."""

    @property
    def builder(self) -> GraphBuilder | None:
        """What built the graph; None when the capture has no tensor operation."""
        return self._builder.builder if isinstance(self._builder, DeferredGraph) else self._builder

    @property
    def graph_module(self) -> torch.fx.GraphModule | None:
        """The graph as a module; None when the capture has no tensor operation."""
        return None if self.builder is None else self.builder.graph_module()

    @property
    def graph(self) -> torch.fx.Graph:
        """The graph as it was captured; an empty one when the capture has no tensor operation."""
        return torch.fx.Graph() if self.builder is None else self.builder.graph

    @property
    def broke(self) -> Break | None:
        """The graph break that ended the capture, if one did."""
        return None if self.transparent else self.end

    @property
    def tier(self) -> TierStatus | None:
        """How far the `tiered` backend has come: `state`, `reason`, `seconds`; None with other backends."""
        return self.compiled.status if isinstance(self.compiled, TieredProgram) else None

    @property
    def place(self) -> str:
        """The code captured: `step, train.py:40`; of a continuation `step, train.py:43 and on`."""
        code = self.code
        assert code is not None, "an entry that no capture made"
        original, _ = original_place(code.native, code.ops[-1].offset)
        rest = "" if original is code.native else " and on"
        line = next((op.line for op in code.ops if op.line), None) if rest else None
        line = line or original.co_firstlineno
        return f"{code.qualname}, {line_name(code.filename, line)}{rest}"

    @property
    def graph_text(self) -> str:
        """The graph as runnable Python."""
        return NO_GRAPH if self.builder is None else show.runnable_source(self.graph)

    def to_networkx(self) -> Any:
        """The data flow of the graph as a networkx.DiGraph."""
        return show.to_networkx(self.graph)

    def to_dot(self) -> str:
        """The data flow of the graph in Graphviz's language."""
        return show.dot(self.graph)

    def to_json(self) -> str:
        """The graph as a JSON list with one object for each node."""
        return json.dumps(show.rows(self.graph), default=str)

    def __repr__(self) -> str:
        content = "runs natively" if self.skipped else f"{self.ops} operators"
        place = "of no capture" if self.code is None else self.place
        why = first_of([*map(str, self.differences)], 1) or self.why
        return f"<entry {self.number}, {place}: {content}, {self.hits} hits; {why}>"

    def __str__(self) -> str:
        """Where, why, the graph, how it ended, and what must hold for it to run again."""
        parts = [
            f"{self.place}\ncaptured: {self.why}",
            NO_GRAPH if self.builder is None else show.graph_source(self.graph),
            *([] if self.broke is None else [self.broke.message]),
            *([] if self.memory is None else [f"memory\n{_indented(str(self.memory))}"]),
            *([] if self.tier is None else [f"tier\n{_indented(str(self.tier))}"]),
            self._guards_text,
        ]
        return "\n\n".join(part.rstrip() for part in parts)

    @property
    def _guards_text(self) -> str:
        if self.costs is None:
            return f"guards\n{_indented(str(self.guards))}"
        seconds = {id(guard): alone for guard, alone in zip(self.guards, self.costs.alone, strict=True)}
        heading = f"guards, checked in {seconds_in_words(self.costs.together)} a call (last column: each row alone)"
        return f"{heading}\n{_indented(table(digest(self.guards), seconds=seconds))}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
