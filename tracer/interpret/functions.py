"""Interpreting Python functions: what a call reads from one, the frame that it opens, the generator that it makes."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence

from tracer.code.decode import decode
from tracer.guards.source import Source, constant
from tracer.interpret.arguments import bind_arguments, is_ours
from tracer.interpret.frame import Frame
from tracer.interpret.generators import GeneratorValue
from tracer.interpret.loop import run
from tracer.interpret.templates.calls import Repeats, call_again
from tracer.interpret.trace import Trace
from tracer.reasons import COROUTINE
from tracer.values.base import LITERALS
from tracer.values.cells import CellValue
from tracer.values.functions import FunctionValue, NestedFunction
from tracer.values.item import Item

CO_GENERATOR, CO_SUSPENDS = 0x20, 0x20 | 0x80 | 0x200
"""Flags of code objects: of generators, and of everything that suspends (coroutines and asynchronous generators)."""


class FunctionFacts:
    """What calling a real Python function reads from it, wrapped once a trace."""

    __slots__ = ("closure", "code", "defaults", "function", "globals_source", "keyword_defaults", "repeats")

    def __init__(self, trace: Trace, function: types.FunctionType, path: Source | None = None) -> None:
        """`path` leads to a function that is not known by identity."""
        self.function = function
        self.repeats = Repeats()
        self.code = decode(function.__code__)
        is_polyfill = is_ours(function)
        source = constant(function) if path is None else path
        if path is not None:
            trace.guard(source.child("globals"), "same object", function.__globals__)
            trace.guard(source.child("getattr", "__defaults__"), "type", type(function.__defaults__))
            trace.guard(source.child("getattr", "__kwdefaults__"), "type", type(function.__kwdefaults__))
        elif not is_polyfill:
            trace.guard(source.child("getattr", "__code__"), "same object", function.__code__)
        self.globals_source = None if is_polyfill else source.child("globals")
        self.defaults: list[Item] = []
        if function.__defaults__:
            defaults = source.child("getattr", "__defaults__")
            if path is not None:
                trace.guard(defaults, "length", len(function.__defaults__))
            elif not is_polyfill:
                trace.guard(defaults, "same object", function.__defaults__)
            self.defaults = [
                value if path is None and type(value) in LITERALS else trace.wrap(value, defaults.child("index", i))
                for i, value in enumerate(function.__defaults__)
            ]
        self.keyword_defaults: dict[str, Item] = {}
        if function.__kwdefaults__:
            keywords = source.child("getattr", "__kwdefaults__")
            trace.guard(keywords, "keys", tuple(function.__kwdefaults__))
            self.keyword_defaults = {
                name: trace.wrap(value, keywords.child("item", name)) for name, value in function.__kwdefaults__.items()
            }
        self.closure: tuple[CellValue, ...] = tuple(
            trace.wrap(cell, source.child("cell", i)) for i, cell in enumerate(function.__closure__ or ())
        )


def interpret_function(
    trace: Trace, function: types.FunctionType, args: Sequence[Item], kwargs: Mapping[str, Item]
) -> Item:
    """Interpret a real Python function."""
    facts = trace.function_facts.get(id(function))
    if facts is None:
        facts = trace.function_facts[id(function)] = FunctionFacts(trace, function)
    return _interpret(trace, facts, args, kwargs)


def interpret_nested(trace: Trace, value: NestedFunction, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """Interpret a function that is known by its code and cells, wherever an object like it comes from."""
    function: types.FunctionType = value.object  # type: ignore[assignment]
    facts = trace.function_facts.get(id(function))
    if facts is None:
        facts = trace.function_facts[id(function)] = FunctionFacts(trace, function, value.source)
    return _interpret(trace, facts, args, kwargs)


def interpret_born(trace: Trace, value: FunctionValue, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """Interpret a function that the traced program itself has defined."""
    slots = bind_arguments(trace, value, decode(value.code), args, kwargs, value.defaults, value.keyword_defaults)
    return enter(trace, value.code, slots, value.globals, value.globals_source, value.closure, value)


def _interpret(trace: Trace, facts: FunctionFacts, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    function = facts.function
    slots = bind_arguments(trace, function, facts.code, args, kwargs, facts.defaults, facts.keyword_defaults)
    if function.__code__.co_flags & CO_SUSPENDS:
        return _enter(trace, facts, slots)
    return call_again(trace, facts.repeats, facts.code.filename, _enter, facts, slots)


def _enter(trace: Trace, facts: FunctionFacts, slots: list[Item]) -> Item:
    function = facts.function
    return enter(trace, function.__code__, slots, function.__globals__, facts.globals_source, facts.closure, function)


def enter(
    trace: Trace,
    code: types.CodeType,
    slots: list[Item],
    globals: dict[str, object],
    globals_source: Source | None,
    closure: tuple[CellValue, ...],
    function: Item,
) -> Item:
    """Run a new frame, or make the generator that will."""
    trace.turns += 1
    if trace.turns == trace.next_look:
        trace.look_at_progress()
    frame = Frame(trace, decode(code), slots, globals, globals_source, closure, trace.frame, function)
    if code.co_flags & CO_SUSPENDS:
        if not code.co_flags & CO_GENERATOR:
            trace.stop(COROUTINE, code.co_qualname)
        return GeneratorValue(trace, frame)
    return run(frame)
