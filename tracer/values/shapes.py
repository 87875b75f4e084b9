"""Symbolic sizes: which dimensions and ints have been seen to change, and the symbols that stand for them.

The algebra is torch's ShapeEnv; what it had to assume comes out as guards. torch's symbolic modules
are imported when the first symbol is made, since they bring sympy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from passes.importing import import_apart
from passes.meta import TensorMeta
from passes.operators.trial import is_about_data
from tracer.guards.checks import Expression, equal_constants
from tracer.guards.source import Source
from tracer.pauses import no_forks
from tracer.reasons import DATA_DEPENDENT_JUMP, DATA_TO_PYTHON, NeedsNumber, Reason
from tracer.values.number_symbols import FROM_DATA, BoolSymbol, FloatSymbol, IntSymbol

if TYPE_CHECKING:
    import sympy


ATTRIBUTE_CHANGES = 2
"""Times that an int attribute must have changed before it is a symbol: most are settings, a few are counters."""


FEW = 32
"""Symbols that a trace makes for ints whatever becomes of them."""

SYMBOLIC_MODULES = ("torch.fx.experimental.symbolic_shapes", "torch._dynamo")
"""torch's modules of symbolic sizes, and what they import when the first symbol is made."""

AddGuard = Callable[[Source | None, str, object], None]
"""`Trace.guard`: takes a source, a check, and what the check expects."""


class History:
    """What earlier captures of one code object saw at each place: an access path, by its text, or one from an object.

    What a capture sees itself counts from the next one on: it traces more than once, and each time alike.
    """

    def __init__(self) -> None:
        self._shapes: dict[Any, tuple[tuple[int, ...], frozenset[int]]] = {}
        self._numbers: dict[Any, tuple[int | float, int]] = {}
        self._new_shapes: dict[Any, tuple[tuple[int, ...], frozenset[int]]] = {}
        self._new_numbers: dict[Any, tuple[int | float, int]] = {}

    def begin_capture(self) -> None:
        """What the capture before saw last is what is compared with from now on."""
        self._shapes.update(self._new_shapes)
        self._numbers.update(self._new_numbers)
        self.begin_trace()

    def begin_trace(self) -> None:
        """Another trace of this capture begins."""
        self._new_shapes.clear()
        self._new_numbers.clear()

    def changed_dimensions(self, place: Any, shape: tuple[int, ...]) -> frozenset[int]:
        """The dimensions of the tensor at `place` that are known to vary, after having seen `shape`."""
        before, changed = self._shapes.get(place, (shape, frozenset()))
        if len(before) != len(shape):
            changed = frozenset()
        else:
            changed = changed.union(d for d, size in enumerate(shape) if size != before[d])
        self._new_shapes[place] = shape, changed
        return changed

    def changes(self, place: Any, value: float) -> int:
        """How often the int or float at `place` has changed, after having seen `value`."""
        key = place, type(value)
        before, count = self._numbers.get(key, (value, 0))
        if not equal_constants(before, value):
            count += 1
        self._new_numbers[key] = value, count
        return count


def place_of(source: Source) -> Any:
    """The place in a history that a source leads to: different objects may have the same text."""
    root = source.root
    return (source.text, id(root.key())) if root.accessor == "object" else source.text


