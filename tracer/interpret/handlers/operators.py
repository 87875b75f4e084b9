"""Operators, comparisons, attributes, items and formatting: thin over the protocols in values/."""

from __future__ import annotations

from tracer.code.decode import Op
from tracer.interpret.call import call
from tracer.interpret.frame import Frame, pop_value
from tracer.interpret.registry import handles
from tracer.values.base import MISSING, NULL, known_lazies
from tracer.values.methods import BoundMethod
from tracer.values.protocols.attributes import get_attribute, set_attribute
from tracer.values.protocols.items import contains, get_item, set_item
from tracer.values.protocols.operators import binary, compare, unary
from tracer.values.protocols.truth import is_same


@handles("BINARY_OP")
def binary_op(frame: Frame, op: Op) -> None:
    stack = frame.stack
    right = stack.pop()
    stack.append(binary(frame.trace, op.operand, stack.pop(), right))


@handles("COMPARE_OP")
def compare_op(frame: Frame, op: Op) -> None:
    stack = frame.stack
    right = stack.pop()
    stack.append(compare(frame.trace, op.operand, stack.pop(), right))


@handles("UNARY_NEGATIVE", "UNARY_POSITIVE", "UNARY_INVERT", "UNARY_NOT")
def unary_op(frame: Frame, op: Op) -> None:
    frame.push(unary(frame.trace, op.operand, frame.pop()))


@handles("IS_OP")
def is_op(frame: Frame, op: Op) -> None:
    right, left = frame.pop(), frame.pop()
    frame.push(is_same(frame.trace, left, right) != bool(op.arg))


@handles("CONTAINS_OP")
def contains_op(frame: Frame, op: Op) -> None:
    right, left = frame.pop(), frame.pop()
    frame.push(contains(frame.trace, right, left) != bool(op.arg))


@handles("BINARY_SUBSCR")
def binary_subscr(frame: Frame, op: Op) -> None:
    key, container = frame.pop(), frame.pop()
    frame.push(get_item(frame.trace, container, key))


@handles("STORE_SUBSCR")
def store_subscr(frame: Frame, op: Op) -> None:
    key, container, item = frame.pop(), frame.pop(), frame.pop()
    set_item(frame.trace, container, key, item)


@handles("DELETE_SUBSCR")
def delete_subscr(frame: Frame, op: Op) -> None:
    key, container = frame.pop(), frame.pop()
    set_item(frame.trace, container, key, MISSING)


@handles("LOAD_ATTR")
def load_attr(frame: Frame, op: Op) -> None:
    frame.push(get_attribute(frame.trace, frame.pop(), op.operand))


@handles("LOAD_METHOD")
def load_method(frame: Frame, op: Op) -> None:
    item = get_attribute(frame.trace, frame.pop(), op.operand)
    if type(item) is BoundMethod and item.source is None:
        frame.push(item.function)
        frame.push(item.instance)
    else:
        frame.push(NULL)
        frame.push(item)


@handles("STORE_ATTR")
def store_attr(frame: Frame, op: Op) -> None:
    target, item = frame.pop(), frame.pop()
    set_attribute(frame.trace, target, op.operand, item)


@handles("DELETE_ATTR")
def delete_attr(frame: Frame, op: Op) -> None:
    set_attribute(frame.trace, frame.pop(), op.operand, MISSING)


@handles("FORMAT_VALUE")
def format_value(frame: Frame, op: Op) -> None:
    conversion, has_spec = op.operand
    spec = frame.pop() if has_spec else ""
    item = pop_value(frame)
    if conversion is not None:
        item = call(frame.trace, conversion, [item])
    frame.push(call(frame.trace, format, [item, spec]))


@handles("BUILD_STRING")
def build_string(frame: Frame, op: Op) -> None:
    frame.push("".join(known_lazies(frame.trace, frame.pop_many(op.arg))))
