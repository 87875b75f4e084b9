"""Binding the arguments of a call to the slots of a frame, with CPython's own complaints."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from tracer.code.decode import Code
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.objects import only_through
from tracer.values.protocols.attributes import get_attribute
from tracer.values.raising import throw
from tracer.values.tuples import make_tuple


def bind_arguments(
    trace: Trace,
    function: Item,
    code: Code,
    args: Sequence[Item],
    kwargs: Mapping[str, Item] | None,
    defaults: Sequence[Item],
    keyword_defaults: Mapping[str, Item],
) -> list[Item]:
    """Slots of a new frame: parameters bound, everything else MISSING.

    Raises TypeError in the traced program, worded as CPython words it.
    """
    slots: list[Item] = [MISSING] * len(code.slot_names)
    positional = code.argument_count
    count = len(args)
    if count > positional:
        if not code.has_varargs:
            _too_many(trace, function, code, count, kwargs or {}, defaults)
        slots[:positional] = args[:positional]
    else:
        slots[:count] = args
    named_count = positional + code.keyword_only_count
    if code.has_varargs:
        slots[named_count] = make_tuple(args[positional:])
    extra: dict[Item, Item] | None = None
    if code.has_varkeywords:
        extra = {}
        slots[named_count + code.has_varargs] = DictValue(dict, extra)
    if kwargs:
        _bind_keywords(trace, function, code, slots, kwargs, extra)
    if count < positional:
        _fill_defaults(trace, function, code, slots, defaults)
    if code.keyword_only_count:
        _fill_keyword_only(trace, function, code, slots, keyword_defaults)
    return slots


def is_ours(function: Item) -> bool:
    """Polyfills are constants of the tracer: nothing they read needs a guard."""
    return isinstance(function, types.FunctionType) and str(function.__module__).startswith("tracer.interpret.library")


def _refuse(trace: Trace, function: Item, complaint: str) -> NoReturn:
    """Raise TypeError in the program; in the name of a C function it is left to CPython."""
    if is_ours(function):
        trace.stop(UNSUPPORTED_CALL, f"{function.__name__}() {complaint}")
    name = get_attribute(trace, function, "__qualname__")
    throw(trace, TypeError, f"{name}() {complaint}")


def _unexpected_keyword(code: types.CodeType, names: Iterable[str]) -> str:
    """What CPython says of keywords of which one is no parameter of `code`; it refuses them before the code runs.

    From 3.13 on the message names the parameter that may be meant.
    """
    function = types.FunctionType(code, {}, closure=tuple(types.CellType() for _ in code.co_freevars))
    try:
        function(**dict.fromkeys(names))
    except TypeError as error:
        return str(error).removeprefix(f"{code.co_qualname}() ")
    raise AssertionError(f"{code.co_qualname} takes the keywords {[*names]}")


def _bind_keywords(
    trace: Trace,
    function: Item,
    code: Code,
    slots: list[Item],
    kwargs: Mapping[str, Item],
    extra: dict[Item, Item] | None,
) -> None:
    names = code.local_names[: code.argument_count + code.keyword_only_count]
    positional_only: list[str] = []
    for name, item in kwargs.items():
        if not isinstance(name, str):
            throw(trace, TypeError, "keywords must be strings")
        position = names.index(name) if name in names else -1
        if position >= code.positional_only_count:
            if slots[position] is not MISSING:
                _refuse(trace, function, f"got multiple values for argument '{name}'")
            slots[position] = item
        elif extra is not None:
            extra[name] = item
        elif position >= 0:
            positional_only.append(name)
        else:
            _refuse(trace, function, _unexpected_keyword(code.native, kwargs))
    if positional_only:
        _refuse(
            trace,
            function,
            f"got some positional-only arguments passed as keyword arguments: '{', '.join(positional_only)}'",
        )


def _fill_defaults(trace: Trace, function: Item, code: Code, slots: list[Item], defaults: Sequence[Item]) -> None:
    required = code.argument_count - len(defaults)
    missing = [code.local_names[i] for i in range(required) if slots[i] is MISSING]
    if missing:
        _missing(trace, function, missing, "positional")
    for index, default in enumerate(defaults, required):
        if slots[index] is MISSING:
            slots[index] = default


def _fill_keyword_only(
    trace: Trace, function: Item, code: Code, slots: list[Item], defaults: Mapping[str, Item]
) -> None:
    if trace.effects.stored and isinstance(function, types.FunctionType):
        only_through(trace, function.__kwdefaults__)  # `defaults` are as the frame began
    missing: list[str] = []
    for index in range(code.argument_count, code.argument_count + code.keyword_only_count):
        if slots[index] is MISSING:
            name = code.local_names[index]
            if name in defaults:
                slots[index] = defaults[name]
            else:
                missing.append(name)
    if missing:
        _missing(trace, function, missing, "keyword-only")


def _missing(trace: Trace, function: Item, names: list[str], kind: str) -> None:
    quoted = [f"'{name}'" for name in names]
    listed = " and ".join(quoted) if len(quoted) < 3 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
    plural = "s" if len(names) > 1 else ""
    _refuse(trace, function, f"missing {len(names)} required {kind} argument{plural}: {listed}")


def _too_many(
    trace: Trace, function: Item, code: Code, count: int, kwargs: Mapping[str, Item], defaults: Sequence[Item]
) -> None:
    most = code.argument_count
    plural = most != 1
    takes = str(most)
    if defaults:
        takes, plural = f"from {most - len(defaults)} to {most}", True
    keyword_only = code.local_names[most : most + code.keyword_only_count]
    keyword_count = sum(name in keyword_only for name in kwargs)
    detail = ""
    if keyword_count:
        detail = (
            f" positional argument{'s' if count != 1 else ''} "
            f"(and {keyword_count} keyword-only argument{'s' if keyword_count != 1 else ''})"
        )
    was = "was" if count == 1 and not keyword_count else "were"
    _refuse(
        trace,
        function,
        f"takes {takes} positional argument{'s' if plural else ''} but {count}{detail} {was} given",
    )
