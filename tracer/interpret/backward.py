"""Whether the `backward` of a torch.autograd.Function may be run once for all calls, as compilers run it.

A compiler traces `backward` when it compiles a graph. That is sound only if what `backward` does follows from tensors
and from what `forward` noted on its context: it must read nothing that may change before it runs, and change nothing.
This is read off its code; everything that is not known to be sound counts as unsound.
"""

from __future__ import annotations

import inspect
import math
import operator
import types
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import torch

from tracer.code.decode import Code, decode
from tracer.guards.source import Source, constant
from tracer.interpret.trace import Trace
from tracer.values.base import LITERALS, MISSING
from tracer.values.class_attributes import class_attribute
from tracer.values.dicts import DictValue
from tracer.values.functions import FunctionValue
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.objects import ObjectValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue

Fact = tuple[Callable[[], Any], Any]
"""What reads an object, and the object that was read."""

UNSOUND: Final = frozenset(
    (
        *("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR", "LOAD_NAME", "STORE_NAME", "DELETE_NAME"),
        *("LOAD_CLASSDEREF", "LOAD_BUILD_CLASS", "IMPORT_NAME", "IMPORT_FROM", "IMPORT_STAR", "SETUP_ANNOTATIONS"),
        *("YIELD_VALUE", "SEND", "GET_AWAITABLE"),
    )
)
"""Instructions by which code changes or reads what is neither its own nor a global."""

BUILTINS: Final = frozenset(
    (
        *(abs, all, any, bool, dict, divmod, enumerate, float, int, isinstance, len, list, map, max, min, pow, range),
        *(reversed, round, set, slice, sorted, str, sum, tuple, zip),
    )
)
FIXED: Final = ("torch", "math", "operator", "_operator")
"""Packages whose functions and constants stay what they are."""

OBJECTS: Final = (
    *(torch.Tensor, torch.autograd.function.BackwardCFunction, torch.Size, torch.dtype, torch.device),
    *(list, dict, tuple, str, slice),
    *(torch, torch.nn, torch.nn.functional, math, operator),
)
ATTRIBUTES: Final = frozenset(name for owner in OBJECTS for name in dir(owner))
"""Attributes of tensors, containers and modules of `FIXED`; any other may be one that the user gave an object."""


def check_backward(trace: Trace, cls: Any, context: ObjectValue) -> tuple[str, list[Fact]]:
    """Why the backward of `cls` may not be run once for all calls, "" if it may; `context` is what `forward` left.

    What it depends on, its code and the functions that it calls, is guarded; and since autograd looks it up only when
    it runs, these facts are returned.
    """
    for name, item in context.attributes.items():
        if not _is_fixed(item):
            return f"reads ctx.{name}, which can change before it runs", []
    name = "backward" if cls.vjp is torch.autograd.Function.vjp else "vjp"
    function = class_attribute(trace, cls, name)
    if type(function) not in (staticmethod, classmethod) or type(function.__func__) is not types.FunctionType:
        return "is not a static method", []
    if type(function) is classmethod and _uses_first_argument(function.__func__):
        return "uses its class, whose attributes can change before it runs", []
    check = _Check(trace, frozenset(context.attributes))
    check.facts.append((partial(inspect.getattr_static, cls, name), function))
    check.function(function.__func__)
    return check.fault, check.facts


def _uses_first_argument(function: types.FunctionType) -> bool:
    code = decode(function.__code__)
    names = {op.slot_name for op in code.ops if op.name.startswith("LOAD") and op.name.endswith(("_FAST", "_DEREF"))}
    return function.__code__.co_argcount == 0 or function.__code__.co_varnames[0] in names


def late_fault(trace: Trace, function: Item) -> str:
    """Why a function that is traced now may do something else when autograd calls it later, "" if it may not.

    What a function of the trace closes over is the caller's affair, if nobody can change the objects.
    """
    check = _Check(trace, frozenset())
    if isinstance(function, types.FunctionType) and function.__closure__ is None:
        check.function(function)
        return check.fault
    if not isinstance(function, FunctionValue) or function.globals_source is None:
        return "is not a plain function"
    for name, cell in zip(function.code.co_freevars, function.closure, strict=True):
        if not _is_fixed(cell.content):
            return f"uses {name}, which can change before it runs"
    if not all(map(_is_fixed, (*function.defaults, *function.keyword_defaults.values()))):
        return "has a default that can change"
    source = function.globals_source.base
    assert source is not None
    check.code(decode(function.code), function.globals, source, frozenset())
    return check.fault


