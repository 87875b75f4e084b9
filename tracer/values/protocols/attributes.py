"""Attribute access as CPython defines it, once for every kind of item.

The order is the data model's: data descriptor of the class, instance dictionary, other class
attribute, `__getattr__`. Python-level descriptors and hooks are called through the context and so
interpreted; C-level ones are read off the real object. Every place looked at is guarded.
"""

from __future__ import annotations

import enum
import functools
import types
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

import torch

from tracer.effects.log import DELETED
from tracer.guards.source import Source, constant
from tracer.reasons import UNSUPPORTED_ATTRIBUTE, UNSUPPORTED_MUTATION
from tracer.values.attribute_dicts import AttributeDict
from tracer.values.base import HOST_OBJECTS, MISSING, SYMBOLS, UNREAD, Lazy, Value, class_of, realise
from tracer.values.cells import CellValue
from tracer.values.class_attributes import (
    IMMUTABLE_TYPE,
    METHOD_DESCRIPTORS,
    SLOT_DESCRIPTORS,
    class_attribute,
    class_name,
    is_builtin,
    is_builtin_class,
    own_class_attribute,
    sets_in_its_own_way,
)
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.exceptions import ExceptionValue
from tracer.values.from_host import from_host
from tracer.values.functions import FunctionValue
from tracer.values.host import born_exception, host
from tracer.values.item import Item
from tracer.values.literal_objects import LiteralObject
from tracer.values.methods import BoundMethod, descriptors_of
from tracer.values.numpy_arrays import NumpyArray, is_kept_by_numpy
from tracer.values.objects import ObjectValue
from tracer.values.protocols.exception_attributes import read_field, write_field
from tracer.values.protocols.function_attributes import FUNCTION_FIELDS, function_attribute
from tracer.values.protocols.kept_elsewhere import ELSEWHERE, get_kept_elsewhere, set_kept_elsewhere
from tracer.values.protocols.namespaces import only_as_a_namespace, set_name
from tracer.values.protocols.special_methods import call_special, call_stored, is_native, is_of_program
from tracer.values.raising import Raised, throw
from tracer.values.recipes import is_unchanging
from tracer.values.slices import slice_attribute
from tracer.values.super_objects import SuperValue
from tracer.values.tensor_subclasses import TENSOR_BASE, SubclassTensor
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue
from tracer.values.wrapper_tensors import WrapperTensor

INSTANCE_METHOD: type = type(torch._C._InferenceMode.__enter__)
"""How pybind11 keeps a C++ method in its class."""

PLAIN_METHODS = (types.FunctionType, *METHOD_DESCRIPTORS)
"""Types of raw class attributes that become bound methods, and that an instance's dictionary comes before."""

NOT_LOOKED_INTO = (*HOST_OBJECTS, *ELSEWHERE)

MODULE_TABLES = ("_parameters", "_buffers", "_modules")
# torch.ops and torch.ops.aten: their __getattr__ looks a registered operator up, and keeps it.
OPERATOR_NAMESPACES = (torch._ops._Ops, torch._ops._OpNamespace)


def get_attribute(context: Context, item: Item, name: str) -> Item:
    """`item.name`. Raises AttributeError in the traced program when there is none."""
    try:
        if not isinstance(item, Value):
            return _raw_attribute(context, item, name)
        if type(item) is Lazy:
            return get_attribute(context, item.realise(context), name)
        if isinstance(item, ObjectValue):
            attribute = object_attribute(context, item, name)
        elif isinstance(item, SuperValue):
            attribute = _super_attribute(context, item, name)
        elif isinstance(item, BoundMethod):
            attribute = _method_attribute(context, item, name)
        else:
            attribute = _other_attribute(context, item, name)
        if attribute is MISSING:
            throw(context, AttributeError, f"'{class_name(item)}' object has no attribute '{name}'")
    except Raised as raised:
        _say_where(raised.value, item, name)
        raise
    return attribute


