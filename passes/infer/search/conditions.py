"""Conditions: the questions that may tell the cases of a rule apart, asked of every row of a sample.

The vocabulary is small on purpose: flags, kinds, ranks, sizes 0 and 1, dtypes and layouts, but no other sizes.
Otherwise some condition would separate any few rows by accident.
"""

from __future__ import annotations

import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from passes.infer.search.kinds import is_equation, is_key, kind_of
from passes.infer.search.sample import MISSING, CallSample, bits, computed
from passes.meta import TensorMeta
from passes.operators.outcome import Wrapped
from passes.rules.language import PRIMITIVES, READ, written

MOST_CHOICES: Final = 12  # words of one argument, each of which is asked for
MOST_OTHERS: Final = 3  # conditions that all rows answer alike, kept beside the simplest
MOST_TENSORS: Final = 4  # pairs of more are not compared
MOST_RANKS: Final = 8  # of one tensor, each of which is asked for
MOST_RANKS_OF_OUTPUTS: Final = 7
MOST_FLAGS: Final = 4  # of a list of flags
EDGES: Final = (0, 1, -1, 2)

# Questions about one tensor `t`, and what each costs: the more, the less likely it is to be the reason of a case.
ABOUT_TENSORS: Final[tuple[tuple[str, float], ...]] = (
    ("is_empty({t})", 1.0),
    ("is_contiguous({t})", 1.2),
    ("is_dense({t})", 1.5),
    ("like_channels_last({t})", 1.6),
    ("is_channels_last({t})", 1.7),
    ("repeats({t})", 1.6),
    ("is_floating({t}.dtype)", 1.2),
    ("is_complex({t}.dtype)", 1.1),
    ("is_integral({t}.dtype)", 1.1),
    ("is_small({t}.dtype)", 1.4),
    ("{t}.storage_offset == 0", 2.0),
    ("any_requires_grad({t})", 1.6),
    ("{t}.is_neg", 1.3),
    ("{t}.is_conj", 1.3),
    ("count({t}.shape) == 1", 1.6),
    ("count({t}.shape) > 1", 1.7),
)
SIZES_ASKED: Final = ("[0]", "[1]", "[-1]", "[-2]")
ABOUT_PAIRS: Final[tuple[tuple[str, float], ...]] = (
    ("{a}.shape == {b}.shape", 1.5),
    ("rank({a}.shape) == rank({b}.shape)", 1.6),
    ("rank({a}.shape) > rank({b}.shape)", 1.7),
    ("{a}.dtype == {b}.dtype", 1.6),
    ("count({a}.shape) == count({b}.shape)", 1.8),
    ("first({a}.shape, -2) == first({b}.shape, -2)", 1.9),
    ("{a}.stride == {b}.stride", 1.9),
    ("count({a}.shape) >= count({b}.shape)", 2.2),
)
ABOUT_KEYS: Final = ("is_basic", "hangs_on_values")
# Questions about the first tensor and all other operands.
ABOUT_WRITES: Final = (("outgrown", 1.5), ("unwritable", 1.6))


@dataclass(frozen=True, slots=True)
class Condition:
    """What may select the rows of a case: `holds` are the rows where it is true, `defined` those where it has a value.

    `others` are texts of conditions with the same value on all rows.
    """

    text: str
    holds: int
    defined: int
    cost: float
    others: tuple[str, ...] = ()

    def negated(self) -> Condition:
        """The opposite condition, defined on the same rows and slightly dearer."""
        others = tuple(map(_negation, self.others))
        return Condition(_negation(self.text), self.defined & ~self.holds, self.defined, self.cost + 0.1, others)


def conjunction(left: Condition, right: Condition, defined: int) -> Condition:
    """Both conditions; `defined` are the rows where both have a value."""
    text = " and ".join(f"({each.text})" if " or " in each.text else each.text for each in (left, right))
    return Condition(text, left.holds & right.holds, defined, left.cost + right.cost)


OPPOSITES: Final = (
    *((" == ", " != "), (" is None", " is not None"), (" is True", " is not True")),
    *((" > ", " <= "), (" < ", " >= "), (" >= ", " < ")),
)


def _negation(text: str) -> str:
    if " and " in text:
        return f"not ({text})"
    for sign, opposite in OPPOSITES:
        if sign in text:
            return text.replace(sign, opposite)
    plain = text.endswith((")", ".is_neg", ".is_conj")) or text.isidentifier()
    return f"not {text}" if plain else f"not ({text})"


