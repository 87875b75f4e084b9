"""Where a trace stands when a call begins or ends, and what must be as it was for a template to say all of the call."""

from __future__ import annotations

from typing import Any, NamedTuple

from tracer.effects.log import Namespace
from tracer.guards.source import Source
from tracer.interpret.location import is_user_file
from tracer.interpret.templates.signature import NoTemplate
from tracer.interpret.trace import Trace
from tracer.values.base import Value
from tracer.values.item import Item
from tracer.values.objects import ObjectValue


class Mark(NamedTuple):
    """How far each list of a trace has grown, which only grow."""

    guards: int
    known: int
    made: int
    inputs: int
    predictions: int
    refusing: int
    turns: int


def mark(trace: Trace) -> Mark:
    """Where the trace stands now."""
    return Mark(
        len(trace.guards.rows),
        len(trace.known),
        len(trace.graph.made),
        len(trace.inputs),
        len(trace.predictions),
        len(trace.refusing),
        trace.turns,
    )


def standing(trace: Trace) -> tuple[Any, ...]:
    """What no template changes, and what is the same after a call that one may be made of.

    Facts about the whole graph that are noted once and never taken back are not part of it: an earlier call like this
    one has noted them.
    """
    effects, shapes, cached = trace.effects, trace.shapes, trace.cached
    symbols = None
    if shapes is not None:
        symbols = len(shapes.sources), len(shapes.floats), len(shapes.read), len(shapes.asserted), len(shapes.limited)
    return (
        *(id(trace.graph), len(trace.graph.made) - len(trace.graph.graph.nodes), len(trace.graph.attributes)),
        effects.changes,
        *(len(effects.draws), len(effects.output_calls), len(effects.cached_calls), effects.places),
        *(len(cached.results), len(cached.made), len(cached.interpreted), cached.computes),
        *(len(trace.written), len(trace.leaves), len(trace.requiring), len(trace.handling), len(trace.settings)),
        *(len(trace.owners), len(trace.opened), len(trace.recipes), len(trace.born), len(trace.hashed)),
        *(len(trace.keyed), len(trace.keyed_fixed), len(trace.references), len(trace.leaf_views)),
        *(len(trace.assertions), trace.autocast_depth, trace.guarded_kernels, trace.guarded_devices, trace.overrides),
        trace.of_process,
        *(trace.asked_places, id(trace.modes), id(trace.data_read), trace.constant_reads, symbols),
        trace.set_orders.count,
    )


def is_simple(trace: Trace) -> bool:
    """Whether the trace is in a state that templates know: no mode is entered, no operator has run that stands in the
    way of a repetition, no exception is handled, and the graph is the frame's own.
    """
    return not (
        trace.lasting is not None
        or trace.requiring
        or trace.wrappers is not None
        or trace.graph.is_inner
        or trace.modes is not trace.error_modes
        or trace.handled is not None
        or trace.watched
        or trace.function_modes
    )


def kept_outside(trace: Trace) -> list[Item]:
    """What objects from outside were given that was born in the trace, and may change there. Raises NoTemplate for
    objects that hold more than names.
    """
    kept: list[Item] = []
    for change in trace.effects.changed.values():
        if isinstance(change, Namespace):
            kept += change.names.values()
        elif type(change) is ObjectValue and not change.rewritten:
            kept += [change.attributes.get(name) for name in change.written]
        else:
            raise NoTemplate
    return [item for item in kept if isinstance(item, Value) and item.source is None]


class Surroundings(NamedTuple):
    """What a call sees of its caller: whether a handler is around it, which line is the user's, and how deep it is."""

    protected: bool
    depth: int
    line: Any
    module: Source | None


def surroundings(trace: Trace, filename: str) -> Surroundings:
    """What a call of code in this file sees of the frame that runs now. Code of the user's has lines of its own."""
    frame = trace.frame
    protected = frame is not None and (frame.protected or frame.handled_here)
    depth = 0 if frame is None else frame.depth
    return Surroundings(protected, depth, None if is_user_file(filename) else trace.location, trace.module)
