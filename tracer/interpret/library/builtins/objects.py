"""Methods of `object`: attributes, comparison, making and copying instances."""

from __future__ import annotations

import copyreg
import types
from struct import calcsize
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import allocate
from tracer.interpret.policy import helper, lookaside, polyfill, pure
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL, UNSUPPORTED_MUTATION
from tracer.values.base import MISSING, Value, realise, type_of
from tracer.values.class_attributes import class_attribute, class_name
from tracer.values.item import Item
from tracer.values.literal_objects import PLAIN
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import attribute_name, generic_attribute, generic_set_attribute
from tracer.values.protocols.truth import is_same, truth
from tracer.values.raising import throw

pure(object.__hash__, object.__repr__, object.__str__, object.__format__)


@lookaside(object.__getattribute__)
def _getattribute(trace: Trace, item: Item, name: Item) -> Item:
    item, name = realise(trace, item), attribute_name(trace, name)
    if not isinstance(item, ObjectValue):
        trace.stop(UNSUPPORTED_CALL, f"object.__getattribute__ of a {class_name(item)}")
    value = generic_attribute(trace, item, name)
    if value is MISSING:
        throw(trace, AttributeError, f"'{item.cls.__name__}' object has no attribute '{name}'")
    return value


@lookaside(object.__setattr__, lazy=True)
def _setattr(trace: Trace, item: Item, name: Item, value: Item) -> None:
    item = realise(trace, item)
    if not isinstance(item, Value):
        trace.stop(UNSUPPORTED_MUTATION, f"object.__setattr__ on a {class_name(item)}")
    generic_set_attribute(trace, item, attribute_name(trace, name), value)


@lookaside(object.__delattr__)
def _delattr(trace: Trace, item: Item, name: Item) -> None:
    item = realise(trace, item)
    if not isinstance(item, Value):
        trace.stop(UNSUPPORTED_MUTATION, f"object.__delattr__ on a {class_name(item)}")
    generic_set_attribute(trace, item, attribute_name(trace, name), MISSING)


@lookaside(object.__new__)
def _new(trace: Trace, cls: Item, /, *args: Item, **kwargs: Item) -> Item:
    if (args or kwargs) and isinstance(cls, type):
        if class_attribute(trace, cls, "__new__") is not object.__dict__["__new__"]:
            throw(trace, TypeError, "object.__new__() takes exactly one argument (the type to instantiate)")
        if class_attribute(trace, cls, "__init__") is object.__init__:
            throw(trace, TypeError, f"{cls.__name__}() takes no arguments")
    _require_safe(trace, cls, object.__new__)
    return allocate(trace, cls, object.__new__, args, kwargs)


def _require_safe(trace: Trace, cls: Any, new: Any) -> None:
    """A break where CPython refuses to make an instance of `cls` by the `__new__` of another class written in C."""
    base = cls if isinstance(cls, type) else None
    while base is not None and type(base.__dict__.get("__new__")) is not types.BuiltinFunctionType:
        base = base.__base__
    if base is None or base.__dict__["__new__"] != new:
        trace.stop(UNSUPPORTED_CALL, f"{new.__qualname__} of a class that it is not for")


@lookaside(object.__init__)
def _init(trace: Trace, item: Item, /, *args: Item, **kwargs: Item) -> None:
    if args or kwargs:
        cls = type_of(trace, item)
        if class_attribute(trace, cls, "__init__") is not object.__init__:
            throw(trace, TypeError, "object.__init__() takes exactly one argument (the instance to initialize)")
        if class_attribute(trace, cls, "__new__") is object.__dict__["__new__"]:
            throw(trace, TypeError, f"{cls.__name__}() takes no arguments")


@lookaside(object.__init_subclass__)
def _init_subclass(trace: Trace, *args: Item, **kwargs: Item) -> None:
    return None


@lookaside(object.__eq__)
def _eq(trace: Trace, left: Item, right: Item) -> Item:
    return True if is_same(trace, left, right) else NotImplemented


@lookaside(object.__ne__)
def _ne(trace: Trace, left: Item, right: Item) -> Item:
    equal = call(trace, class_attribute(trace, type_of(trace, left), "__eq__"), [left, right])
    return equal if equal is NotImplemented else not truth(trace, equal)


for _name in ("__lt__", "__le__", "__gt__", "__ge__"):
    lookaside(getattr(object, _name))(lambda trace, left, right: NotImplemented)

for _base in (list, dict, set, frozenset, *PLAIN):
    _function = _base.__new__

    def _container_new(trace: Trace, cls: Item, /, *args: Item, new: Any = _function, **kwargs: Item) -> Item:
        _require_safe(trace, cls, new)
        return allocate(trace, cls, new, args, kwargs)

    lookaside(_function)(_container_new)


@helper
def slot_names(cls: type) -> tuple[str, ...]:
    """Names of the slots of a class and its bases."""
    return tuple(copyreg._slotnames(cls))  # type: ignore[attr-defined]


@helper
def keeps_state_in_c(cls: Any) -> bool:
    """Whether instances hold more than attributes and slots, as `object_getstate_default` finds out by their size."""
    pointers = bool(cls.__dictoffset__ and not cls.__flags__ & MANAGED_DICT) + (cls.__weakrefoffset__ > 0)
    return cls.__basicsize__ > object.__basicsize__ + POINTER * (pointers + len(slot_names(cls)))


MANAGED_DICT = 1 << 4
"""Py_TPFLAGS_MANAGED_DICT: classes whose instances have their dictionary in front of them."""

POINTER = calcsize("P")
"""Bytes of a reference in an instance."""


@polyfill(object.__getstate__)  # type: ignore[attr-defined]
def get_state(self: Any, /) -> Any:
    """Attributes, and those in slots; None when there is nothing."""
    attributes = getattr(self, "__dict__", None)
    state = None if not attributes else dict.copy(attributes)
    in_slots = {name: getattr(self, name) for name in slot_names(type(self)) if hasattr(self, name)}
    return (state, in_slots) if in_slots else state


@polyfill(object.__reduce_ex__)
def reduce_for_copy(self: Any, protocol: Any, /) -> Any:
    cls: Any = type(self)
    if cls.__reduce__ is not object.__reduce__:
        return self.__reduce__()
    if hasattr(cls, "__getnewargs_ex__"):
        args, kwargs = self.__getnewargs_ex__()
        recipe = (copyreg.__newobj_ex__, (cls, args, kwargs))  # type: ignore[attr-defined]
    else:
        args = self.__getnewargs__() if hasattr(cls, "__getnewargs__") else ()
        if not args and not isinstance(self, (list, dict)) and keeps_state_in_c(cls):
            raise TypeError(f"cannot pickle '{cls.__name__}' object")
        recipe = (copyreg.__newobj__, (cls, *args))  # type: ignore[attr-defined]
    items = iter(self) if isinstance(self, list) else None
    pairs = iter(self.items()) if isinstance(self, dict) else None
    return (*recipe, self.__getstate__(), items, pairs)
