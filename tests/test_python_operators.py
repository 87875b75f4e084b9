"""The table of Python's operators agrees with CPython: symbols, functions and special methods."""

import operator

import pytest

from passes.operators.spellings import OPERATORS
from passes.python_operators import BINARY, BY_FUNCTION, COMPARISONS, IN_PLACE, UNARY


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row.symbol)
def test_binary(row):
    calls = []

    class Left:
        pass

    class Right:
        pass

    setattr(Left, row.in_place_method, lambda self, other: calls.append(row.in_place_method) or NotImplemented)
    setattr(Left, row.method, lambda self, other: calls.append(row.method) or NotImplemented)
    setattr(Right, row.reflected, lambda self, other: calls.append(row.reflected) or self)
    for run in (lambda: eval(f"left {row.symbol} right", scope), lambda: row.function(*scope.values())):
        scope = {"left": Left(), "right": Right()}
        run()
        assert calls == [row.method, row.reflected]
        calls.clear()
    for run in (lambda: exec(f"left {row.in_place_symbol} right", scope), lambda: row.in_place(*scope.values())):
        scope = {"left": Left(), "right": Right()}
        run()
        assert calls == [row.in_place_method, row.method, row.reflected]
        calls.clear()


@pytest.mark.parametrize("row", COMPARISONS, ids=lambda row: row.symbol)
def test_comparisons(row):
    calls = []

    class Left:
        pass

    class Right:
        pass

    setattr(Left, row.method, lambda self, other: calls.append(row.method) or NotImplemented)
    setattr(Right, row.reflected, lambda self, other: calls.append(row.reflected) or self)
    for run in (lambda: eval(f"left {row.symbol} right", scope), lambda: row.function(*scope.values())):
        scope = {"left": Left(), "right": Right()}
        run()
        assert calls == [row.method, row.reflected]
        calls.clear()


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
