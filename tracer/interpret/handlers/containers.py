"""Instructions that build, fill and take apart containers; pattern matching included."""

from __future__ import annotations

import abc
from typing import Any

from tracer.code.decode import Op
from tracer.guards.source import constant
from tracer.interpret.call import call
from tracer.interpret.construct import elements, update_set
from tracer.interpret.frame import Frame, callee_at, pop_value
from tracer.interpret.registry import handles
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, class_of, known_lazies, realise, type_of
from tracer.values.class_attributes import class_name, is_builtin_class
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.iterators import END, next_item
from tracer.values.lists import ListValue
from tracer.values.of_process import note_registration
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.items import get_item
from tracer.values.protocols.iteration import iterate, listed, unpack
from tracer.values.protocols.length import length
from tracer.values.protocols.optional_attributes import optional_attribute
from tracer.values.raising import Raised, throw
from tracer.values.sets import SetValue
from tracer.values.tuples import TupleValue, make_tuple


@handles("BUILD_TUPLE")
def build_tuple(frame: Frame, op: Op) -> None:
    frame.push(make_tuple(frame.pop_many(op.arg)))


@handles("BUILD_LIST")
def build_list(frame: Frame, op: Op) -> None:
    frame.push(ListValue(list, frame.pop_many(op.arg)))


@handles("BUILD_SET")
def build_set(frame: Frame, op: Op) -> None:
    frame.push(SetValue(set, [frame.trace.key(item) for item in frame.pop_many(op.arg)]))


@handles("BUILD_MAP")
def build_map(frame: Frame, op: Op) -> None:
    flat = frame.pop_many(2 * op.arg)
    frame.push(DictValue(dict, {frame.trace.key(key): item for key, item in zip(flat[::2], flat[1::2], strict=True)}))


@handles("BUILD_CONST_KEY_MAP")
def build_const_key_map(frame: Frame, op: Op) -> None:
    keys = frame.pop()
    frame.push(DictValue(dict, dict(zip(keys, frame.pop_many(op.arg), strict=True))))


@handles("BUILD_SLICE")
def build_slice(frame: Frame, op: Op) -> None:
    frame.push(slice(*known_lazies(frame.trace, frame.pop_many(op.arg))))


@handles("LIST_TO_TUPLE")
def list_to_tuple(frame: Frame, op: Op) -> None:
    frame.push(make_tuple(pop_value(frame).all(frame.trace)))


def container(frame: Frame, op: Op) -> Any:
    """The container that a display or comprehension is filling; behind a break it comes as an argument."""
    return frame.realised(op.arg)


@handles("LIST_APPEND")
def list_append(frame: Frame, op: Op) -> None:
    item = frame.pop()
    container(frame, op).change(frame.trace).append(item)


@handles("SET_ADD")
def set_add(frame: Frame, op: Op) -> None:
    item = frame.pop()
    container(frame, op).add(frame.trace, frame.trace.key(item))


@handles("MAP_ADD")
def map_add(frame: Frame, op: Op) -> None:
    item, key = frame.pop(), frame.pop()
    container(frame, op).put(frame.trace, frame.trace.key(key), item)


@handles("LIST_EXTEND")
def list_extend(frame: Frame, op: Op) -> None:
    iterable = frame.pop()
    try:
        items = listed(frame.trace, iterable)
    except Raised as raised:
        if raised.value.cls is TypeError and not is_iterable(frame, iterable):
            throw(frame.trace, TypeError, f"Value after * must be an iterable, not {class_name(iterable)}")
        raise
    container(frame, op).change(frame.trace).extend(items)


@handles("SET_UPDATE")
def set_update(frame: Frame, op: Op) -> None:
    iterable = pop_value(frame)
    update_set(frame.trace, container(frame, op), elements(frame.trace, iterable), iterable)


@handles("DICT_UPDATE")
def dict_update(frame: Frame, op: Op) -> None:
    mapping = pop_value(frame)
    target = container(frame, op)
    for key, item in mapping_items(frame, mapping, "'{}' object is not a mapping").items():
        target.put(frame.trace, key, item)


