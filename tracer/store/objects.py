"""Objects that a capture knows by identity, as data: how a process reaches its own, and what that must be like.

In the process that wrote a file an object was one object. In the process that reads it, the object in its place is the
one that an access path of the call, or a name in an imported module, leads to now, if it has the same fingerprint: the
same code for a function, the same structure for a class. Nothing is imported, and no attribute is asked for in a way
that runs code. What of an object's state the capture has read besides, other guards compare.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import re
import sys
import types
import typing
from collections import OrderedDict, deque
from contextvars import ContextVar
from typing import Any, Final

import torch

from tracer.guards.source import Absent, class_attribute
from tracer.store.content import LITERALS, code_hash
from tracer.store.errors import Unstorable
from tracer.values.class_attributes import HEAP_TYPE
from tracer.values.identities import IDENTITY_TYPES

BUILTIN_FUNCTION: Final = types.BuiltinFunctionType
DESCRIPTORS: Final[tuple[type, ...]] = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
FORMS: Final[tuple[type, ...]] = tuple(cls for cls in IDENTITY_TYPES if cls.__module__ == "typing")
ALIASES: Final[Any] = (types.GenericAlias, types.UnionType)
LIBRARIES: Final = frozenset({*sys.stdlib_module_names, "torch", "builtins"})
"""Packages whose versions are part of the key, so that the structure of their classes need not be compared."""


def look_up(module: str, path: str) -> Any:
    """What a name in an imported module stands for, without running code. Raises Absent."""
    holder: Any = sys.modules.get(module)
    if not isinstance(holder, types.ModuleType):
        raise Absent(module)
    for name in path.split("."):
        if isinstance(holder, types.ModuleType):
            stored = object.__getattribute__(holder, "__dict__")
            if name not in stored:
                raise Absent(f"{module}.{path}")
            holder = stored[name]
        elif isinstance(holder, type):
            holder = class_attribute(holder, name)
        else:
            raise Absent(f"{module}.{path}")
    return holder


def import_path(target: Any) -> tuple[str, str] | None:
    """The imported module, and the name in it, by which `target` is found; None if there is none."""
    for module, path in _candidates(target):
        try:
            if type(module) is str and type(path) is str and look_up(module, path) is target:
                return module, path
        except Absent:
            continue
    return None


def _candidates(target: Any) -> list[tuple[Any, Any]]:
    if isinstance(target, type):
        return [_name_of_class(target), *_NAMES_IN_TYPES.get(target, ())]
    if type(target) is types.FunctionType:
        return [(target.__module__, target.__qualname__)]
    if type(target) is BUILTIN_FUNCTION:
        owner = target.__self__
        candidates: list[tuple[Any, Any]] = [(target.__module__, target.__qualname__), ("torch", target.__name__)]
        if isinstance(owner, types.ModuleType):
            candidates.append((owner.__name__, target.__name__))
        if isinstance(owner, type):
            module, name = _name_of_class(owner)
            candidates.append((module, f"{name}.{target.__name__}"))
        return candidates
    if type(target) is staticmethod and type(target.__func__) is BUILTIN_FUNCTION:
        return [("torch._C", f"_VariableFunctionsClass.{target.__func__.__name__}")]
    return _candidates_of_descriptor(target) if type(target) in DESCRIPTORS else []


def _candidates_of_descriptor(descriptor: Any) -> list[tuple[Any, Any]]:
    module, name = _name_of_class(descriptor.__objclass__)
    return [(module, f"{name}.{descriptor.__name__}")]


_NAMES_IN_TYPES: Final = {cls: [("types", name)] for name, cls in vars(types).items() if isinstance(cls, type)}
"""Classes that CPython calls by names under which nobody finds them, as `builtins.function`."""


def _name_of_class(cls: type) -> tuple[Any, Any]:
    return type.__getattribute__(cls, "__module__"), type.__getattribute__(cls, "__qualname__")


def fingerprint(target: Any, depth: int = 0) -> list[Any]:
    """What an object known by identity must be like in another process, as JSON. Raises Unstorable."""
    if depth > 8:
        raise Unstorable("an object known by identity", "too deeply nested")
    describe = _FINGERPRINTS.get(type(target))
    if describe is not None:
        return describe(target, depth + 1)
    if isinstance(target, type):
        return _class(target)
    if isinstance(target, types.ModuleType):
        return ["module", module_name(target)]
    if isinstance(target, enum.Enum):
        return ["member", *_name_of_class(type(target)), target._name_]
    if _is_of_python(type(target)):
        return ["instance", *_class(type(target))[1:]]
    raise Unstorable("an object known by identity", f"a {type(target).__qualname__}")


def module_name(module: types.ModuleType) -> str:
    """The name under which a module is imported. Raises Unstorable for other modules."""
    name = object.__getattribute__(module, "__dict__").get("__name__")
    if type(name) is str and sys.modules.get(name) is module:
        return name
    name = next((name for name, other in list(sys.modules.items()) if other is module), None)
    if type(name) is not str:
        raise Unstorable("a module that is not imported by a name")
    return name


def _is_of_python(cls: type) -> bool:
    """Whether all that an instance holds is in its dictionary and slots: no class of C but `object` is behind it."""
    return cls is object or all(
        base is object or (base.__flags__ & HEAP_TYPE and "__module__" in vars(base) and not _has_own_layout(base))
        for base in type.mro(cls)
    )


def _has_own_layout(cls: type) -> bool:
    """Whether a heap type comes from C code: its instances may hold more than Python shows."""
    return not any(name in vars(cls) for name in ("__dict__", "__slots__", "__weakref__", "__firstlineno__")) and (
        cls.__basicsize__ != (cls.__base__ or object).__basicsize__
    )


def _function(function: types.FunctionType, depth: int) -> list[Any]:
    return ["function", function.__module__, function.__qualname__, code_hash(function.__code__)]


def _class(cls: type) -> list[Any]:
    """Names and structure: of the classes that it inherits from and of its metaclass, and the names that it defines."""
    parts: list[Any] = [_name_of_class(base) for base in type.mro(cls)]
    parts += [_name_of_class(type(cls)), cls.__basicsize__, cls.__dictoffset__, bool(cls.__weakrefoffset__)]
    parts += _members_of_enumeration(cls)
    for base in type.mro(cls):
        module = _name_of_class(base)[0]
        if type(module) is str and module.partition(".")[0] not in LIBRARIES:
            names = type.__getattribute__(base, "__dict__")
            parts.append(sorted(name for name, each in names.items() if not _is_special(name) or type(each) in METHODS))
    return ["class", *_name_of_class(cls), hashlib.sha256(repr(parts).encode()).hexdigest()[:32]]


def _is_special(name: str) -> bool:
    return name.startswith("_") and name.endswith("_")


METHODS: Final = (types.FunctionType, staticmethod, classmethod, property)
"""Types of the special attributes that a program writes; Python adds others, some of them late."""


def _members_of_enumeration(cls: type) -> list[Any]:
    """The names of an enumeration's members and what each of them holds, which no guard compares."""
    if not isinstance(cls, enum.EnumMeta) or _name_of_class(cls)[0].partition(".")[0] in LIBRARIES:
        return []
    described: list[Any] = []
    for name, member in type.__getattribute__(cls, "_member_map_").items():
        held = {key: each for key, each in object.__getattribute__(member, "__dict__").items() if key != "__objclass__"}
        if any(_FINGERPRINTS.get(type(each)) is _container for each in held.values()):
            raise Unstorable("an enumeration whose members can change", cls.__qualname__)
        described.append([name, [[key, fingerprint(each, 1)] for key, each in held.items()]])
    return described


