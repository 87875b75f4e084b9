"""Generators made by the traced program: a suspended frame, run piece by piece."""

from __future__ import annotations

import builtins
import types
from collections.abc import Callable

from tracer.code.native import DIALECT
from tracer.interpret.frame import Frame
from tracer.interpret.loop import run, unwind
from tracer.interpret.policy import ITERATORS
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, UNREAD, realise, type_of
from tracer.values.exceptions import ExceptionValue
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, call_until_stop, iterator_kind
from tracer.values.kinds import register
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.optional_attributes import optional_attribute
from tracer.values.raising import Raised, chain, make_exception, new_exception, throw, throw_from
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable


class GeneratorValue(IteratorValue):
    """A generator, or an iterator of C that a generator of the library stands for, which has no methods of generators.

    `returned` is what the generator returned, once it has ended.

    `handling` is the exception that it handles itself while it is suspended, as CPython keeps one for each generator.
    """

    __slots__ = ("ended", "frame", "handling", "returned", "running", "started")

    def __init__(self, trace: Trace, frame: Frame) -> None:
        super().__init__(trace, ITERATORS.get(id(frame.code.native), types.GeneratorType))
        self.frame = frame
        trace.generators.append(self)
        self.started = False
        self.ended = False
        self.running = False
        self.handling: Item = None
        self.returned: Item = None

    @property
    def is_generator(self) -> bool:
        """Whether it is a generator to the program, too."""
        return self.cls is types.GeneratorType

    @property
    def suspended(self) -> bool:
        """Whether it waits at a yield."""
        return self.started and not self.ended and not self.running

    @property
    def left_in_handler(self) -> bool:
        """Whether it waits inside a try or with block, which runs to its end when CPython drops the generator."""
        if not self.started or self.ended:
            return False
        return not isinstance(self.delegate, IteratorValue | None) or _does_more_when_closed(self.frame)

    def next(self, context: Trace) -> Item:  # type: ignore[override]
        return self.send(context, None)

    def member(self, context: Trace, name: str) -> Item:  # type: ignore[override]
        """An attribute of the generator object, such as `gi_frame`."""
        code = self.frame.code.native
        members = {
            "gi_code": code,
            "gi_running": self.running,
            "gi_suspended": self.suspended,
            "gi_yieldfrom": self.delegate,
        }
        if name in ("__name__", "__qualname__"):
            return get_attribute(context, self.frame.function, name)
        if name == "gi_frame" and self.ended:
            return None
        return members.get(name, UNREAD)

    def send(self, trace: Trace, item: Item) -> Item:
        """Resume with `item` as the value of the yield; the next yielded item, or END."""
        self._refuse_while_running(trace)
        if self.ended:
            self.returned = None
            return END
        if self.started:
            self.frame.push(item)
        elif item is not None:
            throw(trace, TypeError, "can't send non-None value to a just-started generator")
        return self._resume(trace, None)

    def throw(self, trace: Trace, kind: Item, item: Item, traceback: Item) -> Item:
        """Raise inside the generator, where it is suspended, what `throw(kind, item, traceback)` stands for."""
        delegate = self.delegate
        if delegate is None:
            return self._raise(trace, thrown(trace, kind, item))
        if _means_exit(kind):
            return self._raise(trace, self._close_delegate(trace, delegate) or thrown(trace, kind, item))
        if isinstance(delegate, GeneratorValue) and delegate.is_generator:
            return self._delegated(trace, lambda: delegate.throw(trace, kind, item, traceback))
        method = optional_attribute(trace, delegate, "throw")
        if method is MISSING:
            return self._raise(trace, thrown(trace, kind, item))
        args = [kind, item, traceback]
        while args[-1] is None:
            args.pop()
        return self._delegated(trace, lambda: call_until_stop(trace, method, args))

    def close(self, trace: Trace) -> None:
        """Raise GeneratorExit inside, which must end the generator."""
        if self.ended or not self.started:
            self.ended = True
            return
        delegate = self.delegate
        try:
            item = self._raise(trace, self._close_delegate(trace, delegate) or Raised(new_exception(GeneratorExit)))
        except Raised as raised:
            if not issubclass(raised.value.cls, (GeneratorExit, StopIteration)):
                raise
            return
        if item is not END:
            throw(trace, RuntimeError, "generator ignored GeneratorExit")

    @property
    def delegate(self) -> Item:
        """The iterator that a `yield from` waits for; None at any other instruction."""
        if not self.suspended:
            return None
        op = self.frame.ops[self.frame.index]
        return self.frame.peek() if op.name == "JUMP" and self.frame.ops[op.operand].name == "SEND" else None

    def _delegated(self, trace: Trace, step: Callable[[], Item]) -> Item:
        """Go on after a `step` of the delegate: with what it yields, with what it returned, or with what it raises."""
        delegate = self.delegate
        self.running = True
        try:
            item = step()
        except Raised as raised:
            self.frame.pop()
            return self._resume(trace, raised)
        finally:
            self.running = False
        if item is not END:
            return item
        if isinstance(delegate, GeneratorValue):
            result = delegate.returned
        else:
            result, trace.stop_value = trace.stop_value, None
        self.frame.pop()
        self.frame.push(result)
        self.frame.index = self.frame.ops[self.frame.ops[self.frame.index].operand].operand
        return self._resume(trace, None)

    def _close_delegate(self, trace: Trace, delegate: Item) -> Raised | None:
        """Close what a `yield from` waits for, if anything; the exception that this raises."""
        if delegate is None:
            return None
        self.running = True
        try:
            if isinstance(delegate, GeneratorValue) and delegate.is_generator:
                delegate.close(trace)
            elif (method := optional_attribute(trace, delegate, "close")) is not MISSING:
                trace.machine.call(trace, method, [])
        except Raised as raised:
            return raised
        finally:
            self.running = False
        return None

    def _raise(self, trace: Trace, raised: Raised) -> Item:
        try:
            self._refuse_while_running(trace)
            if self.ended or not self.started:
                self.ended = True
                raise raised
            return self._resume(trace, raised)
        finally:
            del raised

    def _refuse_while_running(self, trace: Trace) -> None:
        if self.running:
            throw(trace, ValueError, "generator already executing")

    def _resume(self, trace: Trace, raised: Raised | None) -> Item:
        """Run up to the next yield, from where the generator is suspended or from the handler of an exception there."""
        self.started = self.running = True
        self.frame.called_from(trace.frame)
        trace.handling.append(self.handling)
        try:
            if raised is not None:
                if self.handling is not None:
                    chain(trace, raised.value)
                if not unwind(self.frame, raised):
                    raise raised
            item = run(self.frame)
        except Raised as escaped:
            self.ended = True
            if issubclass(escaped.value.cls, StopIteration):
                throw_from(RuntimeError, "generator raised StopIteration", escaped.value)
            raise
        finally:
            self.running = False
            self.handling = trace.handling.pop()
            del raised  # an exception that its own traceback leads to would not die
        if self.frame.yielded:
            return item
        self.ended = True
        self.returned = item
        return END