@handles("DICT_MERGE")
def dict_merge(frame: Frame, op: Op) -> None:
    """`f(**mapping)`: names may not come twice."""
    mapping = pop_value(frame)
    target = container(frame, op).change(frame.trace)
    callee = callee_at(frame, op.arg + 2)
    for key, item in mapping_items(frame, mapping, NOT_A_MAPPING, callee).items():
        if key in target:
            name = callee_name(frame, callee)
            throw(frame.trace, TypeError, f"{name} got multiple values for keyword argument '{key}'")
        target[key] = item


NOT_A_MAPPING = "{} argument after ** must be a mapping, not {}"


def callee_name(frame: Frame, callee: Item) -> str:
    """What is called, as complaints about arguments name it."""
    trace = frame.trace
    try:
        name = get_attribute(trace, callee, "__qualname__")
        module = get_attribute(trace, callee, "__module__")
    except Raised:
        return call(trace, str, [callee])
    return f"{name}()" if module in (None, "builtins") else f"{module}.{name}()"


def is_iterable(frame: Frame, item: Item) -> bool:
    """Whether `iter` would at least try."""
    cls = type_of(frame.trace, item)
    return hasattr(cls, "__iter__") or hasattr(cls, "__getitem__")


def mapping_items(frame: Frame, mapping: Item, complaint: str, callee: Item = MISSING) -> dict[Item, Item]:
    """A mapping's items, by its storage or by its own `keys` and `__getitem__`."""
    if isinstance(mapping, DictValue):
        return mapping.all(frame.trace)
    trace = frame.trace
    cls = type_of(trace, mapping)
    if not hasattr(cls, "keys"):
        names = [] if callee is MISSING else [callee_name(frame, callee)]
        throw(trace, TypeError, complaint.format(*names, cls.__name__))
    keys = unpack(trace, call(trace, get_attribute(trace, mapping, "keys"), []))
    return {trace.key(key): get_item(trace, mapping, key) for key in keys}


@handles("UNPACK_SEQUENCE")
def unpack_sequence(frame: Frame, op: Op) -> None:
    items = _unpack_for_assignment(frame, op.arg + 1)
    if len(items) != op.arg:
        if len(items) > op.arg:
            message = f"too many values to unpack (expected {op.arg})"
        else:
            message = f"not enough values to unpack (expected {op.arg}, got {len(items)})"
        throw(frame.trace, ValueError, message)
    frame.push_all(reversed(items))


@handles("UNPACK_EX")
def unpack_ex(frame: Frame, op: Op) -> None:
    before, after = op.operand
    items = _unpack_for_assignment(frame, None)
    if len(items) < before + after:
        throw(
            frame.trace,
            ValueError,
            f"not enough values to unpack (expected at least {before + after}, got {len(items)})",
        )
    middle = items[before : len(items) - after]
    frame.push_all(reversed([*items[:before], ListValue(list, middle), *items[len(items) - after :]]))


def _unpack_for_assignment(frame: Frame, limit: int | None) -> list[Item]:
    """The items of the iterable on top of the stack; of an iterator no more than `limit` are taken."""
    trace = frame.trace
    iterable = pop_value(frame)
    if isinstance(iterable, (tuple, TupleValue, ListValue)):
        return unpack(trace, iterable)
    if not is_iterable(frame, iterable):
        throw(trace, TypeError, f"cannot unpack non-iterable {class_name(iterable)} object")
    iterator = iterate(trace, iterable)
    items: list[Item] = []
    while len(items) != limit and (item := next_item(trace, iterator)) is not END:
        items.append(item)
    return items


# Pattern matching ------------------------------------------------------------------------------------


@handles("GET_LEN")
def get_len(frame: Frame, op: Op) -> None:
    frame.push(length(frame.trace, frame.peek()))


