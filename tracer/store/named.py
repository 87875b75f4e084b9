"""Which functions a stored program may be given: those that the code it belongs to names, and what its caller passes.

A file says what a program does with the objects that it is given. If those are none that the program's own code could
call, the file cannot have it call anything else.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

from tracer.guards.source import Source
from tracer.store.objects import BUILTIN_FUNCTION, DESCRIPTORS

FUNCTIONS: Final = (types.FunctionType, BUILTIN_FUNCTION, functools._lru_cache_wrapper, *DESCRIPTORS)
CALLED_UNNAMED: Final = frozenset({"__exit__"})
"""Methods that an instruction of CPython's calls, so that no code names them."""
EVERYWHERE: Final = frozenset({"globals", "builtins", "type"})
"""Steps of access paths to what does not belong to an object alone."""
HARMLESS: Final = frozenset({"builtins", "collections", "enum", "types", "functools", "itertools"})
"""Modules of the standard library whose classes only hold what they are given."""


def names_of(code: types.CodeType) -> frozenset[str]:
    """All names in a code object and in those that it holds."""
    names = {*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars}
    nested = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return frozenset(names).union(*map(names_of, nested))


def is_named(target: Any, names: frozenset[str], key: Any = None) -> bool:
    """Whether a program whose code has these names may be given `target`, which lies under `key` where it was found."""
    if isinstance(target, type):
        module = type.__getattribute__(target, "__module__")
        package = module.partition(".")[0] if type(module) is str else ""
        if package not in sys.stdlib_module_names or package in HARMLESS:
            return True
    elif type(target) is types.MethodType:
        return is_named(target.__func__, names, key)
    elif type(target) not in FUNCTIONS:
        return True
    name = getattr(target, "__name__", None)
    return name in names or name in CALLED_UNNAMED or (type(key) is str and key in names)


def is_passed(source: Source, resolve: Callable[[Source], Any]) -> bool:
    """Whether an access path leads from an argument of the call to what the caller put there, not through a class, a
    module or the globals of a function to what any program can reach.
    """
    while source.base is not None:
        if source.accessor in EVERYWHERE or isinstance(resolve(source), types.ModuleType):
            return False
        source = source.base
    return source.accessor == "argument"


def objects_in(data: Any) -> Iterator[Any]:
    """The numbers of the objects that a constant in a file holds."""
    waiting = [data]
    while waiting:
        row = waiting.pop()
        if type(row) is list and row:
            if row[0] == "o":
                yield from row[1:]
            waiting += row[1:]
