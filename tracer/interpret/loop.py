"""The loop that runs a frame, instruction by instruction, and sends exceptions to their handlers."""

from __future__ import annotations

from passes.operators.trial import is_about_data
from tracer.code.decode import UNIT, Code, Op
from tracer.interpret.frame import Frame
from tracer.interpret.letting_go import keep
from tracer.interpret.registry import HANDLERS
from tracer.reasons import DATA_TO_PYTHON, RECURSION, UNSUPPORTED_OPCODE, GraphBreak, NeedsNumber
from tracer.values.base import MISSING
from tracer.values.item import Item
from tracer.values.number_symbols import FROM_DATA
from tracer.values.raising import Raised


def bind(code: Code) -> None:
    """Give every instruction of `code` its handler, once."""
    for op in code.ops:
        op.run = HANDLERS.get(op.name, _unsupported)


def _unsupported(frame: Frame, op: Op) -> None:
    frame.trace.stop(UNSUPPORTED_OPCODE, op.name)


def run(frame: Frame) -> Item:
    """Run until the frame returns (its value) or yields (`frame.yielded` is set)."""
    trace = frame.trace
    ops = frame.ops
    if frame.depth >= trace.depth:
        trace.stop(RECURSION, frame.code.qualname)
    if ops[0].run is None:
        bind(frame.code)
    caller = trace.frame
    trace.frame = frame
    turns = trace.turns
    frame.yielded = False
    try:
        while True:
            try:
                while True:
                    op = ops[frame.index]
                    frame.index += 1
                    if op.run(frame, op):
                        return frame.result
            except Raised as raised:
                if not unwind(frame, raised):
                    raise
    except GraphBreak as stopped:
        stopped.passes(trace.stopped_at)
        stopped.callees.append((frame.code.native, turns))
        raise
    except RuntimeError as error:
        if not is_about_data(error):
            raise
        stopped = NeedsNumber(DATA_TO_PYTHON, FROM_DATA)
        stopped.passes(trace.stopped_at)
        raise stopped from None
    finally:
        trace.frame = caller


def run_root(frame: Frame, stop_at: int | None) -> bool:
    """Run the root frame, counting its instructions; False when `stop_at` was reached first."""
    trace = frame.trace
    ops = frame.ops
    if ops[0].run is None:
        bind(frame.code)
    trace.frame = frame
    watched = trace.watched
    step = 0
    while True:
        try:
            while True:
                if step == stop_at:
                    return False
                trace.step = step
                step += 1
                op = ops[frame.index]
                frame.index += 1
                if op.run(frame, op):
                    return True
                if watched:
                    keep(frame, op, watched)
        except RuntimeError as error:
            if not is_about_data(error):
                raise
            raise NeedsNumber(DATA_TO_PYTHON, FROM_DATA) from None
        except Raised as raised:
            op = frame.op
            if not unwind(frame, raised):
                raise
            if watched:
                keep(frame, op, watched)


def unwind(frame: Frame, raised: Raised) -> bool:
    """Send an exception to its handler in this frame; False when there is none."""
    _trace_back(frame, raised.value)
    handler = frame.code.handlers[frame.index - 1]
    if handler is None:
        return False
    frame.trace.frame = frame
    stack = frame.stack
    del stack[handler.depth :]
    if handler.lasti:
        stack.append(frame.ops[frame.index - 1].offset // UNIT)
    stack.append(raised.value)
    frame.index = handler.target
    return True


def _trace_back(frame: Frame, exception: Item) -> None:
    """Add this frame to the traceback, unless the exception was in it already and is only passed on."""
    op = frame.op
    passed_on = op.name == "RERAISE" or (op.name == "RAISE_VARARGS" and op.arg == 0)
    if not passed_on and frame.globals_source is not None and exception.object is MISSING:
        exception.traceback = ((frame.code.native, op.line or 0, op.offset), *exception.traceback)