def conditions_of(sample: CallSample, shapes: Sequence[Any] | None = None) -> list[Condition]:
    """Every condition that holds on some rows of a sample and not on others, and its negation.

    `shapes` are those of the output, where they are known. Conditions that select the same rows become one: the
    cheapest, which keeps the texts of some others.
    """
    by_rows: dict[tuple[int, int], list[tuple[float, str]]] = defaultdict(list)
    for text, cost, flags in _asked(sample, shapes):
        defined = bits(flag is not MISSING for flag in flags)
        holds = bits(flag is not MISSING and flag for flag in flags)
        if holds not in (0, defined):
            by_rows[holds, defined].append((cost, text))
    conditions: list[Condition] = []
    for (holds, defined), alike in by_rows.items():
        (cost, text), *rest = sorted(alike, key=lambda pair: pair[0])
        condition = Condition(text, holds, defined, cost, tuple(other for _, other in rest[:MOST_OTHERS]))
        conditions += [condition, condition.negated()]
    return conditions


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of one parameter, or of the output's shape, under the name that expressions use."""

    name: str
    values: Sequence[Any]
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Columns:
    """All columns of a sample by name, those that hold tensors, and the shapes of the output where they are known."""

    values: Mapping[str, Sequence[Any]]
    tensors: Sequence[str]
    sample: CallSample
    shapes: Sequence[Any] | None

    @property
    def size(self) -> int:
        return self.sample.size

    def of_kind(self, kind: str) -> Iterator[tuple[str, Sequence[Any]]]:
        return ((name, values) for name, values in self.values.items() if kind in set(map(kind_of, values)))


Asked = tuple[str, float, Sequence[Any]]  # the text of a condition, its cost, and its answer on every row


def _asked(sample: CallSample, shapes: Sequence[Any] | None) -> Iterator[Asked]:
    """Every condition that is asked: about each parameter, each tensor, then about several together.

    Where two of them split the rows alike the cheaper one stands, and of equally cheap ones the first. So a condition
    about one parameter comes before those about several, and one about arguments before those about the output.
    """
    names = dict(sample.columns())
    if shapes is not None:
        names["shape"] = shapes
    everything = dict(names)
    for name, values in names.items():
        column = _Column(name, values, frozenset(map(kind_of, values)))
        yield from _about_argument(column)
        if "Tensors" in column.kinds:
            if "i" in sample.extra:
                elements = computed(lambda tensors, i: tensors[i], (values, names["i"]), sample.size)
                everything[f"{name}[i]"] = elements
                yield from _about_tensor(f"{name}[i]", elements)
            yield from _about_list(name, values, sample.size)
        if "Dtype" in column.kinds:
            yield from _about_dtype(column, sample)
    tensors = [name for name, values in names.items() if "Tensor" in set(map(kind_of, values))]
    columns = _Columns(everything, tensors, sample, shapes)
    for about in _ABOUT_SEVERAL:
        yield from about(columns)


def _about_argument(column: _Column) -> Iterator[Asked]:
    """What the table asks of one argument; then which rank the output has, or which of the words seen was given."""
    name, values = column.name, column.values
    for question in ABOUT_ARGUMENTS:
        if question.suits(column):
            yield question.text.format(x=name), question.cost, computed(question.ask, (values,), len(values))
    if name == "shape":
        for count in sorted({len(value) for value in values if value is not MISSING})[:MOST_RANKS_OF_OUTPUTS]:
            yield f"rank(shape) == {count}", 1.3, [value is not MISSING and len(value) == count for value in values]
    if column.kinds & {"Other", "Format"} and not any(map(is_equation, values)):
        choices = Counter(value for value in values if isinstance(value, str | torch.memory_format | torch.layout))
        for choice, _ in choices.most_common(MOST_CHOICES):
            yield f"{name} == {written(choice)}", 0.7, [value == choice for value in values]


def _about_list(name: str, values: Sequence[Any], size: int) -> Iterator[Asked]:
    """A list of tensors: how many there are, its first one, and all of them."""
    yield f"rank({name}) == 1", 1.4, computed(lambda tensors: len(tensors) == 1, (values,), size)
    optional = any(None in tensors for tensors in values if isinstance(tensors, tuple))
    yield from _about_tensor(f"{name}[0]", computed(lambda tensors: tensors[0], (values,), size), optional)
    for question, cost, ask in _ABOUT_LISTS:
        yield question.format(t=name), cost, computed(ask, (values,), size)