def _say_where(error: ExceptionValue, item: Item, name: str) -> None:
    """Give an AttributeError that says nothing of what was looked up `name` and `obj`, as PyObject_GetAttr does."""
    says_nothing = error.object is MISSING and error.field("name") is UNREAD and error.field("obj") is UNREAD
    if says_nothing and issubclass(error.cls, AttributeError):
        error.keep_field("name", name)
        error.keep_field("obj", item)


def object_attribute(context: Context, value: ObjectValue, name: str) -> Item:
    """`value.name`, MISSING when AttributeError would be raised by the plain lookup."""
    cls = value.cls
    if issubclass(cls, NOT_LOOKED_INTO):
        if issubclass(cls, ELSEWHERE):
            return get_kept_elsewhere(context, value, name)
        if value.object is not MISSING:
            return from_host(context, host(context, getattr, value.object, name))
    if type(value) is NumpyArray and (method := value.method(name)) is not None:
        return BoundMethod(method, value)
    hook = class_attribute(context, cls, "__getattribute__")
    if hook is not object.__getattribute__ and not is_native(hook, cls, "__getattribute__"):
        return _hooked_attribute(context, hook, value, name)
    attribute = generic_attribute(context, value, name)
    if attribute is MISSING:
        attribute = _missing_attribute(context, value, name)
        if attribute is MISSING and (sets_in_its_own_way(value.cls) or is_kept_by_numpy(value, name)):
            context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.cls.__name__}.{name}")
    return attribute


def _hooked_attribute(context: Context, hook: Item, value: ObjectValue, name: str) -> Item:
    """By the class's `__getattribute__`, which is `hook`, then its `__getattr__`."""
    try:
        return call_stored(context, hook, value, "__getattribute__", (name,))
    except Raised as raised:
        if (
            not issubclass(raised.value.cls, AttributeError)
            or class_attribute(context, value.cls, "__getattr__") is MISSING
        ):
            raise
    return _missing_attribute(context, value, name)


def _missing_attribute(context: Context, value: ObjectValue, name: str) -> Item:
    """What the class's `__getattr__` answers."""
    hook = class_attribute(context, value.cls, "__getattr__")
    if hook is MISSING:
        return MISSING
    if hook is torch.nn.Module.__getattr__:
        for table in MODULE_TABLES:
            entries = value.instance_attribute(context, table)
            if isinstance(entries, DictValue):
                entry = entries.lookup(context, name)
                if entry is not MISSING:
                    return entry.realise(context) if type(entry) is Lazy else entry
        return MISSING
    return call_stored(context, hook, value, "__getattr__", [name])


def generic_attribute(context: Context, value: ObjectValue, name: str) -> Item:
    """object.__getattribute__: MISSING when there is no such attribute."""
    cls = value.cls
    stored = class_attribute(context, cls, name)
    if stored is MISSING:
        return value.instance_attribute(context, name)
    if isinstance(value, TensorValue):
        entry = value.attributes.get(name, MISSING)
        return entry if entry is not MISSING else value.get(context, name, stored)
    if type(stored) not in PLAIN_METHODS and _is_data_descriptor(context, stored):
        return bind(context, stored, value, cls, name)
    entry = value.instance_attribute(context, name)
    return entry if entry is not MISSING else bind(context, stored, value, cls, name)


def _is_data_descriptor(context: Context, stored: Item) -> bool:
    """Whether `stored` has a say before the instance's dictionary when it is read."""
    kind = type(stored)
    if kind in SLOT_DESCRIPTORS or kind is property or issubclass(kind := class_of(stored), property):
        return True
    return (hasattr(kind, "__set__") or hasattr(kind, "__delete__")) and hasattr(kind, "__get__")


