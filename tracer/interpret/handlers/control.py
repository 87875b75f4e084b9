"""Jumps, loops, returns and generators."""

from __future__ import annotations

from tracer.code.decode import Op
from tracer.interpret.assertions import branch
from tracer.interpret.frame import Frame, pop_value
from tracer.interpret.generators import GeneratorValue
from tracer.interpret.registry import handles
from tracer.reasons import COROUTINE
from tracer.values.base import realise
from tracer.values.iterators import END, call_until_stop, next_item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.iteration import iterate
from tracer.values.protocols.truth import is_same, truth


@handles("JUMP")
def jump(frame: Frame, op: Op) -> None:
    _jump_to(frame, op)


@handles("POP_JUMP_IF_TRUE")
def pop_jump_if_true(frame: Frame, op: Op) -> None:
    item = frame.stack.pop()
    if item is True or (item is not False and branch(frame, op, item)):
        _jump_to(frame, op)


@handles("POP_JUMP_IF_FALSE")
def pop_jump_if_false(frame: Frame, op: Op) -> None:
    item = frame.stack.pop()
    if item is False or (item is not True and not branch(frame, op, item)):
        _jump_to(frame, op)


@handles("POP_JUMP_IF_NONE")
def pop_jump_if_none(frame: Frame, op: Op) -> None:
    if is_same(frame.trace, frame.pop(), None):
        _jump_to(frame, op)


@handles("POP_JUMP_IF_NOT_NONE")
def pop_jump_if_not_none(frame: Frame, op: Op) -> None:
    if not is_same(frame.trace, frame.pop(), None):
        _jump_to(frame, op)


@handles("JUMP_IF_TRUE_OR_POP")
def jump_if_true_or_pop(frame: Frame, op: Op) -> None:
    if truth(frame.trace, frame.peek()):
        _jump_to(frame, op)
    else:
        frame.pop()


@handles("JUMP_IF_FALSE_OR_POP")
def jump_if_false_or_pop(frame: Frame, op: Op) -> None:
    if truth(frame.trace, frame.peek()):
        frame.pop()
    else:
        _jump_to(frame, op)


def _jump_to(frame: Frame, op: Op) -> None:
    if op.operand < frame.index:
        trace = frame.trace
        trace.turns += 1
        if trace.turns == trace.next_look:
            trace.look_at_progress()
    frame.index = op.operand


@handles("GET_ITER")
def get_iter(frame: Frame, op: Op) -> None:
    frame.push(iterate(frame.trace, frame.pop()))


@handles("FOR_ITER")
def for_iter(frame: Frame, op: Op) -> None:
    item = next_item(frame.trace, frame.peek())
    if item is END:
        frame.pop()
        frame.index = op.operand
    else:
        frame.push(item)


@handles("RETURN_VALUE")
def return_value(frame: Frame, op: Op) -> bool:
    frame.result = frame.pop()
    return True


# Generators ------------------------------------------------------------------------------------------


@handles("RETURN_GENERATOR")
def return_generator(frame: Frame, op: Op) -> None:
    """The frame was made suspended by the call; it now runs for the first time."""
    frame.push(None)


@handles("YIELD_VALUE")
def yield_value(frame: Frame, op: Op) -> bool:
    frame.result = frame.pop()
    frame.yielded = True
    return True


@handles("GET_YIELD_FROM_ITER")
def get_yield_from_iter(frame: Frame, op: Op) -> None:
    item = pop_value(frame)
    frame.push(item if isinstance(item, GeneratorValue) else iterate(frame.trace, item))


@handles("SEND")
def send(frame: Frame, op: Op) -> None:
    sent = frame.pop()
    receiver = frame.peek()
    if isinstance(receiver, GeneratorValue) and receiver.is_generator:
        item = receiver.send(frame.trace, sent)
        result = receiver.returned
    else:
        trace = frame.trace
        if realise(trace, sent) is None:
            item = next_item(trace, receiver)
        else:
            item = call_until_stop(trace, get_attribute(trace, receiver, "send"), [sent])
        result, trace.stop_value = trace.stop_value, None
    if item is END:
        frame.pop()
        frame.push(result)
        frame.index = op.operand
    else:
        frame.push(item)


@handles(
    "GET_AITER",
    "GET_ANEXT",
    "GET_AWAITABLE",
    "END_ASYNC_FOR",
    "BEFORE_ASYNC_WITH",
    "ASYNC_GEN_WRAP",
    "STOPITERATION_ERROR",
    "CLEANUP_THROW",
)
def asynchronous(frame: Frame, op: Op) -> None:
    frame.trace.stop(COROUTINE, op.name)
