"""Guards as data: what they compare with, each fact once, and numbers of access paths, facts and lines for each guard.

A reader gives these tables to the native guard program as they are. Guards that Python code can look at are made when
somebody looks.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, overload

import torch

from tracer.entry import GuardWords
from tracer.guards.aliasing import Aliasing
from tracer.guards.checks import CHECKS, OPERATIONS, Expression, TensorFacts
from tracer.guards.guard_set import Guard
from tracer.guards.source import Source, Strong, hold
from tracer.guards.state import State
from tracer.store.errors import BadFile, Unstorable, part_of
from tracer.store.paths import HELD, TableReader, TableWriter


def write_guards(tables: TableWriter, guards: Iterable[Guard]) -> tuple[list[Any], list[int]]:
    """What guards compare with, each once, and three numbers for each guard: its source, that fact, and its line."""
    facts: dict[str, tuple[int, Any]] = {}
    rows: list[int] = []
    for guard in guards:
        fact = [guard.check, _write_expected(tables, guard.check, guard.expected)]
        number, _ = facts.setdefault(repr(fact), (len(facts), fact))
        rows += (-1 if guard.source is None else tables.source(guard.source), number, tables.line(guard.line))
    return [fact for _, fact in facts.values()], rows


def _write_expected(tables: TableWriter, check: str, expected: Any) -> Any:
    if check in HELD:
        target = expected()
        if target is None and not isinstance(expected, Strong):
            raise Unstorable("an object that is gone")
        return tables.object(target)
    if isinstance(expected, types.CodeType):
        return ["o", tables.object(expected)]
    if check == "tensor":
        return [tables.compared_meta(expected.meta), tables.object(expected.type), expected.keys, *_facts(expected)]
    if check == "state":
        return list(map(tables.value, expected))
    if check == "expression":
        return [
            [tables.source(each) for each in expected.sources],
            [list(step) for step in expected.program],
            expected.text,
        ]
    if check == "aliasing":
        return [[tables.source(each) for each in expected.sources], expected.written, expected.overlapping]
    return tables.value(expected)


def _facts(facts: TensorFacts) -> list[Any]:
    return [list(facts.dynamic), list(facts.asked)]


class Deferred(Sequence[Any]):
    """A sequence that is made when somebody looks at it."""

    def __init__(self, length: int, make: Callable[[], list[Any]]) -> None:
        self._length = length
        self._make = make

    @cached_property
    def items(self) -> list[Any]:
        """What is in it."""
        return self._make()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        return self.items[index]


class StoredGuards(Deferred, GuardWords):
    """The guards of a file, for one call, and the inputs of its program.

    `tables` is what the native guard program reads: access paths (two numbers each: the path it goes on from, and the
    last step), steps, facts, guards (three numbers each: access path, fact, line), the paths of the inputs, and the
    paths that are Python objects already.
    """

    def __init__(self, tables: TableReader, data: dict[str, Any]) -> None:
        """Raises BadFile and Unfit."""
        self.facts = [_fact(tables, row) for row in part_of(data, "facts", list)]
        self.numbers = numbers_of(data, "guards")
        inputs = numbers_of(data, "inputs")
        if len(self.numbers) % 3:
            raise BadFile("a row of another length")
        super().__init__(len(self.numbers) // 3, self._guards)
        self.inputs = Deferred(len(inputs), lambda: list(map(tables.source, inputs)))
        self.input_numbers = inputs
        self.reader = tables
        lines = self.numbers[2::3]
        if lines and not (min(lines) >= -1 and max(lines) < len(tables.lines)):
            raise BadFile("a guard that is none")
        self.tables = (tables.paths, tables.all_steps(), self.facts, self.numbers, inputs, tables.sources)

    def _guards(self) -> list[Any]:
        tables, facts, new = self.reader, self.facts, tuple.__new__
        rows = iter(self.numbers)
        return [
            new(Guard, (None if place < 0 else tables.source(place), *facts[number], tables.line(line)))
            for place, number, line in zip(rows, rows, rows, strict=True)
        ]


def numbers_of(data: Mapping[str, Any], name: str) -> list[int]:
    """A part of a file that is a list of ints. Raises BadFile."""
    numbers = part_of(data, name, list)
    if not set(map(type, numbers)) <= {int}:
        raise BadFile(f"{name} that are no numbers")
    return numbers


def _fact(tables: TableReader, row: Any) -> tuple[str, Any]:
    if type(row) is not list or len(row) != 2 or type(row[0]) is not str or row[0] not in CHECKS:
        raise BadFile("a guard that is none")
    check, written = row
    try:
        return check, _expected(tables, check, written)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise BadFile(f"a guard {check!r}: {error}") from None


def _is_autocast(row: Any) -> bool:
    """Whether this is the name of a type of devices that has autocast, with a dtype."""
    return (
        type(row) is tuple
        and len(row) == 2
        and type(row[0]) is str
        and row[0] in torch._C._autocast_supported_devices()
        and type(row[1]) is torch.dtype
    )


def _expected(tables: TableReader, check: str, written: Any) -> Any:
    if check in HELD:
        return hold(tables.object(written))
    if check == "tensor":
        meta, cls, keys, dynamic, asked = written
        _require(type(keys) is int and 0 <= keys < 1 << 64 and all(type(dim) is int for dim in dynamic))
        _require(all(type(fact) is str for fact in asked))
        return TensorFacts(tables.meta(meta), tables.object(cls), keys, tuple(dynamic), tuple(asked))
    if check == "state":
        state = State(*map(tables.value, written))
        _require(type(state.autocast_dtypes) is tuple and all(map(_is_autocast, state.autocast_dtypes)))
        return state
    if check == "expression":
        sources, program, text = written
        _require(type(text) is str and all(name in OPERATIONS and type(operand) is int for name, operand in program))
        return Expression(tuple(map(tables.source, sources)), tuple(map(tuple, program)), text)
    if check == "aliasing":
        sources, count, overlapping = written
        _require(type(count) is int and 0 <= count <= len(sources) and type(overlapping) is bool)
        return Aliasing(tuple(map(tables.source, sources)), count, overlapping)
    expected = tables.value(written)
    kind = EXPECTED_TYPES.get(check)
    _require(kind is None or isinstance(expected, kind))
    prepare = CHECKS[check].prepare
    return expected if prepare is None else prepare(expected)


EXPECTED_TYPES: Final[Mapping[str, Any]] = {
    "length": int,
    "keys": tuple,
    "same as": Source,
    "not same as": Source,
    "set items": (set, frozenset),
    "set order": tuple,
    "unseen end": (str, type(None)),
}


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError("a value that it does not compare with")