def _rebuild(emitter: Emitter, value: GeneratorValue) -> Fragment:
    raise Unrebuildable("a generator that is running", value.birth)


register(iterator_kind(_rebuild), GeneratorValue)


def _means_exit(kind: Item) -> bool:
    """Whether `throw(kind)` raises GeneratorExit, which closes what a `yield from` waits for."""
    cls = kind.cls if isinstance(kind, ExceptionValue) else kind
    return isinstance(cls, type) and issubclass(cls, GeneratorExit)


def thrown(trace: Trace, kind: Item, item: Item) -> Raised:
    """The exception that `throw(kind, item)` raises inside a generator."""
    if isinstance(kind, ExceptionValue):
        if item is not None:
            throw(trace, TypeError, "instance exception may not have a separate value")
    elif not (isinstance(kind, type) and issubclass(kind, BaseException)):
        name = type_of(trace, kind).__name__
        throw(trace, TypeError, f"exceptions must be classes or instances deriving from BaseException, not {name}")
    elif isinstance(item, ExceptionValue) and issubclass(item.cls, kind):
        kind = item
    elif item is not None:
        args = unpack(trace, item) if type_of(trace, item) is tuple else [item]
        try:
            kind = trace.machine.call(trace, kind, args)
        except Raised as raised:
            return raised
    return Raised(make_exception(trace, kind))


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
    result = generator.throw(trace, realise(trace, kind), realise(trace, item), traceback)
    if result is END:
        _raise_stop(trace, generator)
    return result


def generator_close(trace: Trace, generator: GeneratorValue) -> Item:
    """`generator.close()`: raise GeneratorExit where the generator stopped, and return its result (CPython 3.13)."""
    generator._refuse_while_running(trace)
    generator.returned = None
    generator.close(trace)
    returned, generator.returned = generator.returned, None
    return returned if DIALECT.close_returns else None


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
