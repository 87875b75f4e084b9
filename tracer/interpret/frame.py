"""One activation of a code object during a trace, and the loop that runs it.

The stack has CPython's own layout at every instruction, so that a break can hand it to native code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracer.code.decode import UNIT, Code, Op
from tracer.interpret.registry import bind
from tracer.reasons import GraphBreak
from tracer.values.base import MISSING, Item, Lazy
from tracer.values.context import Raised

if TYPE_CHECKING:
    from tracer.guards.source import Source
    from tracer.interpret.trace import Trace
    from tracer.values.functions import CellValue


class Frame:
    """`slots` are CPython's localsplus: locals, cells, free variables; MISSING where unbound."""

    __slots__ = (
        "caller",
        "closure",
        "code",
        "function",
        "globals",
        "globals_source",
        "index",
        "library_of",
        "ops",
        "protected",
        "result",
        "slots",
        "stack",
        "trace",
        "yielded",
    )

    def __init__(
        self,
        trace: Trace,
        code: Code,
        slots: list[Item],
        globals: dict[str, Any],
        globals_source: Source | None,
        closure: tuple[CellValue, ...],
        caller: Frame | None,
        function: Any = None,
    ) -> None:
        ops = code.ops
        if ops[0].run is None:
            bind(code)
        self.trace = trace
        self.code = code
        self.ops: list[Op] = ops
        self.index = 0
        self.stack: list[Item] = []
        self.slots = slots
        self.globals = globals
        self.globals_source = globals_source
        self.closure = closure
        self.caller = caller
        self.function = function
        self.result: Item = None
        self.yielded = False
        self.protected = caller is not None and (caller.protected or caller.handled_here)
        self.library_of: Frame | None = None
        if caller is not None and not trace.is_user_file(code.filename):
            self.library_of = caller.user

    @property
    def op(self) -> Op:
        """The instruction running now."""
        return self.ops[max(self.index - 1, 0)]

    @property
    def user(self) -> Frame:
        """This frame, or, when it runs library code, the nearest frame of the user's below it."""
        return self.library_of or self

    @property
    def handled_here(self) -> bool:
        """Whether this frame has a handler around the instruction running now."""
        return self.code.handlers[self.index - 1] is not None

    def push(self, item: Item) -> None:
        self.stack.append(item)

    def pop(self) -> Item:
        return self.stack.pop()

    def pop_many(self, count: int) -> list[Item]:
        if not count:
            return []
        items = self.stack[-count:]
        del self.stack[-count:]
        return items


class HandledBefore:
    """The slot in which PUSH_EXC_INFO keeps the exception handled `before`; `now` is the one it began to handle."""

    __slots__ = ("before", "now")

    def __init__(self, before: Item, now: Item) -> None:
        self.before = before
        self.now = now


def run(frame: Frame) -> Item:
    """Run until the frame returns (its value) or yields (`frame.yielded` is set)."""
    trace = frame.trace
    ops = frame.ops
    caller = trace.frame
    handled = trace.handled
    trace.frame = frame
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
                unwind(frame, raised)
    except GraphBreak as stopped:
        stopped.place = stopped.place or trace.location
        raise
    finally:
        trace.frame = caller
        trace.handled = handled


def run_root(frame: Frame, stop_at: int | None) -> bool:
    """Run the root frame, counting its instructions; False when `stop_at` was reached first."""
    trace = frame.trace
    ops = frame.ops
    trace.frame = frame
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
        except Raised as raised:
            unwind(frame, raised)


def unwind(frame: Frame, raised: Raised) -> None:
    """Send an exception to its handler in this frame; raises it on when there is none."""
    _trace_back(frame, raised.value)
    handler = frame.code.handlers[frame.index - 1]
    if handler is None:
        raise raised
    frame.trace.frame = frame
    stack = frame.stack
    del stack[handler.depth :]
    if handler.lasti:
        stack.append(frame.ops[frame.index - 1].offset // UNIT)
    stack.append(raised.value)
    frame.index = handler.target


def _trace_back(frame: Frame, exception: Item) -> None:
    """Add this frame to the traceback, unless the exception was in it already and is only passed on."""
    op = frame.op
    passed_on = op.name == "RERAISE" or (op.name == "RAISE_VARARGS" and op.arg == 0)
    if not passed_on and frame.globals_source is not None and exception.object is MISSING:
        exception.traceback = ((frame.code.native, op.line or 0), *exception.traceback)


def pop_value(frame: Frame) -> Item:
    """The top of the stack, realised."""
    item = frame.stack.pop()
    return item.realise(frame.trace) if type(item) is Lazy else item