class Shapes:
    """The symbols of one trace. `dynamic` is the user's choice: None follows the history.

    `dimensions` are those that are to vary, by the id of a tensor from outside, besides those that it is marked with.
    With `data`, symbols may stand for what is read from tensors, too, and with `draws` for what each run draws. `read`
    has what stands for each number that is read: a call of the graph. `asserted` are the conditions on them that the
    graph asserts. `reads_data` says that a symbol stands for data. `limited` are numbers that operators were given.
    """

    def __init__(
        self,
        history: History,
        dynamic: bool | None,
        data: bool = False,
        dimensions: Mapping[int, Iterable[int]] = MappingProxyType({}),
        draws: bool = True,
    ) -> None:
        self.history = history
        if dynamic is not False:
            history.begin_trace()
        self.dimensions = dimensions
        self.dynamic = dynamic
        self.data = data
        self.draws = draws
        self.reads_data = False
        self.read: dict[Any, ReadNumber] = {}
        self.asserted: set[Any] = set()
        self.limited: dict[Any, None] = {}
        self.environment: Any = None
        self.sources: dict[Any, Source] = {}
        self.nodes: dict[Any, torch.fx.Node] = {}
        self.floats: dict[Source, FloatSymbol] = {}

    def integer(self, guard: AddGuard, value: int, source: Source) -> torch.SymInt | None:
        """A symbol for an int from outside when it is known to vary, else None."""
        if self.dynamic is False:
            return None
        attribute = _is_attribute(source)
        changes = self.history.changes(place_of(source), value)
        if changes < (ATTRIBUTE_CHANGES if attribute else 1) and not (self.dynamic and not attribute):
            return None
        if abs(value) >= 1 << 62 or self._fixes_most():
            return None
        guard(source, "type", int)
        return self.symbol(value, source, size=False)

    def _fixes_most(self) -> bool:
        """Whether the program has asked for the numbers themselves of most symbols, as one does that compares the items
        of a list with each other: more symbols would take time, and be as many guards on numbers in the end.
        """
        if len(self.sources) < FEW:
            return False
        numbers = self.environment.replacements
        fixed = sum(symbol in numbers and numbers[symbol].is_Integer for symbol in self.sources)
        return 2 * fixed > len(self.sources)

    def floating(self, guard: AddGuard, value: float, source: Source) -> FloatSymbol | None:
        """A symbol for a float from outside when it is known to vary, else None."""
        if self.dynamic is False:
            return None
        symbol = self.floats.get(source)
        if symbol is None:
            needed = ATTRIBUTE_CHANGES if _is_attribute(source) else 1
            if self.history.changes(place_of(source), value) < needed:
                return None
            guard(source, "type", float)
            symbol = self.floats[source] = FloatSymbol(value, source, guard)
        return symbol

    def is_fixed(self, value: float, source: Source) -> bool:
        """Whether an int or float from outside is surely no symbol."""
        if self.dynamic is False:
            return True
        always = self.dynamic and type(value) is int and not _is_attribute(source)
        return not always and not self.history.changes(place_of(source), value)

    def has_fixed_sizes(self, source: Source, real: torch.Tensor) -> bool:
        """Whether no size of a tensor from outside is a symbol, whatever earlier captures have seen."""
        return self.dynamic is False or isinstance(real, torch.nn.Parameter) or _is_buffer(source)

    def symbolise(
        self, guard: AddGuard, source: Source, real: torch.Tensor, meta: TensorMeta
    ) -> tuple[TensorMeta, tuple[int, ...]]:
        """An input's meta with symbols for the dimensions that vary, and those dimensions: its guard omits them."""
        if self.has_fixed_sizes(source, real):
            return meta, ()
        changed = self.history.changed_dimensions(place_of(source), tuple(real.shape))
        dimensions = set(range(real.dim())) if self.dynamic else changed.union(self.dimensions.get(id(real), ()))
        dimensions = _marked(real, dimensions)
        varying = tuple(d for d in sorted(dimensions) if real.shape[d] > 1)
        if not varying:
            return meta, ()
        shape = [
            self.symbol(size, source.child("size", d), size=True) if d in varying else size
            for d, size in enumerate(real.shape)
        ]
        stride = self._strides(guard, meta, shape, source)
        return meta.replace(shape=tuple(shape), stride=stride), varying

    def _strides(self, guard: AddGuard, meta: TensorMeta, shape: list[Any], source: Source) -> tuple[Any, ...]:
        """Strides that are the product of the sizes inside them are symbolic too; each is guarded to be so."""
        assert meta.stride is not None
        strides: list[Any] = list(meta.stride)
        expected: Any = 1
        expected_hint = 1
        for d in sorted(range(len(strides)), key=lambda d: (meta.stride[d], meta.shape[d]) if meta.stride else 0):
            if strides[d] == expected_hint and isinstance(expected, torch.SymInt):
                strides[d] = expected
                stride_symbol = source.child("stride", d)
                self._guard(guard, expected.node.expr, stride_symbol)
            if meta.stride[d] == expected_hint:
                expected = expected * shape[d]
                expected_hint = expected_hint * meta.shape[d]
        return tuple(strides)

    @property
    def computes_with_data(self) -> bool:
        """Whether the algebra knows symbols for data: calls with those may have errors of their own."""
        return self.reads_data and self.environment is not None

    def opened(self) -> Any:
        """The ShapeEnv, made when it is first needed."""
        if self.environment is None:
            self.environment = shape_environment()
        return self.environment

    def bind(self, symbol: Any, node: torch.fx.Node) -> None:
        """Note the call of the graph that gives the number which a new symbol of the algebra stands for."""
        self.nodes[symbol] = node
        self.read[symbol] = ReadNumber(node)

    def assumptions(self) -> list[Any]:
        """Conditions on data that the algebra, or the program, took to hold, and that the graph does not assert yet."""
        if not self.read:
            return []
        rows = self.environment.deferred_runtime_asserts.values()
        conditions = dict.fromkeys(assertion.expr for row in rows for assertion in row)
        bound = self.nodes.keys() | self.sources.keys()  # others are of trials whose results are not used
        return [
            condition for condition in conditions if condition not in self.asserted and condition.free_symbols <= bound
        ]

    def symbol(self, value: int, source: Source, size: bool) -> Any:
        """A new symbol for the int at an access path, which is `value` now; `size` says that it is a tensor's."""
        self.opened()
        torch_symbols = _symbolic_shapes()
        name = object.__new__(_named_source())
        object.__setattr__(name, "text", source.text)
        make = self.environment.create_symbol if size else self.environment.create_unspecified_symbol
        with no_forks:  # torch logs the symbol
            symbol = make(value, name, dynamic_dim=torch_symbols.DimDynamic.DYNAMIC)
        self.sources[symbol] = source
        return self.environment.create_symintnode(symbol, hint=value, source=name)

    # Guards --------------------------------------------------------------------------------------

    def finish(self, guard: AddGuard) -> None:
        """Add what the algebra assumed as guards. Raises NotExpressible."""
        if self.environment is None:
            return
        import sympy

        for symbol, source in self.sources.items():
            if source.accessor == "size":
                self._guard(guard, sympy.Ge(symbol, 2, evaluate=False))
        for assumption in self.environment.guards:
            self._guard(guard, assumption.expr)
        for number in self.limited:
            self._guard_fits(guard, number)

    def _guard_fits(self, guard: AddGuard, number: sympy.Basic) -> None:
        """Guard that a number which operators were given has 64 bits: they refuse others. A size of a tensor has.

        Of a power with a varying exponent only what it is computed from is guarded.
        """
        symbols = number.free_symbols
        if any(symbol not in self.sources for symbol in symbols):
            return
        if all(self.sources[symbol].accessor == "size" for symbol in symbols):
            return
        places: list[Source] = []
        try:
            program = postfix(number, self.sources, places)
        except NotExpressible:
            for symbol in sorted(symbols, key=str):
                self._guard_fits(guard, symbol)
            return
        text = python_text(number, lambda symbol: self.sources[symbol].text)
        # The guard program computes with 64 bits, and a condition that overflows does not hold.
        guard(None, "expression", Expression(tuple(places), (*program, *program, ("==", 0)), f"{text} has 64 bits"))

    def _guard(self, guard: AddGuard, expression: sympy.Basic, equals: Source | None = None) -> None:
        """Guard that `expression` is true, or that it equals what is at `equals`."""
        places: list[Source] = []
        program = postfix(expression, self.sources, places)
        text = python_text(expression, lambda symbol: self.sources[symbol].text)
        text = text[1:-1] if text.startswith("(") else text
        if equals is not None:
            places.append(equals)
            program = [*program, ("load", len(places) - 1), ("==", 0)]
            text = f"{equals.text} == {text}"
        guard(None, "expression", Expression(tuple(places), tuple(program), text))

    def forget_erased(self) -> None:
        """Calls were removed from the graph: make those of them that compute sizes again when asked."""
        self.nodes = {
            expression: node for expression, node in self.nodes.items() if not getattr(node, "_erased", False)
        }

    def symint(self, expression: Any) -> Any:
        """A symbolic size for an expression of the algebra."""
        return self.environment.create_symintnode(expression, hint=None)


