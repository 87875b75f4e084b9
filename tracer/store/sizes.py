"""Sizes that vary, as data: expressions over symbols, each of which stands for the int at an access path.

A reader makes symbols of its own for the call at hand. What torch's algebra assumed of those of the capture is among
the guards; what it assumes while a graph is compiled again becomes guards too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Final

import torch

from tracer.guards.guard_set import Guard
from tracer.guards.source import Source
from tracer.interpret.size_nodes import OPERATORS
from tracer.store.errors import BadFile, Unfit, Unstorable
from tracer.values.shapes import History, Shapes

COUNT: Final = 256
"""Symbols of one entry, at most."""
DEPTH: Final = 40
SIZES: Final = {torch.SymInt, int}
LONGEST_TEXT: Final = 200


class VaryingSize(str):
    """A size or stride in the meta that a guard compares a tensor with, by what people read of it: it varies, so that
    it is not compared, and torch's algebra need not be loaded for it.
    """

    __slots__ = ()

    def __mul__(self, other: Any) -> Any:
        """A product with it varies likewise."""
        return self

    __rmul__ = __mul__  # pyright: ignore[reportAssignmentType]


def read_varying(text: Any) -> VaryingSize:
    """The size for what a writer has written of it. Raises BadFile."""
    if type(text) is not str or len(text) > LONGEST_TEXT or not text.isprintable():
        raise BadFile("a size that is none")
    return VaryingSize(text)


def write_size(size: Any, number_of: Callable[[Any], int]) -> Any:
    """An expression as JSON; `number_of` gives the number of a symbol. Raises Unstorable."""
    return _tree(size.node.expr, number_of)


def _tree(expression: Any, number_of: Callable[[Any], int]) -> Any:
    if expression.is_Symbol:
        return ["symbol", number_of(expression)]
    if expression.is_Integer and abs(int(expression)) < 1 << 62:
        return int(expression)
    kind = type(expression).__name__
    if kind not in OPERATORS or not expression.args:
        raise Unstorable("a size that is computed in another way", str(expression))
    return [kind, *(_tree(part, number_of) for part in expression.args)]


def _place(row: Any, source_of: Callable[[Any], Source], resolve: Callable[[Source], Any]) -> tuple[Source, int, bool]:
    if type(row) is not list or len(row) != 2 or type(row[1]) is not bool:
        raise BadFile("a symbol that is none")
    source = source_of(row[0])
    value = resolve(source)
    if type(value) is not int or (row[1] and value < 2) or abs(value) >= 1 << 62:
        raise Unfit(f"{source.text} is no size that varies")
    return source, value, row[1]


class SizeReader:
    """The symbols of one file, for one call. `rows` are the access path of each, and whether it is a tensor's size.

    Their values are read at once, as they make the entry one for this call or not; torch's algebra is asked for symbols
    only if something needs them. Raises BadFile, and Unfit if there is no int for a symbol.
    """

    def __init__(self, rows: list[Any], source: Callable[[Any], Source], resolve: Callable[[Source], Any]) -> None:
        if len(rows) > COUNT:
            raise BadFile(f"{len(rows)} symbols")
        self.places = [_place(row, source, resolve) for row in rows]
        """The access path of each symbol, the int that it leads to in this call, and whether it is a tensor's size."""
        self.shapes: Shapes | None = None
        self.symbols: dict[int, torch.SymInt] = {}
        self.access_paths: dict[Any, Source] = {}
        """The access path of the int that each symbol of the algebra stands for."""

    def size(self, data: Any, depth: int = 0) -> Any:
        """The size that `write_size` has written. Raises BadFile."""
        if type(data) is int:
            return data
        if type(data) is not list or len(data) < 2 or type(data[0]) is not str or depth > DEPTH:
            raise BadFile("a size that is none")
        kind, *parts = data
        if kind == "symbol":
            return self._symbol(*parts)
        if kind not in OPERATORS or len(parts) > COUNT:
            raise BadFile(f"a size that is computed by {kind!r}")
        operands = [self.size(part, depth + 1) for part in parts]
        if kind in POWERS and not (len(operands) == 2 and type(operands[1]) is int and 0 < operands[1] <= 8):
            raise BadFile("a power without end")
        value = OPERATORS[kind](*operands) if len(operands) < 2 else reduce(OPERATORS[kind], operands)
        if type(value) not in SIZES:
            raise BadFile("a size that is no number")
        return value

    def _symbol(self, number: Any) -> torch.SymInt:
        if type(number) is not int or not 0 <= number < len(self.places):
            raise BadFile(f"no symbol {number!r}")
        symbol = self.symbols.get(number)
        if symbol is None:
            source, value, is_size = self.places[number]
            self.shapes = self.shapes or Shapes(History(), None, draws=False)
            symbol = self.symbols[number] = self.shapes.symbol(value, source, size=is_size)
            self.access_paths.update(self.shapes.sources)
        return symbol

    @property
    def environment(self) -> Any:
        """The ShapeEnv of the symbols; None if there are none."""
        return None if self.shapes is None else self.shapes.environment

    def assumptions(self, guards: Iterable[Guard]) -> list[Guard]:
        """What compiling the graph has assumed of the symbols, as guards besides `guards`. Raises NotExpressible."""
        if self.shapes is None:
            return []
        added: list[Guard] = []
        present = {guard.expected for guard in guards if guard.check == "expression"}

        def add(source: Source | None, check: str, expected: Any) -> None:
            if expected not in present:
                present.add(expected)
                added.append(Guard(source, check, expected, None))

        self.shapes.finish(add)
        return added


POWERS: Final = frozenset({"Pow", "PowByNatural"})
