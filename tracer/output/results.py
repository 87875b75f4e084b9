"""What a frame that was captured to its end returns, apart from what it changes: for graphs that are exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from tracer.interpret.size_nodes import assert_assumptions, expression_node
from tracer.output.emitter import ProgramEmitter
from tracer.output.program import GRAPH, ResidualProgram, reserve
from tracer.output.statements import Statement
from tracer.values.rebuilding import Fragment, fragment
from tracer.values.shapes import ReadNumber

if TYPE_CHECKING:
    from tracer.code.decode import Code
    from tracer.guards.source import Source
    from tracer.interpret.trace import Trace
    from tracer.values.item import Item


class ResultEmitter(ProgramEmitter):
    """Writes a program that takes every number which varies from its graph, and computes none itself."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self.trace = trace

    def symbol(self, size: Any) -> Fragment:
        """The name of a size, which the graph is made to return."""
        node = expression_node(self.trace, size.node.expr)
        if not isinstance(node, torch.fx.Node):
            return self.constant(node)
        return self.output(ReadNumber(node))


def graph_result(
    trace: Trace, code: Code, result: Item, value_at: Callable[[Source], Any]
) -> tuple[Any, dict[int, int]]:
    """End the graph of a trace that came to its end: the result of the frame, with a tensor of its own in the place of
    each of the graph's outputs, and the position of each output by the id of that tensor.

    `value_at` gives the object at an access path. Raises Unrebuildable and NotExpressible.
    """
    emitter = ResultEmitter(trace)
    reserve(emitter, trace, code)
    value = emitter.expression(result)
    emitter.say(fragment("return {}", value))
    assert_assumptions(trace)
    trace.graph.output([value.node for value in emitter.outputs if value.node is not None])
    trace.graph.prune()
    names = [emitter.built[id(value)].text for value in emitter.outputs]
    statements = emitter.settled(emitter.statements)
    if names:
        statements = [Statement(f"{', '.join(names)}, = {GRAPH}()", (), tuple(names)), *statements]
    places = tuple(torch.empty(0) for _ in names)
    program = ResidualProgram(
        name=emitter.fresh("result").text,
        inputs=list(emitter.parameters),
        parameters=[name.text for name in emitter.parameters.values()],
        constants=emitter.constants,
        statements=statements,
        graph_inputs=set(trace.graph.inputs),
        calls_graph=bool(names),
    )
    built = program.compile(lambda: places)(*map(value_at, program.inputs))
    return built, {id(place): position for position, place in enumerate(places)}


def changes(trace: Trace) -> list[str]:
    """What the frame changes besides tensors, each with the line that does it: no graph can repeat that."""
    lines = [
        f"{_name(value)} ({place.text})" if (place := _place(trace, value)) is not None else _name(value)
        for value in trace.effects.changed.values()
    ]
    return list(dict.fromkeys(lines))


def _name(value: Any) -> str:
    source = getattr(value, "source", None)
    if source is not None:
        return source.text
    names = getattr(value, "names", None)
    return ", ".join(names) if names else type(value).__name__


def _place(trace: Trace, value: Any) -> Any:
    names = [None, *getattr(value, "names", ()), *getattr(value, "attributes", ())]
    lines = (trace.effects.line_of(value, name) for name in names)
    return next((line for line in lines if line is not None), None)
