"""Instructions of class bodies, whose names live in a namespace that the class is then made of.

Code at the top of a file has them, too; that is never captured.
"""

from __future__ import annotations

from typing import Any

from tracer.code.decode import Op
from tracer.interpret.frame import Frame
from tracer.interpret.global_names import load_global
from tracer.interpret.handlers.stack import load_deref
from tracer.interpret.registry import handles
from tracer.reasons import UNSUPPORTED_OPCODE
from tracer.values.base import MISSING
from tracer.values.dicts import DictValue
from tracer.values.raising import throw


def _names(frame: Frame, op: Op) -> DictValue:
    """The namespace of the class body that runs."""
    if frame.names is None:
        frame.trace.stop(UNSUPPORTED_OPCODE, f"{op.name} outside of a function")
    return frame.names


@handles("LOAD_NAME")
def load_name(frame: Frame, op: Op) -> None:
    item = _names(frame, op).items.get(op.operand, MISSING)
    frame.push(load_global(frame, op.operand) if item is MISSING else item)


@handles("STORE_NAME")
def store_name(frame: Frame, op: Op) -> None:
    _names(frame, op).items[op.operand] = frame.pop()


@handles("DELETE_NAME")
def delete_name(frame: Frame, op: Op) -> None:
    if _names(frame, op).items.pop(op.operand, MISSING) is MISSING:
        throw(frame.trace, NameError, f"name '{op.operand}' is not defined", name=op.operand)


@handles("SETUP_ANNOTATIONS")
def setup_annotations(frame: Frame, op: Op) -> None:
    _names(frame, op).items.setdefault("__annotations__", DictValue(dict))


@handles("LOAD_CLASSDEREF")
def load_class_variable(frame: Frame, op: Op) -> None:
    """A variable of the function around a class body, which the body may have set for itself."""
    item = _names(frame, op).items.get(op.slot_name, MISSING)
    load_deref(frame, op) if item is MISSING else frame.push(item)


@handles("LOAD_LOCALS")
def load_locals(frame: Frame, op: Op) -> None:
    frame.push(_names(frame, op))


@handles("LOAD_FROM_DICT_OR_DEREF")
def load_from_dict_or_variable(frame: Frame, op: Op) -> None:
    item = _in_namespace(frame, op, op.slot_name)
    load_deref(frame, op) if item is MISSING else frame.push(item)


@handles("LOAD_FROM_DICT_OR_GLOBALS")
def load_from_dict_or_globals(frame: Frame, op: Op) -> None:
    item = _in_namespace(frame, op, op.operand)
    frame.push(load_global(frame, op.operand) if item is MISSING else item)


def _in_namespace(frame: Frame, op: Op, name: str) -> Any:
    namespace = frame.pop()
    if not isinstance(namespace, DictValue) or namespace.source is not None:
        frame.trace.stop(UNSUPPORTED_OPCODE, f"{op.name} outside of a class body")
    return namespace.items.get(name, MISSING)