def _builtin(function: Any, depth: int) -> list[Any]:
    owner = function.__self__
    if owner is None:
        of: Any = None
    elif isinstance(owner, types.ModuleType):
        of = str(object.__getattribute__(owner, "__dict__").get("__name__"))
    elif isinstance(owner, type):
        of = ["class", *_name_of_class(owner)]
    else:
        of = ["instance", *_name_of_class(type(owner))]
        if not isinstance(owner, (torch.Generator, ContextVar)):
            raise Unstorable("a method that is bound to an object", function.__qualname__)
    return ["builtin", function.__module__, function.__qualname__, of]


def _descriptor(descriptor: Any, depth: int) -> list[Any]:
    return ["descriptor", type(descriptor).__name__, *_name_of_class(descriptor.__objclass__), descriptor.__name__]


def _property(target: property, depth: int) -> list[Any]:
    parts = (target.fget, target.fset, target.fdel)
    return ["property", *(None if part is None else fingerprint(part, depth) for part in parts)]


def _wrapped(target: Any, depth: int) -> list[Any]:
    return [type(target).__name__, fingerprint(target.__func__, depth)]


def _cached(target: Any, depth: int) -> list[Any]:
    return ["cached", fingerprint(target.__wrapped__, depth)]


def _code(code: types.CodeType, depth: int) -> list[Any]:
    return ["code", code.co_qualname, code_hash(code)]