class ReadNumber:
    """A number that a call of the graph gives, for a residual program to have the graph return it."""

    __slots__ = ("node",)

    def __init__(self, node: torch.fx.Node) -> None:
        self.node = node


class NotExpressible(Exception):
    """What the algebra assumed cannot be checked by the native guard program: capture without symbols."""


def as_python(item: Any) -> Any:
    """A raw object, a symbol as the number it stands for now: the trace depends on that from here on."""
    number = NUMBERS_OF_SYMBOLS.get(type(item))
    return item if number is None else number(item)


def anew(fact: Any) -> Any:
    """What torch says of a tensor: its numbers are other objects each time that it is asked, but for small ones."""
    kind = type(fact)
    if kind is int:
        return fact + 0
    if kind is torch.SymInt:
        return torch.SymInt(fact.node)
    return kind([anew(part) for part in fact]) if kind is torch.Size or kind is tuple else fact


def decided(condition: Any) -> bool:
    """Whether a condition on symbols holds now, which is guarded; breaks if that hangs on the data of a tensor."""
    return _guarded(bool, condition, DATA_DEPENDENT_JUMP)


def _guarded(read: Callable[[Any], Any], symbol: Any, reason: Reason) -> Any:
    try:
        return read(symbol)
    except RuntimeError as error:
        if is_about_data(error):
            raise NeedsNumber(reason, FROM_DATA) from None
        raise


