"""The numbers that Python's tables of accesses, checks and operations share with the native guard program.

They are generated from the tables when the extension is built. Here: that they agree, that a row without native code
neither builds nor runs, and that every row means in C++ what the reference evaluator says it means.
"""

from __future__ import annotations

import itertools
import math
import operator
import runpy
import shutil
import subprocess
import types
import weakref
from collections import OrderedDict, deque
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch.testing._internal.two_tensor import TwoTensor

from passes.meta import meta_of
from tests.guard_probe import Other, Point, Probe, identity, probe
from tracer._native import NUMBERS
from tracer.dispatch.cache import Entry, frame_cache
from tracer.guards.aliasing import Aliasing
from tracer.guards.checks import CHECKS, OPERATIONS, Check, Expression, Operation, tensor_facts
from tracer.guards.explain import CallFrame
from tracer.guards.source import ACCESSORS, Accessor, Source, argument, constant, function, module
from tracer.guards.state import read_state

ROOT = Path(__file__).parents[1]
GENERATOR = runpy.run_path(str(ROOT / "tracer/dispatch/native/numbers.py"))
TABLES: dict[str, dict[str, Any]] = {"ACCESSORS": ACCESSORS, "CHECKS": CHECKS, "OPERATIONS": OPERATIONS}
X = argument("x")


@pytest.mark.parametrize("name", TABLES)
def test_extension_was_built_with_the_numbers_of_the_python_table(name):
    numbers = {key: row.number for key, row in TABLES[name].items()}
    assert NUMBERS[name] == numbers, "the extension was built from other tables: build it again"


@pytest.mark.parametrize("table", GENERATOR["TABLES"], ids=lambda table: table.name)
def test_generator_reads_the_same_numbers_as_an_import(table):
    rows = GENERATOR["read_rows"](ROOT / table.path, table.name)
    assert {name: numbers[0] for name, numbers in rows.items()} == NUMBERS[table.name]


# A row without native code is refused ------------------------------------------------------------------


def refused(rows: list[tuple[Any, ...]]) -> str:
    """The message with which a program of these rows is refused; the cache must be left as it was."""
    cache = frame_cache(identity.__code__, lambda *_: None)
    with pytest.raises(ValueError) as error:
        cache.add(Entry([(*row, None) for row in rows], [], None))
    assert cache.entries == []
    return str(error.value)


def unused(table: str) -> int:
    """The number that the next row of a table would get."""
    return 1 + max(row.number for row in TABLES[table].values())


@pytest.mark.parametrize("number", [0, 2, unused("CHECKS"), unused("CHECKS") + 1, 77, 255, 256, -1])
def test_check_without_native_code_is_refused(monkeypatch, number):
    monkeypatch.setitem(CHECKS, "positive", Check(number, "{source} is positive", lambda value, *_: value > 0))
    message = refused([(X, "positive", None)])
    assert f"CHECKS['positive'] has the number {number}, for which the native guard program has no code" in message


def test_access_without_native_code_is_refused(monkeypatch):
    number = unused("ACCESSORS")
    monkeypatch.setitem(ACCESSORS, "first", Accessor(number, lambda source: "first", lambda value, _: value[0]))
    assert f"ACCESSORS['first'] has the number {number}" in refused([(X.child("first"), "equal", 1)])


def test_operation_without_native_code_is_refused(monkeypatch):
    number = unused("OPERATIONS")
    monkeypatch.setitem(OPERATIONS, "^", Operation(number, 2, operator.xor))
    condition = Expression((X,), (("load", 0), ("constant", 1), ("^", 0)))
    assert f"OPERATIONS['^'] has the number {number}" in refused([(None, "expression", condition)])


def test_path_that_does_not_start_with_a_root_is_refused():
    assert "cannot start with 'type'" in refused([(Source(None, "type", None), "equal", 1)])
    assert "cannot go on with 'argument'" in refused([(Source(X, "argument", "x"), "equal", 1)])


def with_row(tmp_path: Path, table: str, path: str, row: str) -> Path:
    """A copy of the tables with one more row."""
    for source in ("tracer/guards/source.py", "tracer/guards/checks.py"):
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, tmp_path / source)
    text = (tmp_path / path).read_text()
    head, start, rest = text.partition(f"\n{table}: dict[")
    assert start, table
    opening, brace, rows = rest.partition("{\n")
    (tmp_path / path).write_text(f"{head}{start}{opening}{brace}    {row},\n{rows}")
    return tmp_path


