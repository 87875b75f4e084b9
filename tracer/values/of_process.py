"""What a trace learns that another process need not find: orders of sets, hashes and addresses.

Texts have another hash in each process, and objects other addresses; sets list their members by their hashes. A capture
that has used one serves the process that made it, and is not stored for others.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tracer.guards.checks import set_order
from tracer.values.class_attributes import HEAP_TYPE
from tracer.values.context import Context
from tracer.values.set_orders import sets_in

SMALLEST_TABLE: Final = 8
"""Places of the smallest table of a set: ints below it are listed in ascending order by every set."""

ADDRESS: Final = " at 0x"
"""Stands in what `object.__repr__`, and those of functions and of other objects of C, answer."""

NUMBERS: Final = frozenset({bool, int, float, complex})
"""Types whose hashes are the same in each process."""

UNORDERED: Final = frozenset(
    {bool, int, type(None), type(NotImplemented), types.BuiltinMethodType, types.MethodWrapperType}
)
"""Types of results in which no order of a set is seen."""


def note_order(context: Context, members: Any) -> None:
    """Note that the order of a set's members is seen: that of a set from outside, or made of such, is guarded."""
    for source, real in context.set_orders.origins(members):
        context.guard(source, "set order", set_order(real))
    if len(members) > 1 and not all(type(each) is int and 0 <= each < SMALLEST_TABLE for each in members):
        context.of_process = "the order of a set"


def note_hash(context: Context, hashed: Any) -> None:
    """Note that the hash of a real object, or of an item, is seen."""
    if type(hashed) not in NUMBERS:
        context.of_process = "a hash"


def note_address(context: Context) -> None:
    """Note that the address of an object is seen."""
    context.of_process = "an address"


def note_registration(context: Context, cls: type) -> None:
    """Note that it was asked whether a class is registered with an abstract one, which the program may do at any time:
    the token that guards compare counts registrations, and so many others may be made in another process.
    """
    if cls.__flags__ & HEAP_TYPE and cls.__module__.partition(".")[0] not in sys.stdlib_module_names:
        context.of_process = "a registered class"


def note_result(
    context: Context, function: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any], result: Any
) -> None:
    """Note what the result of a function that CPython has run on real objects tells of this process."""
    kind = type(result)
    if kind is int and getattr(function, "__name__", "") == "__hash__":
        for each in (*args, getattr(function, "__self__", 0)):
            note_hash(context, each)
    elif kind is str and ADDRESS in result:
        note_address(context)
    operands = (*args, getattr(function, "__self__", None), *kwargs.values())
    if kind is set or kind is frozenset:
        context.set_orders.follow(result, *sets_in(operands))
    elif kind not in UNORDERED:
        for each in sets_in(operands):
            note_order(context, each)