def _about_dtype(column: _Column, sample: CallSample) -> Iterator[Asked]:
    """A dtype that is given, and whether it is that of a tensor."""
    name, values = column.name, column.values
    prefix = f"{name} is not None and " if "None" in column.kinds else ""
    for question in ("is_floating", "is_complex", "is_integral"):
        ask = PRIMITIVES[question].function
        yield f"{prefix}{question}({name})", 1.3, [isinstance(v, torch.dtype) and ask(v) for v in values]
    for dtype in sorted({value for value in values if isinstance(value, torch.dtype)}, key=str):
        yield f"{name} == {written(dtype)}", 1.5, [value is dtype for value in values]
    for other, metas in sample.columns():
        if all(isinstance(meta, TensorMeta) for meta in metas):
            flags = [meta.dtype is dtype for meta, dtype in zip(metas, values, strict=True)]
            yield f"{other}.dtype == {name}", 1.0, flags


def _about_tensor(name: str, values: Sequence[Any], optional: bool = False) -> Iterator[Asked]:
    """One tensor; where it is missing in some call, or `optional`, a condition that it is there comes first."""
    there = not optional and all(isinstance(value, TensorMeta) for value in values)
    prefix, extra = ("", 0.0) if there else (f"is_tensor({name}) and ", 0.3)
    metas = [value for value in values if isinstance(value, TensorMeta)]
    for question, cost in ABOUT_TENSORS:
        yield prefix + question.format(t=name), cost + extra, _flags(_QUESTIONS[question], values)
    for dtype in sorted({meta.dtype for meta in metas}, key=str):
        text = f"{prefix}{name}.dtype == {written(dtype)}"
        yield text, 1.7 + extra, [isinstance(value, TensorMeta) and value.dtype is dtype for value in values]
    for rank in sorted({len(meta.shape) for meta in metas})[:MOST_RANKS]:
        text = f"{prefix}rank({name}.shape) == {rank}"
        yield text, 1.1 + extra, [isinstance(v, TensorMeta) and len(v.shape) == rank for v in values]
    for place in SIZES_ASKED:
        for fact, wanted, cost in (("shape", 1, 1.8), ("shape", 0, 1.8), ("stride", 1, 2.1)):
            flags = [_is_at(value, fact, int(place[1:-1]), wanted) for value in values]
            yield f"{prefix}{name}.{fact}{place} == {wanted}", cost + extra, flags


def _is_at(value: Any, fact: str, index: int, number: int) -> Any:
    """Whether the shape or the strides of a tensor have this number at a place; MISSING if they have no such place."""
    if not isinstance(value, TensorMeta):
        return False
    numbers = getattr(value, fact)
    return numbers[index] == number if numbers is not None and -len(numbers) <= index < len(numbers) else MISSING


def _flags(ask: Any, values: Sequence[Any]) -> list[Any]:
    return [ask(value) if isinstance(value, TensorMeta) and value.stride is not None else False for value in values]


def _about_each_tensor(columns: _Columns) -> Iterator[Asked]:
    """Each tensor, and whether it is in a memory format that is given."""
    formats = list(columns.of_kind("Format"))
    for name in columns.tensors:
        values = columns.values[name]
        yield from _about_tensor(name, values)
        for other, memory_format in formats:
            flags = computed(PRIMITIVES["is_in_format"].function, (values, memory_format), columns.size)
            yield f"is_in_format({name}, {other})", 1.0, flags


def _about_equations(columns: _Columns) -> Iterator[Asked]:
    """What an equation makes of lists of tensors."""
    for name, values in columns.values.items():
        if any(map(is_equation, values)):
            for other, tensors in columns.of_kind("Tensors"):
                for question in _ABOUT_EQUATIONS:
                    flags = computed(PRIMITIVES[question].function, (values, tensors), columns.size)
                    yield f"{question}({name}, {other})", 0.5, flags


def _about_pairs(columns: _Columns) -> Iterator[Asked]:
    """Two tensors; a question that is the same both ways is asked once."""
    for left, right in itertools.permutations(columns.tensors[:MOST_TENSORS], 2):
        pair = [columns.values[name] for name in (left, right)]
        for question, cost in ABOUT_PAIRS:
            if left > right and "==" in question:
                continue
            flags = computed(_of_tensors(_PAIRS[question]), pair, columns.size)
            yield _if_there(question.format(a=left, b=right), (left, right), columns.values), cost, flags