WRONG_ROWS = [
    ('"positive": Check(0, "")', "have the same number"),
    ('"type": Check(77, "")', "two rows named 'type'"),
    ('"positive": Check(256, "")', "does not fit into 8 bits"),
    ('"positive": Check("13")', "begins with a number"),
    ('"a-b": Check(77, "")', "no identifier of C\\+\\+"),
]


@pytest.mark.parametrize(("row", "message"), WRONG_ROWS)
def test_generator_refuses_a_row(tmp_path, row, message):
    root = with_row(tmp_path, "CHECKS", "tracer/guards/checks.py", row)
    with pytest.raises(ValueError, match=message):
        GENERATOR["header"](root)


MISSING_CASES = [
    ("ACCESSORS", "tracer/guards/source.py", '"first": Accessor(77, None, None)', "access.h"),
    ("OPERATIONS", "tracer/guards/checks.py", '"shift": Operation(77, 2, None)', "expression.h"),
]


@pytest.mark.parametrize(("table", "path", "row", "header"), MISSING_CASES)
def test_row_without_a_case_does_not_compile(tmp_path, table, path, row, header):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    root = with_row(tmp_path, table, path, row)
    (tmp_path / "guard_numbers.h").write_text(GENERATOR["header"](root))
    program = tmp_path / "program.cpp"
    program.write_text(f'#include "{header}"\n')
    places = [f"-I{tmp_path}", f"-I{ROOT / 'tracer/dispatch/native'}"]
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Werror=switch", *places, str(program)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode and "not handled in switch" in outcome.stderr
    (tmp_path / "guard_numbers.h").write_text(GENERATOR["header"]())
    assert subprocess.run(command, check=False).returncode == 0


# Every access ------------------------------------------------------------------------------------------


def outer() -> Any:
    captured = Point()
    return lambda: captured


CELL = outer().__closure__[0]
ORDERED = OrderedDict(a=Point(), b=Point())
KEPT = Point()

INNER = iter([1, 2])
VARIABLE: ContextVar[Any] = ContextVar("VARIABLE")
ACCESSES: dict[str, tuple[Source, Any]] = {
    "argument": (X, Point()),
    "function": (function(), None),
    "object": (constant(Point), None),
    "module": (module("operator"), None),
    "globals": (X.child("globals"), outer),
    "builtins": (X.child("builtins"), outer),
    "cell": (X.child("cell", 0), outer()),
    "contents": (X.child("contents"), CELL),
    "type": (X.child("type"), Point()),
    "dict": (X.child("dict"), Point()),
    "class attribute": (X.child("class attribute", "kind"), Point),
    "getattr": (X.child("getattr", "kind"), Point()),
    "item": (X.child("item", "a"), {"a": Point()}),
    "index": (X.child("index", 1), [1, Point()]),
    "key": (X.child("key", 1), ORDERED),
    "deque item": (X.child("deque item", 1), deque([1, Point()])),
    "length": (X.child("length"), [1, 2, 3]),
    "item of": (X.child("item of", constant(Point)), {Point: Point()}),
    "size": (X.child("size", 1), torch.ones(2, 3)),
    "stride": (X.child("stride", 0), torch.ones(2, 3)),
    "storage offset": (X.child("storage offset"), torch.ones(4)[1:]),
    "subclasses": (X.child("subclasses"), Point),
    "call": (X.child("call"), weakref.ref(KEPT)),
    "upcoming": (X.child("upcoming", 1), iter([1, KEPT])),
    "has upcoming": (X.child("has upcoming", 1), iter([1, KEPT])),
    "leaf": (X.child("leaf", 0), enumerate(INNER)),
    "form": (X.child("form"), enumerate(INNER)),
    "memory": (X.child("memory"), numpy.ones(2)),
    "layout": (X.child("layout"), TwoTensor(torch.ones(2), torch.ones(2))),
    "held": (X.child("held"), VARIABLE),
}
"""For each access: a path that ends with it, and an argument on which that path leads somewhere."""

STRANGERS = (None, True, 5, "text", 2.5, [1], (1, 2), {}, {"a": 1}, {1, 2}, deque([1]), ORDERED, Point(), Point, outer)
STRANGERS += (outer(), CELL, torch.ones(2, 3), torch.ones(2).to_sparse(), torch.Size([2]), weakref.ref(Other), identity)
STRANGERS += (
    operator,
    VARIABLE,
    types.MappingProxyType({"a": 1}),
    Point().__init__,
    len,
    range(3),
    b"ab",
    torch.float32,
)


