"""Names of the graph's placeholders, after the paths that lead to what they stand for."""

from __future__ import annotations

from tracer.graph.builder import identifier
from tracer.interpret.trace import Trace
from tracer.values.base import Lazy
from tracer.values.objects import ObjectValue


def input_name(text: str) -> str:
    """A placeholder's name for an access path: `self.layers[0].fc.weight` gives `layers_0_fc_weight`."""
    return identifier(text.removeprefix("self."), "input")


def local_name(trace: Trace, value: ObjectValue) -> str | None:
    """The variable that holds an input which came in `*args` or `**kwargs`: its position there says little."""
    frame = trace.frame
    assert value.source is not None
    if frame is None or value.source.accessor not in ("index", "item") or value.source.base is None:
        return None
    if value.source.base.accessor != "argument":
        return None
    for name, item in zip(frame.code.slot_names, frame.slots, strict=True):
        if item is value or (type(item) is Lazy and item.known is value):
            return name
    return None