def _literal(value: Any, depth: int) -> list[Any]:
    return [type(value).__name__, repr(value)]


def _tuple(values: tuple[Any, ...], depth: int) -> list[Any]:
    return [type(values).__name__, *(fingerprint(value, depth) for value in values)]


def _members(values: frozenset[Any], depth: int) -> list[Any]:
    return ["frozenset", *sorted((fingerprint(value, depth) for value in values), key=repr)]


def _container(values: Any, depth: int) -> list[Any]:
    """A container that can change: what the capture has read of its items, other guards compare."""
    return ["container", type(values).__name__, getattr(values, "maxlen", None)]


def _pattern(pattern: re.Pattern[Any], depth: int) -> list[Any]:
    return ["pattern", repr(pattern.pattern), pattern.flags]


def _form(form: Any, depth: int) -> list[Any]:
    """What `typing` makes of types: its name there, or all that it holds, which no guard compares."""
    name = next((name for name, each in vars(typing).items() if each is form), None)
    if name is not None:
        return ["form", name]
    if not type(form).__dictoffset__:
        raise Unstorable("a form of typing", repr(form))
    held = object.__getattribute__(form, "__dict__")
    return ["form", type(form).__name__, *([name, fingerprint(each, depth)] for name, each in held.items())]


def _alias(alias: Any, depth: int) -> list[Any]:
    return [type(alias).__name__, *(fingerprint(each, depth) for each in (typing.get_origin(alias), alias.__args__))]


def _operator(target: Any, depth: int) -> list[Any]:
    return ["operator", str(target)]


_FINGERPRINTS: Final[dict[type, Any]] = {
    types.FunctionType: _function,
    BUILTIN_FUNCTION: _builtin,
    **dict.fromkeys(DESCRIPTORS, _descriptor),
    property: _property,
    staticmethod: _wrapped,
    classmethod: _wrapped,
    functools._lru_cache_wrapper: _cached,
    types.CodeType: _code,
    **dict.fromkeys(LITERALS, _literal),
    **dict.fromkeys((dict, list, set, OrderedDict, deque), _container),
    **dict.fromkeys((tuple, torch.Size), _tuple),
    frozenset: _members,
    **dict.fromkeys((torch.dtype, torch.device, torch.layout, torch.memory_format), _literal),
    re.Pattern: _pattern,
    **dict.fromkeys(FORMS, _form),
    **dict.fromkeys(ALIASES, _alias),
    ContextVar: lambda target, depth: ["context variable", target.name],
    torch.Generator: lambda target, depth: ["generator", str(target.device)],
    torch._ops.OpOverload: _operator,
    torch._ops.OpOverloadPacket: _operator,
}


# Parts ------------------------------------------------------------------------------------------------

_PARTS: Final[dict[type, tuple[str, ...]]] = {
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    types.MethodType: ("__func__",),
}
"""Fields that an object of C keeps for as long as it lives, which no guard needs to compare."""


def parts(target: Any) -> list[tuple[str, Any]]:
    """Objects that `target` will always have, by the names under which `part` finds them."""
    named = [(name, _FIELDS[type(target), name].__get__(target)) for name in _PARTS.get(type(target), ())]
    if type(target) is types.FunctionType:
        named.append(("globals", target.__globals__))
    code = target.__code__ if type(target) is types.FunctionType else target  # which is in a function's fingerprint
    if type(code) is types.CodeType:
        named += [(f"code {index}", each) for index, each in enumerate(code.co_consts) if type(each) is type(code)]
    if type(target) is tuple:
        named += [(str(index), each) for index, each in enumerate(target)]
    if isinstance(target, type):
        named += [(f"base {index}", base) for index, base in enumerate(type.mro(target))]
    return [("type", type(target)), *((name, each) for name, each in named if type(each) not in LITERALS)]


def part(target: Any, name: str) -> Any:
    """One of the `parts` of an object. Raises Absent."""
    by_name = dict(parts(target))
    if name not in by_name:
        raise Absent(name)
    return by_name[name]


_FIELDS: Final = {(kind, name): vars(kind)[name] for kind, names in _PARTS.items() for name in names}