def all_hold(facts: Iterable[Fact]) -> bool:
    """Whether what `check_backward` returned is still so."""
    return all(read() is value for read, value in facts)


def _is_fixed(item: Item) -> bool:
    """Whether an attribute of a context is of a type that nobody else can change."""
    if isinstance(item, tuple):
        return all(map(_is_fixed, item))
    if isinstance(item, ListValue | TupleValue):
        return item.source is None and all(map(_is_fixed, item.items))
    if isinstance(item, DictValue):
        return item.source is None and all(map(_is_fixed, item.items.values()))
    return isinstance(item, TensorValue | torch.SymInt) or type(item) in LITERALS


class _Check:
    """Reads the code of functions; `fault` says what is unsound in the first that is, `facts` what all depend on."""

    def __init__(self, trace: Trace, noted: frozenset[str]) -> None:
        self.trace = trace
        self.fault = ""
        self.facts: list[Fact] = []
        self._attributes = ATTRIBUTES | noted
        self._seen: set[int] = set()

    def function(self, function: types.FunctionType) -> None:
        """Check a function and those that it calls."""
        if id(function) in self._seen or self.fault:
            return
        self._seen.add(id(function))
        if _is_of_fixed_package(function.__globals__.get("__name__")):  # torch's own, around a function of the user's
            for cell in function.__closure__ or ():
                if isinstance(cell.cell_contents, types.FunctionType):
                    self.function(cell.cell_contents)
            return
        source = constant(function)
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            value = getattr(function, name)
            self.trace.guard(source.child("getattr", name), "same object", value)
            self.facts.append((partial(getattr, function, name), value))
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        if not all(type(default) in LITERALS for default in defaults):
            self.fault = "has a default that can change"
        self.code(decode(function.__code__), function.__globals__, source, frozenset(function.__code__.co_freevars))

    def code(self, code: Code, globals: dict[str, Any], source: Source, free: frozenset[str]) -> None:
        """Check the instructions of a function with these globals; `free` are variables that it may not read."""
        for op in code.ops:
            if op.name in UNSOUND:
                self.fault = self.fault or f"changes or reads what is not its own ({op.name})"
            elif op.name.endswith("_DEREF") and op.slot_name in free:
                self.fault = self.fault or f"uses {op.slot_name} of an enclosing function"
            elif op.name in ("LOAD_ATTR", "LOAD_METHOD") and op.operand not in self._attributes:
                self.fault = self.fault or f"reads the attribute {op.operand}"
            elif op.name == "LOAD_GLOBAL":
                self._global(op.operand, globals, source)
        for part in code.native.co_consts:
            if isinstance(part, types.CodeType):
                self.code(decode(part), globals, source, free)

    def _global(self, name: str, globals: dict[str, Any], source: Source) -> None:
        if self.trace.effects.read(globals, name, None) is not None:
            self.fault = self.fault or f"reads the global {name}, which was assigned before"
        self.facts.append((partial(globals.get, name, MISSING), globals.get(name, MISSING)))
        if name not in globals:
            self.trace.guard(source.child("globals"), "absent", name)
            scope: Any = globals["__builtins__"]
            value = (scope if isinstance(scope, dict) else vars(scope)).get(name)
            if value not in BUILTINS:
                self.fault = self.fault or f"uses {name}"
            return
        value = globals[name]
        if isinstance(value, types.FunctionType):
            self.function(value)
        elif not _is_fixed_object(value):
            self.fault = self.fault or f"reads the global {name}, which can change before it runs"
            return
        self.trace.guard(source.child("globals").child("item", name), "same object", value)


def _is_of_fixed_package(name: object) -> bool:
    return isinstance(name, str) and name.partition(".")[0] in FIXED


def _is_fixed_object(value: Any) -> bool:
    """Whether a global that is no Python function is a module, class or function of a package that stays as it is."""
    if isinstance(value, types.ModuleType):
        return _is_of_fixed_package(value.__name__)
    if isinstance(value, type | types.BuiltinFunctionType):
        return value in BUILTINS or _is_of_fixed_package(value.__module__)
    return isinstance(value, torch.dtype)
