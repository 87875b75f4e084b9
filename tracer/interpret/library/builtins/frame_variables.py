"""locals and globals, which the trace knows, and the builtins that read or run what stands in a frame: those break."""

from __future__ import annotations

from typing import Any

from tracer.code.native import DIALECT
from tracer.interpret.policy import lookaside, refuse
from tracer.interpret.trace import Trace
from tracer.reasons import FRAME_INSPECTION
from tracer.values.base import MISSING
from tracer.values.cells import CellValue
from tracer.values.dicts import DictValue
from tracer.values.item import Item

refuse(FRAME_INSPECTION, exec, eval, compile, dir)


@lookaside(globals)
def _globals(trace: Trace) -> Item:
    """The dictionary of the module whose function calls."""
    frame: Any = trace.frame
    if frame.globals_source is None:
        trace.stop(FRAME_INSPECTION, "builtins.globals in a generated function")
    return trace.wrap(frame.globals, frame.globals_source)


@lookaside(locals)
def _locals(trace: Trace) -> Item:
    """The variables that are bound in the frame that calls: up to CPython 3.12 in one dictionary for each frame."""
    frame: Any = trace.frame
    if frame.names is not None:
        return frame.names
    if frame.snapshot is None or DIALECT.new_dict_of_locals:
        frame.snapshot = DictValue(dict)
    variables = frame.snapshot.change(trace)
    for name, slot in zip(frame.code.slot_names, frame.slots, strict=True):
        item = slot.read(trace) if isinstance(slot, CellValue) else slot
        if item is not MISSING:
            variables[name] = item
        else:
            variables.pop(name, None)
    return frame.snapshot
