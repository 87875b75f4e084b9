"""Operators, comparisons, attributes, items and formatting: thin over the protocols in values/."""

from __future__ import annotations

from tracer.code.decode import Op
from tracer.interpret.call import call
from tracer.interpret.frame import Frame, callee_pair, pop_value
from tracer.interpret.registry import handles
from tracer.values.base import MISSING, Lazy, known_lazies
from tracer.values.methods import BoundMethod
from tracer.values.protocols.attribute_writes import set_attribute
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.items import contains, get_item, set_item
from tracer.values.protocols.operators import binary, compare, unary
from tracer.values.protocols.truth import is_same, truth


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


@handles("TO_BOOL")
def to_bool(frame: Frame, op: Op) -> None:
    frame.push(truth(frame.trace, frame.pop()))


@handles("IS_OP")
def is_op(frame: Frame, op: Op) -> None:
    right, left = frame.pop(), frame.pop()
    frame.push(is_same(frame.trace, left, right) != bool(op.arg))


@handles("CONTAINS_OP")
def contains_op(frame: Frame, op: Op) -> None:
    container, item = frame.pop(), frame.pop()
    frame.push(contains(frame.trace, container, item) != bool(op.arg))


@handles("BINARY_SUBSCR")
def binary_subscr(frame: Frame, op: Op) -> None:
    stack = frame.stack
    key = stack.pop()
    stack.append(get_item(frame.trace, stack.pop(), key))


@handles("STORE_SUBSCR")
def store_subscr(frame: Frame, op: Op) -> None:
    key, container, item = frame.pop(), frame.pop(), frame.pop()
    set_item(frame.trace, container, key, item)


@handles("DELETE_SUBSCR")
def delete_subscr(frame: Frame, op: Op) -> None:
    key, container = frame.pop(), frame.pop()
    set_item(frame.trace, container, key, MISSING)


@handles("BINARY_SLICE")
def binary_slice(frame: Frame, op: Op) -> None:
    start, stop = known_lazies(frame.trace, frame.pop_many(2))
    frame.push(get_item(frame.trace, frame.pop(), slice(start, stop)))


@handles("STORE_SLICE")
def store_slice(frame: Frame, op: Op) -> None:
    start, stop = known_lazies(frame.trace, frame.pop_many(2))
    container, item = frame.pop(), frame.pop()
    set_item(frame.trace, container, slice(start, stop), item)


@handles("LOAD_ATTR")
def load_attr(frame: Frame, op: Op) -> None:
    stack = frame.stack
    stack.append(get_attribute(frame.trace, stack.pop(), op.operand))


@handles("LOAD_METHOD")
def load_method(frame: Frame, op: Op) -> None:
    stack = frame.stack
    item = get_attribute(frame.trace, stack.pop(), op.operand)
    if type(item) is BoundMethod and item.source is None:
        stack += (item.function, item.instance)
    else:
        stack += callee_pair(item)


HAS_ARGUMENTS = 2
"""The bit of LOAD_SUPER_ATTR's argument that says that `super` is called with the class and the instance."""


def _call_super(frame: Frame, op: Op) -> None:
    """Push what the call of `super` gives. Class and instance are on the stack whether it is passed them or not."""
    function, *args = frame.pop_many(3)
    is_builtin = (function.object if type(function) is Lazy else function) is super
    frame.push(call(frame.trace, function, args if is_builtin or op.arg & HAS_ARGUMENTS else []))


@handles("LOAD_SUPER_ATTR")
def load_super_attr(frame: Frame, op: Op) -> None:
    _call_super(frame, op)
    load_attr(frame, op)


@handles("LOAD_SUPER_METHOD")
def load_super_method(frame: Frame, op: Op) -> None:
    _call_super(frame, op)
    load_method(frame, op)


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


@handles("CONVERT_VALUE")
def convert_value(frame: Frame, op: Op) -> None:
    frame.push(call(frame.trace, op.operand, [pop_value(frame)]))


@handles("FORMAT_SIMPLE")
def format_simple(frame: Frame, op: Op) -> None:
    frame.push(call(frame.trace, format, [pop_value(frame), ""]))


@handles("FORMAT_WITH_SPEC")
def format_with_spec(frame: Frame, op: Op) -> None:
    spec = frame.pop()
    frame.push(call(frame.trace, format, [pop_value(frame), spec]))


@handles("BUILD_STRING")
def build_string(frame: Frame, op: Op) -> None:
    frame.push("".join(known_lazies(frame.trace, frame.pop_many(op.arg))))