@handles("MATCH_SEQUENCE")
def match_sequence(frame: Frame, op: Op) -> None:
    frame.push(_has_flag(frame, SEQUENCE))


@handles("MATCH_MAPPING")
def match_mapping(frame: Frame, op: Op) -> None:
    frame.push(_has_flag(frame, MAPPING))


SEQUENCE, MAPPING = 1 << 5, 1 << 6
"""Py_TPFLAGS_SEQUENCE and Py_TPFLAGS_MAPPING: of a class that derives from both abstract classes, the first counts."""


def _has_flag(frame: Frame, flag: int) -> bool:
    """Whether a pattern takes the subject for a sequence or a mapping; registering its class later may change that."""
    cls = type_of(frame.trace, frame.peek())
    answer = bool(cls.__flags__ & flag)
    if not answer and not is_builtin_class(cls):
        frame.trace.guard(constant(abc.get_cache_token).child("call", None), "equal", abc.get_cache_token())
        note_registration(frame.trace, cls)
    return answer


@handles("MATCH_KEYS")
def match_keys(frame: Frame, op: Op) -> None:
    trace = frame.trace
    keys, subject = frame.peek(), frame.peek(2)
    items: list[Item] = []
    seen: set[Item] = set()
    get = get_attribute(trace, subject, "get") if length(trace, keys) else None
    for key in unpack(trace, keys):
        if trace.key(key) in seen:
            throw(trace, ValueError, f"mapping pattern checks duplicate key ({call(trace, repr, [key])})")
        seen.add(trace.key(key))
        item = call(trace, get, [key, MISSING_KEY])
        if item is MISSING_KEY:
            frame.push(None)
            return
        items.append(item)
    frame.push(make_tuple(items))


@handles("MATCH_CLASS")
def match_class(frame: Frame, op: Op) -> None:
    """The attributes that a class pattern names, as a tuple, or None: CPython's match_class."""
    trace = frame.trace
    names, cls, subject = pop_value(frame), pop_value(frame), pop_value(frame)
    if not isinstance(cls, type):
        throw(trace, TypeError, "called match pattern must be a class")
    if not call(trace, isinstance, [subject, cls]):
        frame.push(None)
        return
    items: list[Item] = []
    attributes: list[Any] = []
    if op.arg:
        positional = _match_args(trace, cls)
        allowed = 1 if positional is None else len(positional)
        if op.arg > allowed:
            plural = "" if allowed == 1 else "s"
            words = f"{cls.__name__}() accepts {allowed} positional sub-pattern{plural} ({op.arg} given)"
            throw(trace, TypeError, words)
        if positional is None:
            items.append(subject)
        else:
            attributes += positional[: op.arg]
    attributes += unpack(trace, names)
    for index, name in enumerate(attributes):
        if not isinstance(name, str):
            words = f"__match_args__ elements must be strings (got {class_name(realise(trace, name))})"
            throw(trace, TypeError, words)
        if name in attributes[:index]:
            throw(trace, TypeError, f"{cls.__name__}() got multiple sub-patterns for attribute {name!r}")
        attribute = optional_attribute(trace, subject, name)
        if attribute is MISSING:
            frame.push(None)
            return
        items.append(attribute)
    frame.push(make_tuple(items))


MATCH_SELF = 1 << 22
"""Py_TPFLAGS_MATCH_SELF, of int, str, their subclasses and so on: one positional pattern is the subject itself."""


def _match_args(trace: Trace, cls: type) -> list[Item] | None:
    """The names of a class's positional patterns; None when the only one is the subject itself."""
    names = realise(trace, optional_attribute(trace, cls, "__match_args__"))
    if names is MISSING:
        return None if cls.__flags__ & MATCH_SELF else []
    if class_of(names) is not tuple:
        throw(trace, TypeError, f"{cls.__name__}.__match_args__ must be a tuple (got {class_name(names)})")
    return [realise(trace, name) for name in unpack(trace, names)]


MISSING_KEY = object()
