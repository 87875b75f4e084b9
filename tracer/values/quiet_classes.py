"""Whether the code by which a wrapper subclass answers operators changes nothing but what it makes itself.

Such code is run on stand-ins while tracing, and by compilers once for all calls. It is read off its instructions, with
those of the functions that it calls; what cannot be told counts as a change. What the code is, and the globals that it
reads, are guarded.
"""

from __future__ import annotations

import types
from typing import Any, Final

import torch

from tracer.code.decode import Code, Op, decode
from tracer.guards.source import Source, constant
from tracer.values.base import LITERALS
from tracer.values.class_attributes import class_attribute
from tracer.values.context import Context

ANSWERS: Final = (
    *("__torch_dispatch__", "__torch_function__", "__tensor_flatten__", "__tensor_unflatten__"),
    *("__new__", "__init__"),
)
"""Methods that run where an operator is given an instance, or makes one."""

CHANGING: Final = frozenset(
    (
        *("append", "extend", "insert", "remove", "reverse", "sort", "add", "update", "setdefault", "pop", "clear"),
        *("popitem", "discard", "appendleft", "write", "put"),
    )
)
"""Methods that change what they are called on."""

EMPTY: Final = types.CellType()

LOUD_MODULES: Final = frozenset({"logging", "random", "time", "warnings", "sys", "os", "numpy", "threading"})
LOUD_BUILTINS: Final = frozenset({"print", "open", "input", "exec", "eval", "globals", "locals", "setattr", "delattr"})
READ: Final = (
    *(types.ModuleType, type, types.BuiltinFunctionType, dict, list, tuple, set, frozenset),
    *(torch._ops.OpOverload, torch._ops.OpOverloadPacket, torch.dtype, torch.device, torch.layout),
)
"""Types of globals that the code may read; literals and functions besides."""


def loud_place(context: Context, cls: type) -> str:
    """Where the code of a class may change something that lasts: the name of the function; "" if it nowhere does."""
    reading = _Reading(context)
    for owner in cls.__mro__[: cls.__mro__.index(torch.Tensor)]:
        if not _is_of_torch(owner.__module__):
            for name in ANSWERS:
                reading.method(owner, owner.__dict__.get(name))
    for name in ANSWERS:
        class_attribute(context, cls, name)
    return reading.place


def _is_of_torch(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "torch"


class _Reading:
    """Reads functions, each once; `place` is the first that may change something."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.place = ""
        self._seen: set[int] = set()

    def method(self, owner: type, stored: Any) -> None:
        """Read what a class stores, if it is a function of Python or holds one."""
        if isinstance(stored, property):
            stored = stored.fget
        function = getattr(stored, "__func__", stored)
        if isinstance(function, types.FunctionType):
            self.function(function, owner)

    def function(self, function: types.FunctionType, owner: type | None = None) -> None:
        """Read a function, and those that it calls; of a method, `owner` is the class."""
        if id(function) in self._seen or self.place or _is_of_torch(function.__globals__.get("__name__")):
            return
        self._seen.add(id(function))
        source = constant(function)
        self.context.guard(source.child("getattr", "__code__"), "same object", function.__code__)
        for cell in (cell for cell in function.__closure__ or () if cell != EMPTY):
            self._object(cell.cell_contents, function, owner)
        if self._changes(decode(function.__code__), function, source, owner):
            self.place = self.place or function.__qualname__

    def _changes(self, code: Code, function: types.FunctionType, source: Source, owner: type | None) -> bool:
        ops = code.ops
        makes = function.__name__ in ("__init__", "__new__")
        first = code.native.co_varnames[0] if code.native.co_argcount and owner is not None and not makes else None
        for index, op in enumerate(ops):
            if _stores_outside(ops, index, first):
                return True
            if op.name == "LOAD_GLOBAL":
                self._global(op.operand, function, source)
            elif op.name in ("LOAD_ATTR", "LOAD_METHOD") and owner is not None:
                self._attribute(owner, op.operand)
        inner = (part for part in code.native.co_consts if isinstance(part, types.CodeType))
        return any(self._changes(decode(part), function, source, owner) for part in inner)

    def _attribute(self, owner: type, name: str) -> None:
        """Read what a class of the program's stores under a name, which may be another object at the next call."""
        holder = next((base for base in owner.__mro__ if name in vars(base)), None)
        if holder is not None and not _is_of_torch(holder.__module__) and holder is not object:
            self.method(owner, class_attribute(self.context, owner, name))

    def _global(self, name: str, function: types.FunctionType, source: Source) -> None:
        if name not in function.__globals__:
            if name in LOUD_BUILTINS:
                self.place = self.place or function.__qualname__
            return
        value = function.__globals__[name]
        self.context.guard(source.child("globals").child("item", name), "same object", value)
        self._object(value, function, None)

    def _object(self, value: Any, function: types.FunctionType, owner: type | None) -> None:
        if isinstance(value, types.FunctionType):
            self.function(value, owner)
        elif isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] in LOUD_MODULES:
            self.place = self.place or function.__qualname__
        elif isinstance(value, dict | list | tuple):
            for part in value.values() if isinstance(value, dict) else value:
                if isinstance(part, types.FunctionType):
                    self.function(part)
        elif type(value) not in LITERALS and not isinstance(value, READ) and not _is_of_torch(type(value).__module__):
            self.place = self.place or function.__qualname__


def _stores_outside(ops: list[Op], index: int, first: str | None) -> bool:
    """Whether an instruction changes what the function has not made; a method is bound to `first`."""
    op = ops[index]
    if op.name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
        return True
    if op.name == "STORE_DEREF":
        return op.slot_name in op.code.native.co_freevars
    if op.name in ("STORE_ATTR", "DELETE_ATTR"):
        return not _is_own(ops, index - 1, first)
    if op.name == "STORE_SUBSCR":
        return not _is_own(ops, _before(ops, index - 1), first)
    if op.name in ("LOAD_METHOD", "LOAD_ATTR") and op.operand in CHANGING:
        return not _is_own(ops, index - 1, first)
    return False


def _before(ops: list[Op], index: int) -> int:
    """The last instruction of the operand below the one that `index` ends."""
    return _start(ops, index) - 1


def _start(ops: list[Op], index: int) -> int:
    """The first instruction of the operand that `index` ends: a variable or a constant, or an attribute of one."""
    while index > 0 and ops[index].name in ("LOAD_ATTR", "LOAD_METHOD"):
        index -= 1
    return index


def _is_own(ops: list[Op], index: int, first: str | None) -> bool:
    """Whether the operand that `index` ends is a variable of the function's, or comes from one, that is not `first`."""
    op = ops[_start(ops, index)]
    return op.name in ("BUILD_LIST", "BUILD_MAP") or (op.name == "LOAD_FAST" and op.slot_name != first)
