"""One activation of a code object during a trace.

The stack has CPython's own layout at every instruction, so that a break can hand it to native code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch

from tracer.code.decode import Code, Op
from tracer.code.native import DIALECT
from tracer.guards.source import Source
from tracer.interpret.handler_reach import is_handled
from tracer.interpret.location import is_user_file
from tracer.interpret.trace import Running, Trace
from tracer.values.base import NULL, Lazy, Value
from tracer.values.cells import CellValue
from tracer.values.dicts import DictValue
from tracer.values.item import Item


class Frame:
    """`slots` are CPython's localsplus: locals, cells, free variables; MISSING where unbound. `names` is the namespace
    of a class body, None in functions; `snapshot` is what `locals()` has returned.

    Handlers reach the stack by `push`, `pop` and the other methods here. Those of the instructions that run most (loads
    and stores, attributes, operators, calls, jumps on a truth value) use the list itself, which saves a call in each.
    """

    __slots__ = (
        "caller",
        "closure",
        "code",
        "depth",
        "function",
        "globals",
        "globals_source",
        "index",
        "library_of",
        "module",
        "names",
        "ops",
        "protected",
        "result",
        "slots",
        "snapshot",
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
        caller: Running | None,
        function: Any = None,
    ) -> None:
        self.trace = trace
        self.code = code
        trace.codes.add(code)
        self.ops: list[Op] = code.ops
        self.index = 0
        self.stack: list[Item] = []
        self.slots = slots
        self.globals = globals
        self.globals_source = globals_source
        self.called_from(caller)
        self.closure = closure
        self.function = function
        self.names: DictValue | None = None
        self.snapshot: DictValue | None = None
        self.result: Item = None
        self.yielded = False
        self.module: Source | Literal[False] | None = False
        self.library_of: Running | None = None
        if caller is not None and not is_user_file(code.filename):
            self.library_of = caller.user

    def called_from(self, caller: Running | None) -> None:
        """Note the frame below this one, which is another each time a generator is resumed."""
        self.caller = caller
        self.protected = caller is not None and (caller.protected or caller.handled_here)
        self.depth = 0 if caller is None else caller.depth + (self.globals_source is not None)  # polyfills do not count

    @property
    def op(self) -> Op:
        """The instruction running now."""
        return self.ops[max(self.index - 1, 0)]

    @property
    def user(self) -> Running:
        """This frame, or, when it runs library code, the nearest frame of the user's below it."""
        return self.library_of or self

    def find_module(self) -> Source | None:
        """The source of the module whose code runs: of the frame's first argument, or as it is for its caller.

        `module` is what came of it, False as long as nobody has asked.
        """
        first = self.slots[0] if self.slots else None
        if isinstance(first, CellValue):
            first = first.content
        if isinstance(first, Value) and issubclass(first.cls, torch.nn.Module):
            self.module = first.source
        elif self.caller is None:
            self.module = None
        else:
            self.module = self.caller.module
            if self.module is False:
                self.module = self.caller.find_module()
        return self.module

    @property
    def handled_here(self) -> bool:
        """Whether this frame has a handler around the instruction running now that an exception does not just pass."""
        return self.code.handlers[self.index - 1] is not None and is_handled(self)

    def clear(self) -> None:
        """Let go of everything: frames, generators and functions of a trace hold each other."""
        self.slots.clear()
        self.stack.clear()
        self.closure = ()
        self.caller = self.library_of = self.result = self.snapshot = None

    def push(self, item: Item) -> None:
        """Push an item onto the stack."""
        self.stack.append(item)

    def pop(self) -> Item:
        """Take the top of the stack."""
        return self.stack.pop()

    def push_all(self, items: Iterable[Item]) -> None:
        """Push items, the last of them on top."""
        self.stack.extend(items)

    def peek(self, depth: int = 1) -> Item:
        """The item that is `depth` from the top, 1 the top itself, which stays there."""
        return self.stack[-depth]

    def realised(self, depth: int) -> Item:
        """As `peek`; an object from outside that nothing has looked at yet becomes its value, there, too."""
        item = self.stack[-depth]
        if type(item) is Lazy:
            item = self.stack[-depth] = item.realise(self.trace)
        return item

    def swap(self, depth: int) -> None:
        """Exchange the top and the item that is `depth` from it."""
        stack = self.stack
        stack[-1], stack[-depth] = stack[-depth], stack[-1]

    def pop_many(self, count: int) -> list[Item]:
        """Take the uppermost `count` items of the stack, the lowest first."""
        if not count:
            return []
        items = self.stack[-count:]
        del self.stack[-count:]
        return items


class ExcInfoEntry:
    """The stack entry that PUSH_EXC_INFO pushes: the exception handled `before`, and the one handled `now`."""

    __slots__ = ("before", "now")

    def __init__(self, before: Item, now: Item) -> None:
        self.before = before
        self.now = now


def pop_value(frame: Frame) -> Item:
    """The top of the stack, realised."""
    item = frame.stack.pop()
    return item.realise(frame.trace) if type(item) is Lazy else item


def callee_pair(function: Item) -> tuple[Item, Item]:
    """The two stack entries of a function that a call finds below its arguments, no method."""
    return (function, NULL) if DIALECT.is_null_above else (NULL, function)


def callee_at(frame: Frame, depth: int) -> Item:
    """What is called, where the upper one of the two entries is `depth` from the top; no method."""
    upper = frame.peek(depth)
    return frame.peek(depth + 1) if upper is NULL else upper