def _reader(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda symbol: _guarded(read, symbol, DATA_TO_PYTHON)


NUMBERS_OF_SYMBOLS: dict[type, Callable[[Any], Any]] = {
    torch.SymInt: _reader(int),
    torch.SymFloat: _reader(lambda symbol: symbol.node.guard_float("", 0)),
    torch.SymBool: _reader(bool),
    FloatSymbol: FloatSymbol.number,
    IntSymbol: IntSymbol.number,
    BoolSymbol: BoolSymbol.number,
}
"""Type of a symbol to what reads its number, and has the algebra note a guard."""


def holds_symbols(item: Any) -> bool:
    """Whether a raw object is a tuple that holds symbols, however nested."""
    return isinstance(item, tuple) and any(type(part) in NUMBERS_OF_SYMBOLS or holds_symbols(part) for part in item)


def hint_of(size: Any) -> int:
    """The number that a size stands for now, without depending on it; 0 if that hangs on the data of a tensor."""
    if not isinstance(size, torch.SymInt):
        return size
    return size.node.hint if size.node.has_hint() else 0


def _marked(real: torch.Tensor, dimensions: Set[int]) -> Set[int]:
    """`dimensions` as the marks of torch._dynamo.mark_dynamic, mark_unbacked and mark_static on a tensor say."""
    marks = real.__dict__
    if not marks:
        return dimensions
    varying = set(dimensions).union(*(marks.get(name, ()) for name in VARYING_MARKS))
    return varying.difference(*(marks.get(name, ()) for name in STATIC_MARKS))


VARYING_MARKS = (
    "_dynamo_dynamic_indices",
    "_dynamo_weak_dynamic_indices",
    "_dynamo_unbacked_indices",
    "_dynamo_strict_unbacked_indices",
)
STATIC_MARKS = ("_dynamo_static_indices",)
"""Attributes by which torch marks dimensions of a tensor."""


def _is_attribute(source: Source) -> bool:
    base = source.base
    return source.accessor == "getattr" or (base is not None and base.accessor in ("dict", "class attribute"))


def _is_buffer(source: Source) -> bool:
    base = source.base
    return base is not None and base.accessor == "item" and base.key == "_buffers"


def shape_environment() -> Any:
    """A new ShapeEnv of torch."""
    with no_forks:
        torch_symbols = _symbolic_shapes()
    return torch_symbols.ShapeEnv()


def _symbolic_shapes() -> Any:
    """torch's module of symbolic sizes, imported when it is first needed."""
    import_apart(*SYMBOLIC_MODULES)
    return import_module(SYMBOLIC_MODULES[0])


def _named_source() -> Any:
    global _source_class
    if _source_class is None:
        from torch._guards import Source as TorchSource

        class NamedSource(TorchSource):
            """An access path of ours, as ShapeEnv wants to see one: by name only."""

            text: str

            @property
            def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
                return self.text

            def __hash__(self) -> int:
                return hash(self.text)

            def __eq__(self, other: object) -> bool:
                return isinstance(other, NamedSource) and other.text == self.text

        _source_class = NamedSource
    return _source_class


_source_class: Any = None


# Expressions -----------------------------------------------------------------------------------------

POSTFIX = {
    "Add": "+",
    "Mul": "*",
    "FloorDiv": "//",
    "CleanDiv": "//",
    "Mod": "%",
    "PythonMod": "%",
    "Min": "min",
    "Max": "max",
    "Equality": "==",
    "Unequality": "!=",
    "StrictLessThan": "<",
    "LessThan": "<=",
    "StrictGreaterThan": ">",
    "GreaterThan": ">=",
    "And": "and",
    "Or": "or",
}
"""sympy's (and torch's) node classes to operations of the guard program."""


def postfix(expression: Any, sources: dict[Any, Source], places: list[Source]) -> list[tuple[str, int]]:
    """An expression as a postfix program; `places` grows by the sources it loads. Raises NotExpressible."""
    kind = type(expression).__name__
    if expression in sources:
        source = sources[expression]
        if source not in places:
            places.append(source)
        return [("load", places.index(source))]
    if expression.is_Integer and abs(int(expression)) < 1 << 63:
        return [("constant", int(expression))]
    if kind in ("BooleanTrue", "BooleanFalse"):
        return [("constant", int(kind == "BooleanTrue"))]
    if kind == "Not":
        return [*postfix(expression.args[0], sources, places), ("not", 0)]
    if kind in ("Pow", "PowByNatural"):
        base, exponent = expression.args
        if not exponent.is_Integer or not 1 <= int(exponent) <= 8:
            raise NotExpressible(str(expression))
        part = postfix(base, sources, places)
        return part + [*part, ("*", 0)] * (int(exponent) - 1)
    name = POSTFIX.get(kind)
    if name is None:
        raise NotExpressible(str(expression))
    program = postfix(expression.args[0], sources, places)
    for part in expression.args[1:]:
        program = [*program, *postfix(part, sources, places), (name, 0)]
    return program


def python_text(expression: Any, name_of: Any) -> str:
    """An expression as Python source, symbols named by `name_of`. Raises NotExpressible."""
    kind = type(expression).__name__
    if expression.is_Symbol:
        return name_of(expression)
    if expression.is_Integer:
        return str(int(expression))
    if kind in ("BooleanTrue", "BooleanFalse"):
        return str(kind == "BooleanTrue")
    parts = [python_text(part, name_of) for part in expression.args]
    if kind in ("Min", "Max"):
        return f"{kind.lower()}({', '.join(parts)})"
    if kind == "Not":
        return f"(not {parts[0]})"
    sign = "**" if kind in ("Pow", "PowByNatural") else POSTFIX.get(kind)
    if sign is None:
        raise NotExpressible(str(expression))
    return f"({f' {sign} '.join(parts)})"