def bind(context: Context, stored: Any, value: Item, cls: type, name: str, holder: type | None = None) -> Item:
    """What the class attribute `stored` gives when looked up on `value` (None: on the class itself).

    `holder` is the class whose MRO has it first, if that is not `cls`.
    """
    kind = type(stored)
    if kind not in PLAIN_METHODS and kind not in BINDERS:
        kind = class_of(stored)
    if kind in PLAIN_METHODS:
        return stored if value is None else BoundMethod(stored, value)
    if kind in BINDERS:
        return BINDERS[kind](context, stored, value, cls, name)
    getter = class_attribute(context, kind, "__get__")
    binder = BINDERS_BY_GETTER.get(getter) if class_of(getter) in METHOD_DESCRIPTORS else None
    if binder is not None:
        return binder(context, stored, value, cls, name)
    wrapped = stored if isinstance(stored, Value) else _plain_class_attribute(context, stored, holder or cls, name)
    return wrapped if getter is MISSING else call_stored(context, getter, wrapped, "__get__", [value, cls])


def _bind_property(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    if value is None:
        return stored
    if stored.fget is None:
        throw(context, AttributeError, f"property '{name}' of '{cls.__qualname__}' object has no getter")
    return context.machine.call(context, _part(context, stored, "fget"), [value])


def _bind_class_method(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    """What is wrapped is bound to the class by its own `__get__`, if it has one."""
    inner = _part(context, stored, "__func__")
    kind = class_of(inner)
    if kind is types.FunctionType or kind in METHOD_DESCRIPTORS or not hasattr(kind, "__get__"):
        return BoundMethod(inner, cls)
    return bind(context, inner, cls, cls, name)


def _bind_class_method_of_c(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    return getattr(cls, name) if is_builtin_class(cls) else BoundMethod(stored, cls)


def _bind_instance_method(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    return stored.__func__ if value is None else BoundMethod(stored.__func__, value)


def _bind_slot(context: Context, stored: Any, value: Item, cls: type, name: str) -> Item:
    return stored if value is None else _slot_attribute(context, value, name, stored)


def _part(context: Context, stored: Any, name: str) -> Item:
    """What a property, classmethod or staticmethod known by identity holds; that cannot change."""
    part = getattr(stored, name)
    return part if type(part) is types.FunctionType else context.wrap(part, constant(stored).child("getattr", name))


BINDERS: dict[type, Callable[[Context, Any, Any, type, str], Item]] = {
    property: _bind_property,
    staticmethod: lambda context, stored, value, cls, name: _part(context, stored, "__func__"),
    classmethod: _bind_class_method,
    types.ClassMethodDescriptorType: _bind_class_method_of_c,
    INSTANCE_METHOD: _bind_instance_method,
    **dict.fromkeys(SLOT_DESCRIPTORS, _bind_slot),
    functools._lru_cache_wrapper: lambda context, stored, value, cls, name: (
        stored if value is None else BoundMethod(stored, value)
    ),
    functools.cached_property: lambda context, stored, value, cls, name: (
        stored if value is None else _cached_property(context, stored, value)
    ),
}
"""By class of a descriptor: its `__get__(value, cls)`; None as `value` means that it is looked up on the class."""

BINDERS_BY_GETTER: dict[Item, Callable[[Context, Any, Any, type, str], Item]] = {
    kind.__get__: BINDERS[kind] for kind in (property, staticmethod, classmethod)
}
"""The same, by the `__get__` that subclasses inherit."""


def _plain_class_attribute(context: Context, stored: Item, cls: type, name: str) -> Item:
    effects = context.effects
    if effects.namespaces and any(effects.read(owner, name, MISSING) is stored for owner in cls.__mro__):
        return stored
    return context.wrap(stored, constant(cls).child("class attribute", name))


def _cached_property(context: Context, stored: Any, value: ObjectValue) -> Item:
    """functools.cached_property without its lock: one capture runs at a time."""
    item = context.machine.call(context, stored.func, [value])
    value.write(context, stored.attrname, item)
    return item


def _slot_attribute(context: Context, value: Value, name: str, descriptor: Any) -> Item:
    """A C-level descriptor: `__class__`, `__dict__`, `__slots__` members, fields of C types."""
    if isinstance(value, FunctionValue):
        item = function_attribute(context, value, name)
        if item is not MISSING:
            return item
    special = SPECIAL_ATTRIBUTES.get(name)
    if special is not None:
        item = special(context, value)
        if item is not MISSING:
            return item
    if isinstance(value, SubclassTensor | WrapperTensor) and descriptor.__objclass__ is TENSOR_BASE:
        return context.machine.call(context, types.GetSetDescriptorType.__get__, [descriptor, value])
    if isinstance(value, LiteralObject) and is_builtin(descriptor):
        return host(context, getattr, value.payload, name)
    if isinstance(value, TupleValue) and name in (names := getattr(value.cls, "__match_args__", ())):
        return value.read(context, names.index(name))
    if isinstance(value, ObjectValue):
        field = value.field(name)
        if field is not UNREAD:
            return field
        if (
            isinstance(value, ExceptionValue)
            and issubclass(descriptor.__objclass__, BaseException)
            and is_builtin(descriptor)
        ):
            return read_field(context, value, name)
        if value.object is not MISSING:
            return _outside_field(context, value, name)
        if not is_builtin(descriptor):
            return MISSING
    item = value.member(context, name)
    if item is not UNREAD:
        return item
    context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.cls.__name__}.{name}")


def _outside_field(context: Context, value: ObjectValue, name: str) -> Item:
    assert value.source is not None
    try:
        attribute = object.__getattribute__(value.object, name)
    except AttributeError:
        context.stop(UNSUPPORTED_ATTRIBUTE, f"{value.source.text}.{name}, which is not set")
    place = value.source.child("getattr", name)
    item = from_host(context, attribute) if is_unchanging(value) else context.wrap(attribute, place)
    value.keep_field(name, item)
    return item


def _dictionary(context: Context, value: Value) -> Item:
    if not isinstance(value, ObjectValue) or not value.cls.__dictoffset__:
        return MISSING
    if value.dictionary is None:
        value.dictionary = AttributeDict(value)
        context.owners.append(value)
    return value.dictionary


SPECIAL_ATTRIBUTES: dict[str, Any] = {
    "__class__": lambda context, value: context.machine.call(context, type, [value]),
    "__dict__": _dictionary,
    "maxlen": lambda context, value: value.maxlen if issubclass(value.cls, deque) else MISSING,
}
"""C-level attributes that the trace knows itself."""


def _super_attribute(context: Context, value: SuperValue, name: str) -> Item:
    if name == "__class__":
        return super
    mro = value.owner.__mro__
    for cls in mro[mro.index(value.start) + 1 :]:
        if name in cls.__dict__:
            stored = own_class_attribute(context, cls, name)
            instance = value.instance
            return bind(context, stored, None if instance is value.owner else instance, value.owner, name, cls)
    throw(context, AttributeError, f"'super' object has no attribute '{name}'", name=name, obj=value)


def _method_attribute(context: Context, value: BoundMethod, name: str) -> Item:
    if name in ("__self__", "__class__"):
        return value.instance if name == "__self__" else value.cls
    if value.cls is not types.MethodType and name != "__doc__":
        return _method_of_c_attribute(context, value, name)
    if name == "__func__":
        return value.function
    stored = class_attribute(context, value.cls, name)
    if class_of(stored) in METHOD_DESCRIPTORS:
        return BoundMethod(stored, value)
    return get_attribute(context, value.function, name)


def _method_of_c_attribute(context: Context, value: BoundMethod, name: str) -> Item:
    stored = class_attribute(context, value.cls, name)
    if stored is MISSING:
        return MISSING
    if class_of(stored) in METHOD_DESCRIPTORS:
        return BoundMethod(stored, value)
    if name == "__module__":
        return None
    if name == "__qualname__":
        cls = value.instance if isinstance(value.instance, type) else class_of(value.instance)
        return f"{cls.__qualname__}.{value.function.__name__}"
    return get_attribute(context, value.function, name)


def _other_attribute(context: Context, value: Value, name: str) -> Item:
    if isinstance(value, CellValue) and name == "cell_contents":
        content = value.read(context)
        if content is MISSING:
            throw(context, ValueError, "Cell is empty")
        return content
    stored = class_attribute(context, value.cls, name)
    return MISSING if stored is MISSING else bind(context, stored, value, value.cls, name)


# Raw objects -----------------------------------------------------------------------------------------


def _raw_attribute(context: Context, obj: Any, name: str) -> Item:
    if context.effects.namespaces:
        item = context.effects.read(obj, name, MISSING)
        if item is DELETED:
            what = f"type object '{obj.__name__}'" if isinstance(obj, type) else f"'{type(obj).__name__}' object"
            if isinstance(obj, types.ModuleType):
                what = f"module '{obj.__name__}'"
            throw(context, AttributeError, f"{what} has no attribute '{name}'", name=name, obj=obj)
        if item is not MISSING:
            return item
    if isinstance(obj, type):
        return _class_object_attribute(context, obj, name)
    if context.effects.stored and isinstance(obj, (types.ModuleType, types.FunctionType)):
        only_as_a_namespace(context, obj)
    if isinstance(obj, types.ModuleType) and type(obj) is not types.ModuleType:
        return _odd_module_attribute(context, obj, name)
    if isinstance(obj, (types.ModuleType, types.FunctionType)):
        return _read(context, obj, name, constant(obj))
    if isinstance(obj, enum.Enum):
        return _enum_attribute(context, obj, name)
    if isinstance(obj, slice):
        return slice_attribute(context, obj, name)
    if type(obj) in SYMBOLS:
        return _symbol_attribute(context, obj, name)
    return _literal_attribute(context, obj, name)


def _symbol_attribute(context: Context, symbol: Any, name: str) -> Item:
    """Of the number that a symbol stands for: of its attributes only those that are the number itself vary."""
    stored = class_attribute(context, class_of(symbol), name)
    if stored is MISSING:
        words = f"'{class_name(symbol)}' object has no attribute '{name}'"
        throw(context, AttributeError, words, name=name, obj=symbol)
    if type(stored) in METHOD_DESCRIPTORS:
        return BoundMethod(stored, symbol)
    if name in ("real", "numerator"):
        return symbol
    return from_host(context, host(context, getattr, class_of(symbol)(), name))


def _literal_attribute(context: Context, obj: Any, name: str) -> Item:
    """Of a constant, or of a C-level object known by identity: nothing in it can change."""
    if type(obj).__module__ not in ("builtins", "torch") and not isinstance(obj, tuple):
        stored = class_attribute(context, type(obj), name)
        if type(stored) in (types.FunctionType, property):
            return bind(context, stored, obj, type(obj), name)
    return from_host(context, host(context, getattr, obj, name))


def _odd_module_attribute(context: Context, obj: Any, name: str) -> Item:
    """Of a module object whose class has properties or a `__getattr__` of its own, such as torch._VF."""
    stored = class_attribute(context, type(obj), name)
    if stored is not MISSING and hasattr(type(stored), "__set__"):
        return bind(context, stored, obj, type(obj), name)
    hook = class_attribute(context, type(obj), "__getattr__")
    if isinstance(obj, OPERATOR_NAMESPACES):
        hasattr(obj, name)  # what is found is in the dictionary from now on
        return _read(context, obj, name, constant(obj))
    if name not in obj.__dict__:
        if stored is not MISSING and type(stored) is not types.GetSetDescriptorType:
            return bind(context, stored, obj, type(obj), name)
        if type(hook) is types.FunctionType:
            context.guard(constant(obj).child("dict"), "absent", name)
            return context.machine.call(context, hook, [obj, name])
    return _read(context, obj, name, constant(obj))


def _read(context: Context, obj: Any, name: str, source: Source) -> Item:
    """An attribute of a module or function object, by its dictionary where it has one."""
    dictionary = obj.__dict__
    if name in dictionary:
        return context.wrap(dictionary[name], source.child("dict").child("item", name))
    if name == "__dict__":
        return context.wrap(dictionary, source.child("dict"))
    try:
        attribute = getattr(obj, name)
    except AttributeError as error:
        context.guard(source.child("dict"), "absent", name)
        raise Raised(born_exception(context, error)) from None
    if isinstance(attribute, types.MethodWrapperType):
        return BoundMethod(descriptors_of(attribute)[0], obj)
    return context.wrap(attribute, source.child("getattr", name))


def _enum_attribute(context: Context, obj: enum.Enum, name: str) -> Item:
    stored = class_attribute(context, type(obj), name)
    if type(stored) in (types.FunctionType, classmethod, staticmethod, property):
        return bind(context, stored, obj, type(obj), name)
    return from_host(context, host(context, getattr, obj, name))


def _class_object_attribute(context: Context, cls: type, name: str) -> Item:
    meta = type(cls)
    meta_stored = class_attribute(context, meta, name)
    if (
        meta_stored is not MISSING
        and type(meta_stored) is not types.FunctionType
        and _is_data_descriptor(context, meta_stored)
    ):
        if class_of(meta_stored) not in SLOT_DESCRIPTORS:
            return bind(context, meta_stored, cls, meta, name)
        if name == "__class__":
            return meta
        return context.wrap(host(context, getattr, cls, name), constant(cls).child("getattr", name))
    stored = class_attribute(context, cls, name)
    if stored is not MISSING:
        if issubclass(meta, enum.EnumMeta) and isinstance(getattr(cls, name), cls):
            return context.wrap(getattr(cls, name), constant(cls).child("getattr", name))
        return bind(context, stored, None, cls, name)
    if meta_stored is not MISSING:
        return bind(context, meta_stored, cls, meta, name)
    hook = class_attribute(context, meta, "__getattr__")
    if hook is not MISSING and not issubclass(meta, enum.EnumMeta):
        return call_stored(context, hook, cls, "__getattr__", [name])
    if issubclass(meta, enum.EnumMeta) and name in cls.__members__:
        return context.wrap(getattr(cls, name), constant(cls).child("getattr", name))
    is_bare = MEMBERS_BY_HOOK and issubclass(meta, enum.EnumMeta)
    text = name if is_bare else f"type object '{cls.__name__}' has no attribute '{name}'"
    throw(context, AttributeError, text, name=name, obj=cls)


MEMBERS_BY_HOOK: Final = "__getattr__" in vars(enum.EnumMeta)
"""Whether enumerations look their members up in a hook, as up to 3.11, whose error is nothing but the name."""

# Writing ---------------------------------------------------------------------------------------------


def set_attribute(context: Context, target: Item, name: str, item: Item) -> None:
    """`target.name = item`; MISSING as item deletes."""
    target = target.realise(context) if type(target) is Lazy else target
    hook = "__delattr__" if item is MISSING else "__setattr__"
    if is_of_program(context, target, hook):
        call_special(context, target, hook, *([name] if item is MISSING else [name, item]))
    elif isinstance(target, Value):
        generic_set_attribute(context, target, name, item)
    else:
        _set_raw_attribute(context, target, name, item)


def generic_set_attribute(context: Context, target: Item, name: str, item: Item) -> None:
    """object.__setattr__ and object.__delattr__."""
    if isinstance(target, FunctionValue) and name in FUNCTION_FIELDS:
        return FUNCTION_FIELDS[name](context, target, item)
    if isinstance(target, CellValue) and name == "cell_contents":
        return target.write(context, item)
    if isinstance(target, ObjectValue) and issubclass(target.cls, ELSEWHERE):
        return set_kept_elsewhere(context, target, name, item)
    if not isinstance(target, ObjectValue) or sets_in_its_own_way(target.cls) or is_kept_by_numpy(target, name):
        context.stop(UNSUPPORTED_MUTATION, f"{target.cls.__name__}.{name} is set")
    stored: Any = class_attribute(context, target.cls, name)
    if stored is not MISSING:
        kind = class_of(stored)
        if issubclass(kind, property) and getattr(kind, "__set__", None) is property.__set__:
            return _set_property(context, target, name, item, stored)
        if kind in SLOT_DESCRIPTORS:
            return _set_slot(context, target, name, item, stored)
        hook, other = ("__delete__", "__set__") if item is MISSING else ("__set__", "__delete__")
        setter = class_attribute(context, kind, hook)
        if setter is MISSING and class_attribute(context, kind, other) is not MISSING:
            throw(context, AttributeError, hook)  # a data descriptor all the same
        if setter is not MISSING:
            wrapped = _plain_class_attribute(context, stored, target.cls, name)
            call_stored(context, setter, wrapped, hook, [target] if item is MISSING else [target, item])
            return None
    if not target.cls.__dictoffset__:
        _refuse_attribute(context, target, target.cls, name)
    if item is MISSING and realise(context, target.instance_attribute(context, name)) is MISSING:
        throw(context, AttributeError, f"'{target.cls.__name__}' object has no attribute '{name}'")
    return target.write(context, name, item)


def _set_property(context: Context, target: ObjectValue, name: str, item: Item, stored: Any) -> None:
    accessor = "fdel" if item is MISSING else "fset"
    if getattr(stored, accessor) is None:
        verb = "deleter" if item is MISSING else "setter"
        throw(context, AttributeError, f"property '{name}' of '{target.cls.__qualname__}' object has no {verb}")
    context.machine.call(context, _part(context, stored, accessor), [target] if item is MISSING else [target, item])


def _set_slot(context: Context, target: ObjectValue, name: str, item: Item, stored: Any) -> None:
    if isinstance(target, TensorValue):
        target.set(context, name, item)
    elif isinstance(target, ExceptionValue) and is_builtin(stored):
        write_field(context, target, name, item)
    elif type(stored) is types.MemberDescriptorType and not is_builtin(stored):
        if item is MISSING and _slot_attribute(context, target, name, stored) is MISSING:
            throw(context, AttributeError, name)
        target.write_field(context, name, item)
    elif name == "default_factory":
        target.write_field(context, name, item)
    else:
        context.stop(UNSUPPORTED_MUTATION, f"{target.cls.__name__}.{name} is set")


def _set_raw_attribute(context: Context, target: Any, name: str, item: Item) -> None:
    if isinstance(target, type) and target.__flags__ & IMMUTABLE_TYPE:
        host(context, setattr, target, name, None)  # CPython refuses it, in its own words
    elif not isinstance(target, (type, types.FunctionType, types.ModuleType)):
        _refuse_attribute(context, target, class_of(target), name)
    elif name.startswith("__") or class_attribute(context, type(target), name) is not MISSING:
        context.stop(UNSUPPORTED_MUTATION, f"{target.__name__}.{name} is set")
    else:
        set_name(context, target, name, item, get_attribute)


def _refuse_attribute(context: Context, target: Item, cls: type, name: str) -> NoReturn:
    """Objects of `cls` have no dictionary to put `name` into."""
    if class_attribute(context, cls, name) is not MISSING:
        throw(context, AttributeError, f"'{cls.__name__}' object attribute '{name}' is read-only")
    throw(context, AttributeError, f"'{cls.__name__}' object has no attribute '{name}'")
