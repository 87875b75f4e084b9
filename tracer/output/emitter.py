"""The statements of one residual program, in order, and the names they use.

A ProgramEmitter collects what the program must be given (access paths), what it holds (constants), which tensors the
graph must return, and the statements. How a kind of value becomes an expression is in its file in tracer/values.
"""

from __future__ import annotations

import functools
import keyword
import math
import re
import sys
import types
from typing import TYPE_CHECKING, Any

import torch

from tracer.guards.checks import has_weak_identity
from tracer.guards.words import is_written_out
from tracer.output.mentions import mark, without_marks
from tracer.output.statements import Statement
from tracer.values.base import Lazy, Value
from tracer.values.born_classes import BornClass, build_class, finish_class
from tracer.values.exceptions import ExceptionValue
from tracer.values.kinds import Kind, kind_of
from tracer.values.number_symbols import EXPRESSIONS, NumberSymbol
from tracer.values.objects import ObjectValue
from tracer.values.of_process import note_order
from tracer.values.ragged_sizes import RaggedSize
from tracer.values.rebuilding import Fragment, Unrebuildable, fragment, listed
from tracer.values.shapes import NotExpressible, ReadNumber, python_text
from tracer.values.tensors import TensorValue
from tracer.values.wrapper_tensors import WrapperTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tracer.effects.log import Draw
    from tracer.guards.guard_set import Guard
    from tracer.guards.source import Source
    from tracer.interpret.location import Location
    from tracer.values.context import Context
    from tracer.values.item import Item
    from tracer.values.recipes import Recipe
    from tracer.values.shapes import Shapes

Output = TensorValue | WrapperTensor | RaggedSize | NumberSymbol | ReadNumber
"""What a graph may return."""

PLAIN = frozenset({type(None), bool, str, bytes, type(Ellipsis)})
"""Constants whose repr is an expression for them."""

TEXTS = frozenset({str, bytes})
NUMBERS = frozenset({int, float, complex})
SMALL_INTS = range(-5, 257)
"""CPython has one object for each of these."""

CONTAINERS = frozenset({tuple, slice, torch.Size})
"""Types of raw objects that hold items, so that a program makes each of them again, once."""

_UNFINISHED = Fragment("")
"""Stands for a value that is being built and has no name yet."""

_NOT_IN_NAMES = re.compile(r"\W+")
_NAME = re.compile(r"\w*", re.ASCII)


def _has_identity(obj: object) -> bool:
    """Whether a text or number may be another object than an equal one."""
    return type(obj) in TEXTS or (type(obj) in NUMBERS and (type(obj) is not int or obj not in SMALL_INTS))


def _is_interned(text: object) -> bool:
    """Whether the compiler gives this very object for an equal literal: for what looks like a name, or is one byte."""
    if type(text) is not str:
        return len(text) < 2 if type(text) is bytes else False
    return len(text) < 2 or (_NAME.fullmatch(text) is not None and sys.intern(text) is text)


def _is_of_call(source: Source) -> bool:
    """Whether a path starts at an argument, or leads through a variable of the closure."""
    while source.base is not None:
        if source.accessor == "contents":
            return True
        source = source.base
    return source.accessor == "argument"


