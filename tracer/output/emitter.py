"""Statements of a residual program, and the names they use.

One Emitter makes one program: what it must be given (access paths), what it holds (constants), which
tensors the graph must hand out, and the statements in order. How values become expressions is in
rebuild.py.
"""

from __future__ import annotations

import keyword
import math
import re
from typing import TYPE_CHECKING, Any

import torch

from tracer.values.shapes import as_python, python_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracer.guards.source import Source
    from tracer.values.tensors import TensorValue

PLAIN = frozenset({type(None), bool, int, str, bytes, type(Ellipsis)})
"""Constants whose repr is an expression for them."""

_NOT_IN_NAMES = re.compile(r"\W+")


class Unrebuildable(Exception):
    """A value of the trace has no expression; `birth` is the root step that made it, None if unknown."""

    def __init__(self, what: str, birth: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.birth = birth


class Emitter:
    """`parameters`: access path to name, in order. `constants`: name to object. `outputs`: graph outputs.

    `waiting` is not empty while something is built: what fills the containers that contain themselves.
    `comments` are those of statements, by position; `remark` is the comment of the next ones.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.comments: dict[int, str] = {}
        self.remark = ""
        self.parameters: dict[Source, str] = {}
        self.constants: dict[str, Any] = {}
        self.outputs: list[TensorValue] = []
        self.names: set[str] = set()
        self.made: dict[int, str] = {}
        self.filled: set[int] = set()
        self.waiting: list[Callable[[], None] | None] = []
        self.shapes: Any = None
        self._constant_names: dict[int, str] = {}

    def fresh(self, wish: str) -> str:
        """A name like `wish` that nothing else has."""
        stem = _NOT_IN_NAMES.sub("_", wish).strip("_") or "value"
        if stem[0].isdigit() or keyword.iskeyword(stem):
            stem = f"value_{stem}"
        name, count = stem, 1
        while name in self.names:
            count += 1
            name = f"{stem}_{count}"
        self.names.add(name)
        return name

    def parameter(self, source: Source) -> str:
        """The parameter that holds what `source` leads to."""
        name = self.parameters.get(source)
        if name is None:
            name = self.parameters[source] = self.fresh(source.text)
        return name

    def constant(self, obj: Any, wish: str = "") -> str:
        """An expression for a raw object: a literal, or a name bound to it."""
        if type(obj) in PLAIN:
            return repr(obj)
        if type(obj) is float and math.isfinite(obj):
            return repr(obj)
        known = self._constant_names.get(id(obj))
        if known is None:
            known = self.fresh(wish or getattr(obj, "__name__", None) or f"{type(obj).__name__}_constant")
            self._constant_names[id(obj)] = known
            self.constants[known] = obj
        return known

    def symbol(self, size: Any) -> str:
        """An expression for a symbolic size, over the sizes it was read from."""
        if not isinstance(size, torch.SymInt):
            return repr(as_python(size))
        sources = self.shapes.sources
        return python_text(size.node.expr, lambda symbol: self.parameter(sources[symbol]))

    def assign(self, wish: str, expression: str) -> str:
        name = self.fresh(wish)
        self.statements.append(f"{name} = {expression}")
        return name

    def say(self, statement: str, comment: str = "") -> None:
        if comment or self.remark:
            self.comments[len(self.statements)] = comment or self.remark
        self.statements.append(statement)

    def output(self, value: TensorValue) -> str:
        """The name of a tensor that the graph computes."""
        name = self.made.get(id(value))
        if name is None:
            assert value.node is not None
            name = self.made[id(value)] = self.fresh(value.node.name)
            self.outputs.append(value)
        return name