def _of_tensors(ask: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda a, b: ask(a, b) if isinstance(a, TensorMeta) and isinstance(b, TensorMeta) else False


def _if_there(text: str, names: Sequence[str], values: Mapping[str, Sequence[Any]]) -> str:
    """A question preceded by whether its tensors are there at all, where one may be missing."""
    optional = [name for name in names if not all(isinstance(value, TensorMeta) for value in values[name])]
    return " and ".join([*(f"is_tensor({name})" for name in optional), text])


def _about_gradients(columns: _Columns) -> Iterator[Asked]:
    """Whether any of several tensors requires a gradient."""
    if len(columns.tensors) > 1:
        ask = PRIMITIVES["any_requires_grad"].function
        operands = [columns.values[name] for name in columns.tensors]
        yield f"any_requires_grad({', '.join(columns.tensors)})", 1.2, computed(ask, operands, columns.size)


def _about_writes(columns: _Columns) -> Iterator[Asked]:
    """Whether the first tensor can be written to in place with the others, as far as shapes and types tell."""
    operands = [*columns.tensors, *(name for name, values in columns.values.items() if any(map(_is_wrapped, values)))]
    names = list(dict.fromkeys(operands))
    written = [columns.values[name] for name in names]
    if columns.shapes is None and len(names) > 1 and all(isinstance(value, TensorMeta) for value in written[0]):
        for question, cost in ABOUT_WRITES:
            flags = computed(PRIMITIVES[question].function, written, columns.size)
            yield f"{question}({', '.join(names)})", cost, flags


def _is_wrapped(value: Any) -> bool:
    return isinstance(value, Wrapped)


def _about_output(columns: _Columns) -> Iterator[Asked]:
    """What the shape of the output is, beside those of the tensors given."""
    shapes, size = columns.shapes, columns.size
    if shapes is None:
        return
    yield "0 in shape", 1.0, computed(lambda shape: 0 in shape, (shapes,), size)
    for name in columns.tensors:
        values = columns.values[name]
        sizes = computed(lambda tensor: tensor.shape, (values,), size)
        yield f"shape == {name}.shape", 1.1, computed(operator.eq, (shapes, sizes), size)
        alike = computed(lambda shape, own_shape: len(shape) == len(own_shape), (shapes, sizes), size)
        yield f"rank(shape) == rank({name}.shape)", 1.2, alike
        strides = computed(lambda tensor: tensor.stride, (values,), size)
        compact = computed(PRIMITIVES["is_compact"].function, (shapes, strides), size)
        yield f"is_compact(shape, {name}.stride)", 1.4, compact


def _about_dimensions(columns: _Columns) -> Iterator[Asked]:
    """Whether a tensor has no element along dimensions that are given, and whether it lacks one of them."""
    for name, values in columns.sample.columns():
        if name.startswith("dim") and not {"Int", "Ints"}.isdisjoint(map(kind_of, values)):
            for tensor in columns.tensors:
                shapes = [getattr(value, "shape", MISSING) for value in columns.values[tensor]]
                for question in ("is_empty_along", "lacks_dims"):
                    flags = computed(PRIMITIVES[question].function, (shapes, values), columns.size)
                    yield f"{question}({tensor}.shape, {name})", 1.9, flags


def _about_views(columns: _Columns) -> Iterator[Asked]:
    """Whether tensors can be viewed in the shapes that are given, or that the output has."""
    viewable = PRIMITIVES["is_viewable"].function
    for name, values in columns.values.items():
        if name == "shape" or "Ints" in set(map(kind_of, values)):
            for tensor in columns.tensors:
                flags = computed(viewable, (columns.values[tensor], values), columns.size)
                yield f"is_viewable({tensor}, {name})", 2.4, flags


_ABOUT_SEVERAL: Final = (
    _about_each_tensor,
    _about_equations,
    _about_pairs,
    _about_gradients,
    _about_writes,
    _about_output,
    _about_dimensions,
    _about_views,
)


@dataclass(frozen=True, slots=True)
class _Question:
    """A question about one argument `x`, asked where it `suits` what was given; `ask` answers it for one value."""

    text: str
    cost: float
    suits: Callable[[_Column], bool]
    ask: Callable[[Any], Any]


def _only(kind: str, ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The question where a value is of this kind; MISSING elsewhere."""
    return lambda value: ask(value) if kind_of(value) == kind else MISSING


def _is(other: Any) -> Callable[[Any], bool]:
    return lambda value: value == other


def _has_number(column: _Column) -> bool:
    return bool(column.kinds & {"Number", "Int", "Bool"}) and column.name != "shape"


def _has_plain_number(column: _Column) -> bool:
    """Numbers that are not all flags, none of them in the place of a tensor."""
    wrapped = any(isinstance(value, Wrapped) for value in column.values)
    return _has_number(column) and column.kinds != frozenset(("Bool",)) and not wrapped


def _has_int(column: _Column) -> bool:
    return "Int" in column.kinds


def _has_ints(column: _Column) -> bool:
    return "Ints" in column.kinds and column.name != "shape"


def _has_flags(column: _Column) -> bool:
    """Lists with False among the first parts: which outputs are wanted, say."""
    first = (value[:MOST_FLAGS] for value in column.values if isinstance(value, tuple))
    return _has_ints(column) and any(part is False for parts in first for part in parts)


def _has_key(column: _Column) -> bool:
    return any(map(is_key, column.values))


ABOUT_ARGUMENTS: Final[tuple[_Question, ...]] = (
    _Question("{x} is None", 0.5, lambda c: "None" in c.kinds and len(c.kinds) > 1, lambda value: value is None),
    _Question(
        "is_tensor({x})",
        0.6,
        lambda c: "Tensor" in c.kinds and bool(c.kinds - {"Tensor", "None"}),
        lambda value: isinstance(value, TensorMeta),
    ),
    _Question("{x}", 0.4, lambda c: c.kinds == frozenset(("Bool",)), lambda value: value),
    _Question("{x} is True", 0.8, lambda c: "Bool" in c.kinds and len(c.kinds) > 1, lambda value: value is True),
    _Question(
        "is_sequence({x})",
        0.7,
        lambda c: bool(c.kinds & {"Ints", "Tensors"} and c.kinds - {"Ints", "Tensors", "None"}),
        PRIMITIVES["is_sequence"].function,
    ),
    *(_Question(f"{{x}} == {edge}", 0.95, _has_plain_number, _is(edge)) for edge in (0, 1)),
    *(
        _Question(f"{name}({{x}})", 0.9, _has_number, PRIMITIVES[name].function)
        for name in ("is_integer", "is_float", "is_complex_number")
    ),
    *(_Question(f"{{x}} == {edge}", 0.9, _has_int, _only("Int", _is(edge))) for edge in EDGES),
    _Question("{x} % 2 == 0", 1.5, _has_int, _only("Int", lambda value: value % 2 == 0)),
    _Question("{x} < 0", 1.0, _has_int, _only("Int", lambda value: value < 0)),
    _Question("{x} == ()", 0.7, _has_ints, _is(())),
    *(
        _Question(f"rank({{x}}) == {n}", 1.2, _has_ints, _only("Ints", lambda value, n=n: len(value) == n))
        for n in (1, 2, 3)
    ),
    *(
        _Question(f"{name}({{x}})", 1.3, _has_ints, _only("Ints", PRIMITIVES[name].function))
        for name in ("any_positive", "any_negative")
    ),
    *(_Question(f"{{x}}[{n}]", 0.9, _has_flags, lambda value, n=n: value[n]) for n in range(MOST_FLAGS)),
    *(
        _Question(f"{name}({{x}})", 0.8, _has_key, PRIMITIVES[name].function)
        for name in ("is_basic", "hangs_on_values")
    ),
)


def _compiled(question: str, names: str) -> Any:
    text = question.format(t="t", a="a", b="b")
    namespace = {name: each.function for name, each in PRIMITIVES.items()} | {"bool": torch.bool}
    return eval(f"lambda {names}: {text}", namespace)  # of the tables above


_QUESTIONS: Final = {question: _compiled(question, "t") for question, _ in ABOUT_TENSORS}
_PAIRS: Final = {question: _compiled(question, "a, b") for question, _ in ABOUT_PAIRS}
_ABOUT_EQUATIONS: Final = tuple(
    name for name, each in PRIMITIVES.items() if each.takes == (READ, "Tensors") and each.gives == "Bool"
)
_ABOUT_LISTS: Final = (
    ("any_requires_grad({t})", 1.5, PRIMITIVES["any_requires_grad"].function),
    ("alike({t})", 1.5, PRIMITIVES["alike"].function),
    ("any_mask({t})", 1.2, PRIMITIVES["any_mask"].function),
)
