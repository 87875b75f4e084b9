"""The table of Python's operators agrees with CPython: symbols, functions and special methods."""

import operator

import pytest

from passes.operators.spellings import OPERATORS
from passes.python_operators import BINARY, BY_FUNCTION, COMPARISONS, IN_PLACE, UNARY


def methods_tried(row, run):
    """The special methods that an operation asks, of operands that all but the last leave to the next."""
    calls = []

    class Left:
        pass

    class Right:
        pass

    for name in (row.method, getattr(row, "in_place_method", row.method)):
        setattr(Left, name, lambda self, other, name=name: calls.append(name) or NotImplemented)
    setattr(Right, row.reflected, lambda self, other: calls.append(row.reflected) or self)
    run(Left(), Right())
    return calls


@pytest.mark.parametrize("row", (*BINARY, *COMPARISONS), ids=lambda row: row.symbol)
def test_binary_and_comparisons(row):
    text = f"left {row.symbol} right"
    for run in (lambda left, right: eval(text, {"left": left, "right": right}), row.function):
        assert methods_tried(row, run) == [row.method, row.reflected]


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row.symbol)
def test_in_place(row):
    text = f"left {row.in_place_symbol} right"
    for run in (lambda left, right: exec(text, {"left": left, "right": right}), row.in_place):
        assert methods_tried(row, run) == [row.in_place_method, row.method, row.reflected]


@pytest.mark.parametrize("row", UNARY, ids=lambda row: row.symbol)
def test_unary(row):
    class Operand:
        pass

    setattr(Operand, row.method, lambda self: row.symbol)
    assert eval(f"{row.symbol}operand", {"operand": Operand()}) == row.function(Operand()) == row.symbol


def test_every_operator_has_a_row():
    methods = {row.method for row in BY_FUNCTION.values()} | {row.in_place_method for row in BINARY}
    names = {name.strip("_") for name in methods}
    others = {"abs", "call", "concat", "contains", "delitem", "getitem", "iconcat", "index", "inv", "not", "setitem"}
    special = {
        name.strip("_") for name in vars(operator) if name.startswith("__") and callable(getattr(operator, name))
    }
    assert names - {""} == special - others - {"builtins", "loader", "spec"}
    spelled = {name for name in OPERATORS if name not in ("abs", "radd", "rmul")}
    assert spelled <= names
    assert len(IN_PLACE) == len(BINARY)
