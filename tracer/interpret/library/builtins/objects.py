"""Methods of `object`: attributes, comparison, making and copying instances."""

from __future__ import annotations

import copyreg
import operator
import types
from typing import Any

from tracer.interpret.call import call
from tracer.interpret.construct import DISALLOW_INSTANTIATION, allocate
from tracer.interpret.policy import helper, lookaside, polyfill, pure
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL, UNSUPPORTED_MUTATION
from tracer.values.base import MISSING, Value, realise, type_of
from tracer.values.class_attributes import class_attribute, class_name
from tracer.values.item import Item
from tracer.values.literal_objects import PLAIN
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attribute_names import attribute_name
from tracer.values.protocols.attribute_writes import generic_set_attribute
from tracer.values.protocols.attributes import generic_attribute
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


MANAGED_DICTIONARY = 1 << 4
"""Py_TPFLAGS_MANAGED_DICT: classes whose instances keep their dictionary in front of what `__basicsize__` counts."""


@helper
def refusal_to_pickle(cls: type) -> str:
    """Why an instance that says nothing of its state cannot be pickled, or "": its class keeps more of it in C."""
    if cls.__itemsize__:
        return f"cannot pickle {cls.__name__} objects"
    pointer = object.__basicsize__ // 2
    has_dictionary = bool(cls.__dictoffset__) and not cls.__flags__ & MANAGED_DICTIONARY
    pointers = has_dictionary + bool(cls.__weakrefoffset__) + len(slot_names(cls))
    is_known = cls.__basicsize__ <= object.__basicsize__ + pointer * pointers
    return "" if is_known else f"cannot pickle {cls.__name__!r} object"


@helper
def is_never_called(cls: type) -> bool:
    """Whether only C code makes instances of a class."""
    return bool(cls.__flags__ & DISALLOW_INSTANTIATION)


@polyfill(object.__getstate__)  # type: ignore[attr-defined]
def get_state(self: Any, /) -> Any:
    """The dictionary itself, and what is in slots; None when there is nothing."""
    state = getattr(self, "__dict__", None) or None
    in_slots = {name: getattr(self, name) for name in slot_names(type(self)) if hasattr(self, name)}
    return (state, in_slots) if in_slots else state


@polyfill(object.__reduce_ex__)
def reduce_by_protocol(self: Any, protocol: Any, /) -> Any:
    protocol = operator.index(protocol)
    if type(self).__reduce__ is not object.__reduce__:
        return self.__reduce__()
    return reduce_to_new(self) if protocol >= 2 else copyreg._reduce_ex(self, protocol)  # type: ignore[attr-defined]


@polyfill(object.__reduce__)
def reduce_without_protocol(self: Any, /) -> Any:
    return copyreg._reduce_ex(self, 0)  # type: ignore[attr-defined]


def reduce_to_new(self: Any) -> Any:
    """`__reduce_ex__` of protocol 2 and above: by `__new__`, its arguments, the state and the items."""
    cls = type(self)
    if is_never_called(cls):
        raise TypeError(f"cannot pickle {cls.__name__!r} object")
    says_arguments = hasattr(cls, "__getnewargs_ex__") or hasattr(cls, "__getnewargs__")
    args, kwargs = arguments_of_new(self)
    recipe: Any = (copyreg.__newobj__, (cls, *args))  # type: ignore[attr-defined]
    if kwargs:
        recipe = (copyreg.__newobj_ex__, (cls, args, kwargs))  # type: ignore[attr-defined]
    if not says_arguments and not isinstance(self, (list, dict)) and cls.__getstate__ is object.__getstate__:
        refusal = refusal_to_pickle(cls)
        if refusal:
            raise TypeError(refusal)
    state = self.__getstate__()
    items = iter(self) if isinstance(self, list) else None
    pairs = iter(self.items()) if isinstance(self, dict) else None
    return (*recipe, state, items, pairs)


def arguments_of_new(self: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What `__getnewargs_ex__` or `__getnewargs__` of a class says, none without them."""
    cls = type(self)
    if not hasattr(cls, "__getnewargs_ex__"):
        args = cls.__getnewargs__(self) if hasattr(cls, "__getnewargs__") else ()
        if not isinstance(args, tuple):
            raise TypeError(f"__getnewargs__ should return a tuple, not {type(args).__name__!r}")
        return args, {}
    both = cls.__getnewargs_ex__(self)
    if not isinstance(both, tuple):
        raise TypeError(f"__getnewargs_ex__ should return a tuple, not {type(both).__name__!r}")
    if len(both) != 2:
        raise ValueError(f"__getnewargs_ex__ should return a tuple of length 2, not {len(both)}")
    first, second = both
    which = "item of the tuple returned by __getnewargs_ex__ must be a"
    if not isinstance(first, tuple):
        raise TypeError(f"first {which} tuple, not {type(first).__name__!r}")
    if not isinstance(second, dict):
        raise TypeError(f"second {which} dict, not {type(second).__name__!r}")
    return first, second