def fitting(source: Source, value: Any) -> Probe:
    if type(value) is list:  # a new one each time
        return probe(identity, (source, "length", len(value)))
    return probe(identity, (source, "equal" if type(value) in (int, str) else "same object", value))


def test_every_access_has_an_example():
    assert ACCESSES.keys() == ACCESSORS.keys()


@pytest.mark.parametrize("access", [name for name in ACCESSES if name != "memory"])
def test_access_leads_to_the_same_value_natively(access):
    source, argument_ = ACCESSES[access]
    assert source.accessor == access
    value = CallFrame(identity, {"x": argument_}).resolve(source)
    assert fitting(source, value).fits(argument_)
    assert not fitting(source, Other).fits(argument_)
    given = probe(identity, inputs=[source])
    assert given.fits(argument_)
    found = given.given[-1][0]
    assert found is value or (type(value) in (int, str, list) and found == value)


def test_the_tensor_of_an_array_has_its_memory():
    source, array = ACCESSES["memory"]
    given = probe(identity, (source.child("size", 0), "equal", 2), inputs=[source])
    assert given.fits(array)
    assert given.given[-1][0].data_ptr() == array.ctypes.data
    array.flags.writeable = False
    assert not given.fits(array) and not given.fits(array.tolist())


@pytest.mark.parametrize("access", [name for name in ACCESSES if ACCESSES[name][0].base is not None])
@pytest.mark.parametrize("expected", [Point, 1])
def test_access_agrees_with_the_reference_on_objects_of_every_kind(access, expected):
    source, _ = ACCESSES[access]
    strict = fitting(source, expected)
    for stranger in STRANGERS:
        strict.fits(stranger)


NEGATIVE = [
    ("index", [[], [1], [1, Point()], (Point(),)]),
    ("key", [{}, {"a": 1}, OrderedDict(), ORDERED]),
    ("deque item", [deque(), deque([Point()]), deque([1, 2])]),
    ("size", [torch.ones(()), torch.ones(2), torch.ones(2, 3)]),
    ("stride", [torch.ones(()), torch.ones(2), torch.ones(2, 3)]),
    ("cell", [outer, outer()]),
]


@pytest.mark.parametrize(("access", "values"), NEGATIVE)
@pytest.mark.parametrize("key", [-1, -2, -3, 7])
def test_access_agrees_with_the_reference_on_keys_out_of_range(access, values, key):
    for expected in (1, Point):
        strict = fitting(X.child(access, key), expected)
        for value in values:
            strict.fits(value)


# Every check -------------------------------------------------------------------------------------------


class Hooked(torch.nn.Module):
    pass


def hooked() -> torch.nn.Module:
    model = Hooked()
    model.register_forward_hook(lambda *_: None)
    return model


TENSOR = torch.ones(2, 3)
EVERY_CHECK: dict[str, tuple[Source | None, Any, list[Any], list[Any]]] = {
    "type": (X, Point, [Point()], [Other(), Point, 1]),
    "same object": (X, Point, [Point], [Other, Point()]),
    "equal": (X, (1, "a"), [(1, "a")], [(True, "a"), [1, "a"], (1,)]),
    "tensor": (X, tensor_facts(TENSOR, meta_of(TENSOR)), [torch.zeros(2, 3)], [torch.zeros(3, 2), 1]),
    "length": (X, 2, [[1, 2], "ab", {1, 2}], [[1], 2, None]),
    "keys": (X, ("a", "b"), [{"a": 1, "b": 2}], [{"b": 1, "a": 2}, {}, ["a", "b"]]),
    "absent": (X, "kind", [{}, Other], [{"kind": 1}, Point, 5]),
    "present": (X, 1, [{1, "a"}, frozenset({True}), {1: 2}], [{2}, set(), {2: 1}, [1], 1]),
    "same as": (X, X.child("index", 0), [], [[1], 1]),
    "not same as": (X, X.child("index", 0), [[1]], [1]),
    "no hooks": (X, None, [Hooked()], [hooked(), Point(), 1]),
    "set items": (X, frozenset({1, "a"}), [{1, "a"}], [{1}, {True, "a"}, [1, "a"]]),
    "set order": (X, (0, 0, 8), [{0, 8}], [{8, 0}, {0}, [0, 8]]),
    "expression": (None, Expression((X,), (("load", 0), ("constant", 3), (">", 0))), [4], [3, True, "a", 2**70]),
    "aliasing": (
        None,
        Aliasing((X.child("index", 0), X.child("index", 1)), 1, False),
        [list(torch.zeros(2, 2)), [torch.ones(2), torch.ones(2)], [torch.ones(0), torch.ones(0)]],
        [[TENSOR, TENSOR], [TENSOR, TENSOR[1:]], [TENSOR.t(), TENSOR.detach()[0]], [TENSOR], [TENSOR, 1], 1]
        + [[TENSOR, TENSOR.to_sparse()], [torch.ones(0)] * 2, [torch.ones(1, device="meta")] * 2],
    ),
    "unseen end": (X, None, [1, "a", [1, Point()], TENSOR], [memoryview(b"a"), [memoryview(b"a")]]),
    "state": (None, read_state(), [1], []),
}
"""For each check: where it is asked, what it expects, arguments that pass and arguments that do not."""