class ProgramEmitter:
    """Writes one program. What its methods do for values is said at tracer.values.rebuilding.Emitter.

    `parameters`: access path to name, in order. `constants`: name to object. `outputs`: tensors that the graph returns.
    `origin` is the user's line that the next statements stand for. `built` holds the expression of every value that has
    one, `passed` the code objects whose frames the exceptions that the program makes have passed through.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.recipes = context.recipes
        self.statements: list[Statement] = []
        self.origin: Location | None = None
        self.parameters: dict[Source, Fragment] = {}
        self.constants: dict[str, Any] = {}
        self.outputs: list[Output] = []
        self.names: set[str] = set()
        self.built: dict[int, Fragment] = {}
        self.passed: set[types.CodeType] = set()
        self.shapes: Shapes | None = None
        self.guards: Iterable[Guard] = ()
        self._constant_names: dict[int, Fragment] = {}
        self._arguments: dict[int, Source] = {}
        """Where texts and numbers among the arguments of the frame are, by identity."""
        self._literals: dict[str, object] = {}
        """The first object with each text, or number, that the program has."""
        self.numbers: list[tuple[Fragment, Fragment]] = []
        """Names of numbers that the program computes before its graph, with their expressions, in order."""
        self._open_classes: list[BornClass] = []
        self._after_classes: list[Callable[[], None]] = []
        self._waiting: list[Callable[[], None] | None] = []
        """Functions that fill the containers that contain themselves; not empty while something is built."""
        self._filled: set[int] = set()
        self._containers: list[Item] = []
        """The raw objects in `built`, which live as long as their numbers are used."""

    # Names ---------------------------------------------------------------------------------------

    def fresh(self, wish: str) -> Fragment:
        """A name that the program does not use yet, as close to the wished one as can be."""
        stem = _NOT_IN_NAMES.sub("_", wish).strip("_") or "value"
        if stem[0].isdigit() or keyword.iskeyword(stem):
            stem = f"value_{stem}"
        name, count = stem, 1
        while name in self.names:
            count += 1
            name = f"{stem}_{count}"
        self.names.add(name)
        return Fragment(name, (name,))

    def parameter(self, source: Source, wish: str = "") -> Fragment:
        """The parameter of the program that is given the object at a source; a name like `wish` or like its path."""
        name = self.parameters.get(source)
        if name is None:
            name = self.parameters[source] = self.fresh(wish or source.text)
        return name

    def constant(self, obj: Any, wish: str = "") -> Fragment:
        """A literal, or the name of a constant that the program is given."""
        kind = type(obj)
        if id(obj) in self._arguments:
            return self.parameter(self._arguments[id(obj)])
        is_plain = kind in PLAIN or (kind is float and math.isfinite(obj)) or (kind is int and is_written_out(obj))
        # A literal is one object wherever it is written: an equal text or number that is another object is held.
        if is_plain and (not _has_identity(obj) or self._literals.setdefault(repr(obj), obj) is obj):
            return Fragment(repr(obj))
        if kind is frozenset:
            itself = next((source for source, real in self.context.set_orders.origins(obj) if real is obj), None)
            if itself is not None:
                return self.parameter(itself)
            self.list_members(obj)
        name = self._constant_names.get(id(obj))
        if name is None and has_weak_identity(obj) and id(obj) in self._known_by_identity:
            return self.parameter(self._known_by_identity[id(obj)])
        if name is None and self.context.born and isinstance(obj, type) and obj in self.context.born:
            return self._born_class(self.context.born[obj])
        if name is None and id(obj) in self.recipes:
            name = self._constant_names[id(obj)] = self._made_again(self.recipes[id(obj)])
        if name is None:
            name = self.fresh(wish or getattr(obj, "__name__", None) or f"{type(obj).__name__}_constant")
            self._constant_names[id(obj)] = name
            self.constants[name.text] = obj
        return name

    def list_members(self, members: Any) -> None:
        """Note that the program lists the members of a set, or of one that is made of it."""
        note_order(self.context, members)

    def keep_identities(self, arguments: Iterable[Lazy], constants: Iterable[object]) -> None:
        """Have texts and numbers stay the objects that they are: `arguments`, and `constants` of the code, which what
        follows a break reads again.
        """
        for argument in arguments:
            is_guarded = argument.known is argument.object
            if argument.source is not None and is_guarded and _has_identity(argument.object):
                self._arguments[id(argument.object)] = argument.source
        for constant in constants:
            if _has_identity(constant):
                self._literals[repr(constant)] = constant if _is_interned(constant) else None

    @functools.cached_property
    def _known_by_identity(self) -> dict[int, Source]:
        """The paths of functions, classes and the like that come with the call: a constant would keep them alive."""
        rows = (row for row in self.guards if row.check == "same object")
        return {id(row.expected()): row.source for row in rows if row.source is not None and _is_of_call(row.source)}

    def _born_class(self, born: BornClass) -> Fragment:
        """A class that the program has made, made once in a run. Functions that refer to it get it when it exists."""
        if born in self._open_classes:
            raise Unrebuildable(f"the class {born.stand_in.__name__}, which holds itself", self.context.step)
        self._open_classes.append(born)
        name = self._constant_names[id(born.stand_in)] = build_class(self, born)
        self._open_classes.pop()
        while self._after_classes and not self._open_classes:
            self._after_classes.pop(0)()
        finish_class(self, born, name)
        return name

    def after_classes(self, fill: Callable[[], None]) -> None:
        """Run `fill` when no class is being made."""
        if self._open_classes:
            self._after_classes.append(fill)
        else:
            fill()

    def _made_again(self, recipe: Recipe) -> Fragment:
        """The object of a recipe."""
        if recipe.source is not None:
            return self.parameter(recipe.source)
        args = list(map(self.constant, recipe.args))
        named = [fragment(f"{name}={{}}", self.constant(arg)) for name, arg in recipe.kwargs.items()]
        call = fragment("{}({})", self.constant(recipe.function), listed([*args, *named]))
        return self.assign(type(recipe.object).__name__, call)

    def output(self, value: Output) -> Fragment:
        """The name of a tensor or number that the graph returns, which it is made to return."""
        name = self.built.get(id(value))
        if name is None or name is _UNFINISHED:
            assert value.node is not None
            name = self.built[id(value)] = self.fresh(value.node.name)
            self.outputs.append(value)
        return name

    def drawn(self, draw: Draw) -> Fragment:
        """The name of what the program draws, which output/draws.py has it draw."""
        name = self.built.get(id(draw))
        if name is None:
            name = self.built[id(draw)] = self.fresh(draw.name.rpartition(".")[2])
        return name

    def computed(self, number: NumberSymbol) -> Fragment:
        """The name of a number that the program computes, before its graph unless that is what knows it."""
        name = self.built.get(id(number))
        if name is None:
            assert number.function is not None
            operands = [self.expression(operand) for operand in number.operands]
            template = EXPRESSIONS.get(number.function)
            if template is None:
                value = fragment("{}({})", self.constant(number.function), listed(operands))
            else:
                value = fragment(template, *operands)
            if number.value is None:
                name = self.built[id(number)] = self.assign(number.function.__name__, value)
            else:
                name = self.built[id(number)] = self.fresh(number.function.__name__)
                self.numbers.append((name, value))
        return name

    # Statements ----------------------------------------------------------------------------------

    def assign(self, wish: str, value: Fragment) -> Fragment:
        """Write the assignment of a value to a fresh name, and give the name."""
        name = self.fresh(wish)
        self.statements.append(Statement(f"{name.text} = {value.text}", value.reads, name.reads))
        return name

    def assign_to(self, name: Fragment, value: Fragment) -> None:
        """Write the assignment of a value to a name."""
        self.statements.append(Statement(f"{name.text} = {value.text}", value.reads, name.reads, origin=self.origin))

    def once(self, wish: str, value: Fragment) -> Fragment:
        """A value that is made once, in a variable with a name like `wish` if it is mentioned more often."""
        marked = mark(wish, len(self.statements))
        self.statements.append(Statement(f"{marked.text} = {value.text}", value.reads, marked.reads))
        return marked

    def settled(self, statements: Sequence[Statement]) -> list[Statement]:
        """Statements without the marks of what is made once."""
        return without_marks(statements, lambda wish: self.fresh(wish).text)

    def say(self, statement: Fragment, comment: str = "", origin: Location | None = None) -> None:
        """Write a statement, with a comment and the user's line that it stands for if they are not as before."""
        self.statements.append(Statement(statement.text, statement.reads, (), comment, origin or self.origin))

    # Values --------------------------------------------------------------------------------------

    def expression(self, item: Item) -> Fragment:
        """The expression for an item; what must be built once is built before, and named."""
        kind = kind_of(item)
        if type(item) in CONTAINERS and id(item) not in self.built:
            self._containers.append(item)
            self.built[id(item)] = kind.rebuild(self, item)
        elif type(item) is Lazy or not (isinstance(item, Value) or type(item) in CONTAINERS):
            return kind.rebuild(self, item)
        name = self.built.get(id(item))
        if name is not None:
            if name is _UNFINISHED:
                raise Unrebuildable(f"a {item.cls.__name__} that contains itself")
            return name
        if item.source is None:
            return self._build(kind, item)
        if self.recipes and isinstance(item, ObjectValue) and id(item.object) in self.recipes:
            return self.constant(item.object)
        return self.parameter(item.source)

    def bind(self, item: Item, name: Fragment) -> None:
        """Use a name for an item from now on."""
        self.built[id(item)] = name

    def later(self, fill: Callable[[], None]) -> None:
        """Run `fill` when the object that is being built exists, for objects that contain themselves."""
        self._waiting.append(fill)

    def first_time(self, item: Item) -> bool:
        """Whether an item is asked about for the first time."""
        new = id(item) not in self._filled
        self._filled.add(id(item))
        return new

    def _build(self, kind: Kind, value: Value) -> Fragment:
        """Build a value that was born in the trace."""
        outermost = not self._waiting
        self._waiting.append(None)
        self.built[id(value)] = _UNFINISHED
        built = self.built[id(value)] = kind.rebuild(self, value)
        if isinstance(value, ExceptionValue):
            self.passed.update(place[0] for place in value.traceback)
        while outermost and self._waiting:
            fill = self._waiting.pop()
            if fill is not None:
                fill()
        return built

    def symbol(self, size: Any) -> Fragment:
        """The expression for a size, in which symbols are read from tensors at the call."""
        assert self.shapes is not None
        sources, read, reads = self.shapes.sources, self.shapes.read, list[str]()

        def name_of(symbol: Any) -> str:
            if symbol not in sources and symbol not in read:
                raise NotExpressible(f"no call of the graph gives {symbol}")
            name = self.parameter(sources[symbol]) if symbol in sources else self.output(read[symbol])
            reads.extend(name.reads)
            return name.text

        return Fragment(python_text(size.node.expr, name_of), tuple(reads))
