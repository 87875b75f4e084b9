"""Built-in functions that write and read, import modules or stop in a debugger.

`print` of what is known while tracing, and of tensors, becomes a call behind the graph; the others break.
"""

from __future__ import annotations

import builtins
import sys
from typing import Any

from tracer.effects.log import OutputCall
from tracer.effects.printing import can_print, print_line
from tracer.interpret.call import call
from tracer.interpret.policy import lookaside, refuse
from tracer.interpret.trace import Trace
from tracer.reasons import DEBUGGER, IMPORT_STATEMENT, INPUT_OUTPUT, PRINTING
from tracer.values.base import Value, realise
from tracer.values.item import Item
from tracer.values.objects import ObjectValue
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue

refuse(INPUT_OUTPUT, input, open)
refuse(DEBUGGER, breakpoint)
refuse(IMPORT_STATEMENT, builtins.__import__)


@lookaside(print)
def _print(
    trace: Trace, *items: Item, sep: Item = None, end: Item = None, file: Item = None, flush: Item = False
) -> None:
    frame: Any = trace.frame
    separator, ending = " " if sep is None else sep, "\n" if end is None else end
    if type(separator) is not str or type(ending) is not str or frame.protected or frame.handled_here:
        trace.stop(PRINTING, "print")  # CPython's own refusal, or an error of the stream, may be handled
    stream = _stream(trace, file)
    parts = [_part(trace, item) for item in items]
    prints_tensors = any(isinstance(part, TensorValue) for part in parts)
    trace.effects.output_calls.append(
        OutputCall(
            print_line,
            (separator, ending, truth(trace, flush), stream, *parts),
            can_print,
            () if stream is None else (stream,),
            trace.step,
            node=trace.graph.last if prints_tensors else None,
        )
    )


def _stream(trace: Trace, file: Item) -> Item:
    """The stream that is printed to, None for sys.stdout; a break unless it takes text without code of the program."""
    real: Any = sys.stdout if file is None else getattr(file, "object", None)
    is_standard = real is sys.stdout or real is sys.stderr
    if not is_standard or not can_print(real) or (isinstance(file, ObjectValue) and file.source is None):
        trace.stop(PRINTING, "print")
    return file


def _part(trace: Trace, item: Item) -> Item:
    """A tensor, or the text of anything else; a break where that is not known, or more than a text."""
    if isinstance(item, TensorValue):
        if item.meta.requires_grad and not trace.replays:
            trace.stop(PRINTING, "a tensor that requires gradients, whose grad_fn a compiler changes")
        if trace.settings:
            trace.stop(PRINTING, "a tensor, while settings differ from those behind the graph")
        return item
    before = trace.graph.call_count, len(trace.effects.changed), len(trace.effects.output_calls)
    text = realise(trace, call(trace, str, [item]))
    after = trace.graph.call_count, len(trace.effects.changed), len(trace.effects.output_calls)
    if type(text) is not str or isinstance(text, Value) or before != after:
        trace.stop(PRINTING, "print")
    return text
