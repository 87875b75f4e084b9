"""Generators made by the traced program: a suspended frame, run piece by piece."""

from __future__ import annotations

import builtins
import types

from tracer.interpret.frame import Frame
from tracer.interpret.loop import run, unwind
from tracer.interpret.trace import Trace
from tracer.values.base import UNREAD, realise, type_of
from tracer.values.exceptions import ExceptionValue
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_kind
from tracer.values.kinds import register
from tracer.values.protocols.iteration import unpack
from tracer.values.raising import Raised, make_exception, new_exception, throw, throw_from
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable


class GeneratorValue(IteratorValue):
    """`returned` is what the generator returned, once it has ended."""

    __slots__ = ("ended", "frame", "returned", "running", "started")

    def __init__(self, trace: Trace, frame: Frame) -> None:
        super().__init__(trace, types.GeneratorType)
        self.frame = frame
        self.started = False
        self.ended = False
        self.running = False
        self.returned: Item = None

    @property
    def left_in_handler(self) -> bool:
        """Whether it waits inside a try or with block, which runs to its end when CPython drops the generator."""
        return self.started and not self.ended and _does_more_when_closed(self.frame)

    def next(self, context: Trace) -> Item:  # type: ignore[override]
        return self.send(context, None)

    def member(self, context: Trace, name: str) -> Item:  # type: ignore[override]
        """An attribute of the generator object, such as `gi_frame`."""
        code = self.frame.code.native
        members = {
            "__name__": code.co_name,
            "__qualname__": code.co_qualname,
            "gi_code": code,
            "gi_running": self.running,
        }
        if name == "gi_frame" and self.ended:
            return None
        return members.get(name, UNREAD)

    def send(self, trace: Trace, item: Item) -> Item:
        """Resume with `item` as the value of the yield; the next yielded item, or END."""
        if self.running:
            throw(trace, ValueError, "generator already executing")
        if self.ended:
            self.returned = None
            return END
        if self.started:
            self.frame.push(item)
        elif item is not None:
            throw(trace, TypeError, "can't send non-None value to a just-started generator")
        return self._run(trace)

    def throw(self, trace: Trace, raised: Raised) -> Item:
        """Raise inside the generator, where it is suspended."""
        if self.ended or not self.started:
            self.ended = True
            raise raised
        inner = self._delegate()
        if inner is not None:
            try:
                item = inner.throw(trace, raised)
            except Raised as again:
                self.frame.pop()
                return self._unwind(trace, again)
            if item is not END:
                return item
            self.frame.pop()
            self.frame.push(inner.returned)
            self.frame.index = self.frame.ops[self.frame.ops[self.frame.index].operand].operand
            return self._run(trace)
        return self._unwind(trace, raised)

    def _unwind(self, trace: Trace, raised: Raised) -> Item:
        try:
            unwind(self.frame, raised)
        except Raised:
            self.ended = True
            raise
        return self._run(trace)

    def close(self, trace: Trace) -> None:
        """Raise GeneratorExit inside, which must end the generator."""
        if self.ended or not self.started:
            self.ended = True
            return
        try:
            item = self.throw(trace, Raised(new_exception(GeneratorExit)))
        except Raised as raised:
            if not issubclass(raised.value.cls, (GeneratorExit, StopIteration)):
                raise
            return
        if item is not END:
            throw(trace, RuntimeError, "generator ignored GeneratorExit")

    def _delegate(self) -> GeneratorValue | None:
        """The generator that a `yield from` is waiting for."""
        op = self.frame.ops[self.frame.index]
        if op.name == "JUMP" and self.frame.ops[op.operand].name == "SEND":
            receiver = self.frame.stack[-1]
            return receiver if isinstance(receiver, GeneratorValue) else None
        return None

    def _run(self, trace: Trace) -> Item:
        if not self.started:
            trace.generators.append(self)
        self.started = self.running = True
        self.frame.caller = trace.frame
        try:
            item = run(self.frame)
        except Raised as raised:
            self.ended = True
            if issubclass(raised.value.cls, StopIteration):
                throw_from(RuntimeError, "generator raised StopIteration", raised.value)
            raise
        finally:
            self.running = False
        if self.frame.yielded:
            return item
        self.ended = True
        self.returned = item
        return END


def _rebuild(emitter: Emitter, value: GeneratorValue) -> Fragment:
    raise Unrebuildable("a generator that is running", value.birth)


register(iterator_kind(_rebuild), GeneratorValue)


def generator_send(trace: Trace, generator: GeneratorValue, item: Item = None) -> Item:
    """`generator.send(item)`: raises StopIteration at the end, as the method does."""
    result = generator.send(trace, item)
    if result is END:
        _raise_stop(trace, generator)
    return result


def generator_throw(
    trace: Trace, generator: GeneratorValue, kind: Item, item: Item = None, traceback: Item = None
) -> Item:
    """`generator.throw(kind, item, traceback)`: raises StopIteration at the end, as the method does."""
    kind, item = realise(trace, kind), realise(trace, item)
    if not isinstance(kind, type) and item is not None:
        throw(trace, TypeError, "instance exception may not have a separate value")
    if isinstance(kind, type) and item is not None:
        if not isinstance(item, ExceptionValue) or not issubclass(item.cls, kind):
            item = trace.machine.call(trace, kind, unpack(trace, item) if type_of(trace, item) is tuple else [item])
        kind = item
    if not isinstance(kind, ExceptionValue) and not (isinstance(kind, type) and issubclass(kind, BaseException)):
        throw(
            trace,
            TypeError,
            f"exceptions must be classes or instances deriving from BaseException, not {type_of(trace, kind).__name__}",
        )
    result = generator.throw(trace, Raised(make_exception(trace, kind)))
    if result is END:
        _raise_stop(trace, generator)
    return result


def generator_close(trace: Trace, generator: GeneratorValue) -> None:
    """`generator.close()`: raise GeneratorExit where the generator stopped."""
    generator.close(trace)


def _raise_stop(trace: Trace, generator: GeneratorValue) -> None:
    returned, generator.returned = generator.returned, None
    throw(trace, StopIteration, *(() if returned is None else (returned,)))


PASSED_ON = frozenset({"PUSH_EXC_INFO", "CHECK_EXC_MATCH", "BUILD_TUPLE", "COPY", "POP_EXCEPT"})
"""What a handler runs to see that an exception is not its own."""


def _does_more_when_closed(frame: Frame) -> bool:
    """Whether a handler around the suspended instruction would run more than tests that GeneratorExit fails."""
    code = frame.code
    handler = code.handlers[frame.index - 1]
    while handler is not None:
        index = handler.target
        while (op := code.ops[index]).name != "RERAISE":
            if op.name == "POP_JUMP_IF_FALSE":
                index = op.operand
            elif op.name in PASSED_ON or (op.name == "LOAD_GLOBAL" and _is_another_error(frame, op.operand)):
                index += 1
            else:
                return True
        handler = code.handlers[index]
    return False


def _is_another_error(frame: Frame, name: str) -> bool:
    """Whether a global name means an exception class that does not catch GeneratorExit."""
    cls = frame.globals.get(name, getattr(builtins, name, None))
    return isinstance(cls, type) and issubclass(cls, BaseException) and not issubclass(GeneratorExit, cls)
