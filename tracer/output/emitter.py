"""The statements of one residual program, in order, and the names they use.

A ProgramEmitter collects what the program must be given (access paths), what it holds (constants), which tensors the
graph must return, and the statements. How a kind of value becomes an expression is in rebuild.py.
"""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tracer.output.rebuild import BUILDERS
from tracer.values.base import MISSING, Lazy, Value
from tracer.values.rebuilding import Fragment, Unrebuildable, fragment, listed, tuple_of
from tracer.values.shapes import as_python, python_text
from tracer.values.tensors import TensorValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracer.guards.source import Source
    from tracer.values.item import Item
    from tracer.values.shapes import Shapes

PLAIN = frozenset({type(None), bool, int, str, bytes, type(Ellipsis)})
"""Constants whose repr is an expression for them."""

COMMENT_COLUMN = 54

_UNFINISHED = Fragment("")
"""Stands for a value that is being built and has no name yet."""

_NOT_IN_NAMES = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a residual program: its text, the names that it reads (once for each mention) and assigns to.

    The text of a compound statement has several lines; all but the first carry their indentation.
    """

    text: str
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    comment: str = ""

    @property
    def line(self) -> str:
        """The statement with its comment, as it is printed."""
        return f"{self.text:<{COMMENT_COLUMN}}  # {self.comment}" if self.comment else self.text


class ProgramEmitter:
    """Writes one program. What its methods do for values is said at tracer.values.rebuilding.Emitter.

    `parameters`: access path to name, in order. `constants`: name to object. `outputs`: tensors that the graph returns.
    `remark` is the comment of the next statements. `built` holds the expression of every value that has one.
    """

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.remark = ""
        self.parameters: dict[Source, Fragment] = {}
        self.constants: dict[str, Any] = {}
        self.outputs: list[TensorValue] = []
        self.names: set[str] = set()
        self.built: dict[int, Fragment] = {}
        self.shapes: Shapes | None = None
        self._constant_names: dict[int, Fragment] = {}
        self._waiting: list[Callable[[], None] | None] = []
        """Not empty while something is built: what fills the containers that contain themselves."""
        self._filled: set[int] = set()

    # Names ---------------------------------------------------------------------------------------

    def fresh(self, wish: str) -> Fragment:
        stem = _NOT_IN_NAMES.sub("_", wish).strip("_") or "value"
        if stem[0].isdigit() or keyword.iskeyword(stem):
            stem = f"value_{stem}"
        name, count = stem, 1
        while name in self.names:
            count += 1
            name = f"{stem}_{count}"
        self.names.add(name)
        return Fragment(name, (name,))

    def parameter(self, source: Source) -> Fragment:
        name = self.parameters.get(source)
        if name is None:
            name = self.parameters[source] = self.fresh(source.text)
        return name

    def constant(self, obj: Any, wish: str = "") -> Fragment:
        if type(obj) in PLAIN or (type(obj) is float and math.isfinite(obj)):
            return Fragment(repr(obj))
        name = self._constant_names.get(id(obj))
        if name is None:
            name = self.fresh(wish or getattr(obj, "__name__", None) or f"{type(obj).__name__}_constant")
            self._constant_names[id(obj)] = name
            self.constants[name.text] = obj
        return name

    def output(self, value: TensorValue) -> Fragment:
        """The name of a tensor that the graph computes."""
        name = self.built.get(id(value))
        if name is None:
            assert value.node is not None
            name = self.built[id(value)] = self.fresh(value.node.name)
            self.outputs.append(value)
        return name

    # Statements ----------------------------------------------------------------------------------

    def assign(self, wish: str, value: Fragment) -> Fragment:
        name = self.fresh(wish)
        self.statements.append(Statement(f"{name.text} = {value.text}", value.reads, name.reads))
        return name

    def assign_to(self, name: Fragment, value: Fragment) -> None:
        self.statements.append(Statement(f"{name.text} = {value.text}", value.reads, name.reads, self.remark))

    def say(self, statement: Fragment, comment: str = "") -> None:
        self.statements.append(Statement(statement.text, statement.reads, (), comment or self.remark))

    # Values --------------------------------------------------------------------------------------

    def expression(self, item: Item) -> Fragment:
        if not isinstance(item, Value):
            return self._raw(item)
        if type(item) is Lazy:
            assert item.source is not None
            return self.expression(item.known) if isinstance(item.known, Value) else self.parameter(item.source)
        name = self.built.get(id(item))
        if name is not None:
            if name is _UNFINISHED:
                raise Unrebuildable(f"a {item.cls.__name__} that contains itself")
            return name
        if item.source is not None:
            return self.parameter(item.source)
        if type(item) is TensorValue:
            return self._tensor(item)
        return self._build(item)

    def bind(self, item: Item, name: Fragment) -> None:
        self.built[id(item)] = name

    def later(self, fill: Callable[[], None]) -> None:
        self._waiting.append(fill)

    def first_time(self, item: Item) -> bool:
        new = id(item) not in self._filled
        self._filled.add(id(item))
        return new

    def _tensor(self, value: TensorValue) -> Fragment:
        name = self.output(value)
        for attribute, item in value.attributes.items():
            if item is not MISSING:
                self.say(fragment("{}.{} = {}", name, Fragment(attribute), self.expression(item)))
        return name

    def _build(self, value: Value) -> Fragment:
        """Build a value that was born in the trace."""
        builder = next((build for kind, build in BUILDERS if isinstance(value, kind)), None)
        if builder is None:
            raise Unrebuildable(f"a {value.cls.__name__}", getattr(value, "birth", None))
        outermost = not self._waiting
        self._waiting.append(None)
        self.built[id(value)] = _UNFINISHED
        built = self.built[id(value)] = builder(self, value)
        while outermost and self._waiting:
            fill = self._waiting.pop()
            if fill is not None:
                fill()
        return built

    def _raw(self, item: Any) -> Fragment:
        kind = type(item)
        if kind is tuple:
            return tuple_of(map(self.expression, item))
        if kind is torch.Size and any(type(size) is not int for size in item):
            return fragment("{}({})", self.constant(kind, kind.__name__), tuple_of(map(self.expression, item)))
        if kind is slice:
            return fragment("slice({})", listed(map(self.expression, (item.start, item.stop, item.step))))
        if kind in (torch.SymInt, torch.SymFloat, torch.SymBool):
            return self._symbol(item)
        return self.constant(item)

    def _symbol(self, size: Any) -> Fragment:
        """An expression for a symbolic size, over the sizes it was read from."""
        if not isinstance(size, torch.SymInt):
            return Fragment(repr(as_python(size)))
        assert self.shapes is not None
        sources, reads = self.shapes.sources, list[str]()

        def name_of(symbol: Any) -> str:
            name = self.parameter(sources[symbol])
            reads.extend(name.reads)
            return name.text

        return Fragment(python_text(size.node.expr, name_of), tuple(reads))
