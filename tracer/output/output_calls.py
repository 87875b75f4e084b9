"""Output that the traced program wrote (warnings, printed lines, log messages), written after the graph.

A program begins by asking whether that shows in no other way, and runs the original if it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from passes.node_meta import is_write, modes_of
from tracer.guards.source import Source
from tracer.values.lists import ListValue
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, listed

if TYPE_CHECKING:
    from tracer.effects.log import OutputCall
    from tracer.interpret.trace import Trace


def possibility(emitter: Emitter, trace: Trace) -> Fragment | None:
    """The condition that all output can be written after the graph; None if there is none."""
    calls = trace.effects.output_calls
    if not calls:
        return None
    sources = [value.source for value in trace.known.values() if isinstance(value, ListValue)]
    lists = [source for source in sources if isinstance(source, Source)]
    conditions = {_question(emitter, call, lists): None for call in calls}
    return fragment(" and ".join(["{}"] * len(conditions)), *conditions)


def _question(emitter: Emitter, call: OutputCall, lists: list[Source]) -> Fragment:
    asked = [*call.asked, *(lists if call.looks_at_lists else ())]
    return fragment("{}({})", emitter.constant(call.is_possible), listed(_argument(emitter, part) for part in asked))


def emit_output_calls(emitter: Emitter, trace: Trace) -> None:
    """Emit the calls in their order. Raises Unrebuildable where a tensor to be written out is written to afterwards."""
    for call in trace.effects.output_calls:
        if call.node is not None and _is_followed_by_write(trace, call.node):
            raise Unrebuildable("a tensor that is changed after it was written out", call.step)
        arguments = listed(_argument(emitter, part) for part in call.args)
        emitter.say(fragment("{}({})", emitter.constant(call.function), arguments))


def _argument(emitter: Emitter, part: Any) -> Fragment:
    return emitter.parameter(part) if isinstance(part, Source) else emitter.expression(part)


def _is_followed_by_write(trace: Trace, node: Any) -> bool:
    """Whether the graph writes to a tensor after `node`."""
    nodes = list(trace.graph.graph.nodes)
    following = nodes[nodes.index(node) + 1 :] if node in nodes else nodes
    return any(is_write(later) and modes_of(later) is not None for later in following)