def test_every_check_has_an_example():
    assert EVERY_CHECK.keys() == CHECKS.keys()


@pytest.mark.parametrize("check", EVERY_CHECK)
def test_check_decides_the_same_natively(check):
    source, expected, passing, failing = EVERY_CHECK[check]
    strict = probe(identity, (source, check, expected))
    for value in passing:
        assert strict.fits(value), value
    for value in failing:
        assert not strict.fits(value), value
    for stranger in STRANGERS:
        strict.fits(stranger)


def test_same_as_itself():
    items: list[Any] = []
    items.append(items)
    assert probe(identity, (X, "same as", X.child("index", 0))).fits(items)


def test_state_that_differs():
    strict = probe(identity, (None, "state", read_state()))
    with torch.no_grad():
        assert not strict.fits(1)


@pytest.mark.parametrize("length", [-1, 2**63, 2**80, True])
def test_length_that_nothing_can_have(length):
    if length is True:
        assert probe(identity, (X, "length", length)).fits([0])
        return
    cache = frame_cache(identity.__code__, lambda *_: None)
    with pytest.raises(TypeError, match="a guard needs a length"):
        cache.add(Entry([(X, "length", length, None)], [], None))


# Every operation ---------------------------------------------------------------------------------------

LEAST, MOST = -(2**63), 2**63 - 1
OPERANDS = (LEAST, LEAST + 1, -7, -2, -1, 0, 1, 2, 3, 7, MOST - 1, MOST)


def three(x: int, y: int, result: int) -> None:
    """The function of probes: two operands and what is expected of them."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_gives_the_same_natively(name):
    operation = OPERATIONS[name]
    sources = tuple(map(argument, ("x", "y", "result")))
    if name == "load float":
        pytest.skip("of floats: test_floats_are_ordered_natively")
    step = ("constant", 3) if name == "constant" else (name, 0)
    loads = [("load", place) for place in range(operation.arity)]
    strict = probe(three, (None, "expression", Expression(sources, (*loads, step, ("load", 2), ("==", 0)))))
    for operands in itertools.product(OPERANDS, repeat=2):
        result = expected_result(name, operands)
        if result is None or not LEAST <= result <= MOST:
            assert not strict.fits(*operands, 0)
        else:
            assert strict.fits(*operands, result), (name, operands)
            assert not strict.fits(*operands, result ^ 1), (name, operands)


FLOATS = (-math.inf, -1e300, -1.5, -1.0, -5e-324, -0.0, 0.0, 5e-324, 0.1, 1.0, 1.5, 1e300, math.inf)


@pytest.mark.parametrize("name", ["==", "!=", "<", "<=", ">", ">="])
def test_floats_are_ordered_natively(name):
    sources = (argument("x"), argument("y"))
    condition = Expression(sources, (("load float", 0), ("load float", 1), (name, 0)))
    strict = probe(three, (None, "expression", condition))
    for left, right in itertools.product(FLOATS, repeat=2):
        assert strict.fits(left, right, 0) == bool(OPERATIONS[name].apply(left, right)), (left, right)
    for other in (math.nan, 1, True, None, "1.0"):
        assert not strict.fits(other, 1.0, 0)
        assert not strict.fits(1.0, other, 0)


def expected_result(name: str, operands: tuple[int, int]) -> int | None:
    """What Python gives; None where it divides by zero."""
    operation = OPERATIONS[name]
    if name in ("//", "%") and operands[1] == 0:
        return None
    if name == "constant":
        return 3
    return operands[0] if name == "load" else operation.apply(*operands[: operation.arity])
