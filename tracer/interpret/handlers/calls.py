"""Calls, function definitions and imports."""

from __future__ import annotations

import sys
import types
from importlib import import_module
from typing import Any, NoReturn

from tracer.code.decode import Op
from tracer.guards.source import constant
from tracer.guards.source import module as module_source
from tracer.interpret.call import call
from tracer.interpret.frame import Frame, callee_at, pop_value
from tracer.interpret.global_names import load_builtin
from tracer.interpret.handlers.containers import NOT_A_MAPPING, callee_name, is_iterable, mapping_items
from tracer.interpret.registry import handles
from tracer.reasons import (
    IMPORT_STATEMENT,
    PRINTING,
    UNSUPPORTED_CALL,
    UNSUPPORTED_OPCODE,
    UNSUPPORTED_OPERATION,
)
from tracer.values.base import NULL, Value
from tracer.values.class_attributes import class_name
from tracer.values.dicts import DictValue
from tracer.values.functions import FunctionValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.iteration import unpack
from tracer.values.raising import Raised, throw

DEFAULTS, KEYWORD_DEFAULTS, ANNOTATIONS, CLOSURE = 1, 2, 4, 8


@handles("CALL")
def call_instruction(frame: Frame, op: Op) -> None:
    stack = frame.stack
    count = op.arg
    args = []
    if count:
        args = stack[-count:]
        del stack[-count:]
    upper, callee = stack.pop(), stack.pop()
    if callee is NULL:
        callee = upper
    elif upper is not NULL:
        args.insert(0, upper)
    names = op.keywords
    if names:
        kwargs = dict(zip(names, args[-len(names) :], strict=True))
        del args[-len(names) :]
        stack.append(call(frame.trace, callee, args, kwargs))
    else:
        stack.append(call(frame.trace, callee, args))


@handles("CALL_FUNCTION_EX")
def call_function_ex(frame: Frame, op: Op) -> None:
    kwargs = {}
    if op.operand:
        kwargs = mapping_items(frame, pop_value(frame), NOT_A_MAPPING, callee_at(frame, 2))
    iterable = pop_value(frame)
    callee = callee_at(frame, 1)
    frame.pop_many(2)
    if not is_iterable(frame, iterable):
        complaint = f"argument after * must be an iterable, not {class_name(iterable)}"
        throw(frame.trace, TypeError, f"{callee_name(frame, callee)} {complaint}")
    args = unpack(frame.trace, iterable)
    is_interpreted = isinstance(callee, types.FunctionType | FunctionValue)
    for name in kwargs:
        if type(name) is not str and (
            isinstance(name, Value) or not is_interpreted
        ):  # each C function refuses in its way
            frame.trace.stop(UNSUPPORTED_CALL, f"an argument is named by an object of {class_name(name)}")
    frame.push(call(frame.trace, callee, args, dict(kwargs)))


@handles("MAKE_FUNCTION")
def make_function(frame: Frame, op: Op) -> None:
    code = frame.pop()
    closure = tuple(unpack(frame.trace, frame.pop())) if op.arg & CLOSURE else ()
    annotations = frame.pop() if op.arg & ANNOTATIONS else ()
    keyword_defaults = _keyword_defaults(frame) if op.arg & KEYWORD_DEFAULTS else {}
    defaults = unpack(frame.trace, frame.pop()) if op.arg & DEFAULTS else []
    pairs = unpack(frame.trace, annotations)
    annotated = DictValue(dict, dict(zip(pairs[::2], pairs[1::2], strict=True)))
    function = FunctionValue(code, frame.globals, code.co_name, defaults, keyword_defaults, closure, annotated)
    function.globals_source = frame.globals_source
    frame.push(function)


def _keyword_defaults(frame: Frame) -> dict[Any, Item]:
    """The entries of the dictionary that a function under construction gets; one from before a break stays whole."""
    defaults = pop_value(frame)
    if not isinstance(defaults, DictValue) or defaults.source is not None:
        frame.trace.stop(UNSUPPORTED_OPERATION, "a function whose keyword defaults were made before a break")
    return dict(defaults.items)


@handles("LOAD_BUILD_CLASS")
def load_build_class(frame: Frame, op: Op) -> None:
    frame.push(load_builtin(frame, "__build_class__"))


@handles("IMPORT_NAME")
def import_name(frame: Frame, op: Op) -> None:
    """Of a module that is loaded already, or of torch's own; loading another would be an effect."""
    trace = frame.trace
    names, level = frame.pop(), frame.pop()
    name = op.operand
    if level:
        package = frame.globals.get("__package__") or ""
        base = package.rsplit(".", level - 1)[0] if level > 1 else package
        name = f"{base}.{name}" if name else base
    if name.startswith("torch."):
        host(trace, import_module, name)
    if name not in sys.modules:
        _stop_at_import(frame, name)
    target = name if names else name.partition(".")[0]
    frame.push(trace.wrap(sys.modules[target], module_source(target)))


@handles("IMPORT_FROM")
def import_from(frame: Frame, op: Op) -> None:
    trace = frame.trace
    package = frame.peek()
    try:
        frame.push(get_attribute(trace, package, op.operand))
    except Raised:
        name = f"{package.__name__}.{op.operand}"
        if name not in sys.modules:
            _stop_at_import(frame, name)
        frame.push(trace.wrap(sys.modules[name], module_source(name)))


def _stop_at_import(frame: Frame, name: str) -> NoReturn:
    """Break at the import of a module, until it is loaded."""
    frame.trace.stop_while((constant(sys.modules), "absent", name), IMPORT_STATEMENT, name)


@handles("IMPORT_STAR")
def import_star(frame: Frame, op: Op) -> None:
    frame.trace.stop(IMPORT_STATEMENT, "import *")


@handles("PRINT_EXPR")
def print_expr(frame: Frame, op: Op) -> None:
    frame.trace.stop(PRINTING)


@handles("CALL_INTRINSIC_1", "CALL_INTRINSIC_2")
def intrinsic(frame: Frame, op: Op) -> None:
    """Type parameters and `type` statements; what else has a number has a canonical opcode."""
    frame.trace.stop(UNSUPPORTED_OPCODE, f"{op.name} {op.operand}")
