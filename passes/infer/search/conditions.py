"""Guards: the questions that may tell the cases of a rule apart, asked of every row of a sample.

The vocabulary is small on purpose: flags, kinds, ranks, sizes 0 and 1, types and layouts, but no other sizes, so
that what separates a few rows by accident is not at hand.
"""

from __future__ import annotations

import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from passes.infer.search.kinds import is_equation, is_key, kind_of
from passes.infer.search.sample import MISSING, CallSample, bits, computed
from passes.meta import TensorMeta
from passes.operators.outcome import Wrapped
from passes.rules.language import PRIMITIVES, READ, written

MOST_CHOICES: Final = 12
MOST_OTHERS: Final = 3
MOST_TENSORS: Final = 4  # pairs of more are not compared
EDGES: Final = (0, 1, -1, 2)

# Questions about one tensor `t`, and what each costs.
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
    ("first({a}.shape, -2) == first({b}.shape, -2)", 1.9),
    ("{a}.stride == {b}.stride", 1.9),
    ("count({a}.shape) >= count({b}.shape)", 2.2),
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: `holds` are the rows where it is true, `defined` those where it can be asked.

    `others` are texts of conditions that all rows answer alike.
    """

    text: str
    holds: int
    defined: int
    cost: float
    others: tuple[str, ...] = ()

    def negated(self) -> Condition:
        others = tuple(map(_negation, self.others))
        return Condition(_negation(self.text), self.defined & ~self.holds, self.defined, self.cost + 0.1, others)


def conjunction(left: Condition, right: Condition, defined: int) -> Condition:
    """Both, asked of rows where both are defined."""
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
    """Every guard that some rows answer otherwise than others, and its negation.

    `shapes` are those of the output, where they are known already.
    """
    found: dict[tuple[int, int], list[tuple[float, str]]] = defaultdict(list)
    for text, cost, flags in _asked(sample, shapes):
        defined = bits(flag is not MISSING for flag in flags)
        holds = bits(flag is not MISSING and flag for flag in flags)
        if holds not in (0, defined):
            found[holds, defined].append((cost, text))
    conditions: list[Condition] = []
    for (holds, defined), alike in found.items():
        (cost, text), *rest = sorted(alike, key=lambda pair: pair[0])
        condition = Condition(text, holds, defined, cost, tuple(other for _, other in rest[:MOST_OTHERS]))
        conditions += [condition, condition.negated()]
    return conditions


def _asked(sample: CallSample, shapes: Sequence[Any] | None) -> Iterator[tuple[str, float, list[Any]]]:
    names = dict(sample.columns())
    if shapes is not None:
        names["shape"] = shapes
    tensors: list[str] = []
    for name, values in names.items():
        kinds = {kind_of(value) for value in values}
        yield from _about_kinds(name, values, kinds)
        if "Tensor" in kinds:
            tensors.append(name)
        if "Tensors" in kinds:
            if "i" in sample.extra:
                element = computed(lambda tensors, i: tensors[i], (values, names["i"]), sample.size)
                names_element = f"{name}[i]"
                sample_names = {**names, names_element: element}
                yield from _about_tensor(names_element, element, sample.size)
                names = sample_names
            yield f"rank({name}) == 1", 1.4, computed(lambda v: len(v) == 1, (values,), sample.size)
            first = computed(lambda v: v[0], (values,), sample.size)
            yield from _about_tensor(f"{name}[0]", first, sample.size)
            for question, cost, test in _ABOUT_LISTS:
                yield question.format(t=name), cost, computed(test, (values,), sample.size)
        if "Dtype" in kinds:
            yield from _about_dtype(name, values, kinds)
            for other, column in sample.columns():
                if all(isinstance(value, TensorMeta) for value in column):
                    flags = [value.dtype is dtype for value, dtype in zip(column, values, strict=True)]
                    yield f"{other}.dtype == {name}", 1.0, flags
    formats = [(name, values) for name, values in names.items() if "Format" in set(map(kind_of, values))]
    for name in tensors:
        yield from _about_tensor(name, names[name], sample.size)
        for other, values in formats:
            flags = computed(PRIMITIVES["is_in_format"].function, (names[name], values), sample.size)
            yield f"is_in_format({name}, {other})", 1.0, flags
    for name, values in names.items():
        if any(map(is_equation, values)):
            yield from _about_equation(name, values, names, sample.size)
    for left, right in itertools.permutations(tensors[:MOST_TENSORS], 2):
        for question, cost in ABOUT_PAIRS:
            if left > right and "==" in question:
                continue
            yield (
                _said(question.format(a=left, b=right), (left, right), names),
                cost,
                _pair(question, names[left], names[right], sample.size),
            )
    if len(tensors) > 1:
        operands = [names[name] for name in tensors]
        text = f"any_requires_grad({', '.join(tensors)})"
        yield text, 1.2, computed(PRIMITIVES["any_requires_grad"].function, operands, sample.size)
    if shapes is not None:
        yield from _about_shape(shapes, {name: names[name] for name in tensors}, sample.size)
    for name, values in sample.columns():
        if name.startswith("dim") and "Int" in {kind_of(value) for value in values}:
            for tensor in tensors:
                yield (
                    f"size_at({tensor}.shape, {name}) == 0",
                    1.9,
                    computed(_is_empty_along, (names[tensor], values), sample.size),
                )
    yield from _about_views(names, tensors, sample.size)


def _about_shape(
    shapes: Sequence[Any], tensors: Mapping[str, Sequence[Any]], size: int
) -> Iterator[tuple[str, float, list[Any]]]:
    """What the shape of the output is, beside those of the tensors given."""
    yield "0 in shape", 1.0, computed(lambda shape: 0 in shape, (shapes,), size)
    for name, values in tensors.items():
        sizes = computed(lambda tensor: tensor.shape, (values,), size)
        yield f"shape == {name}.shape", 1.1, computed(operator.eq, (shapes, sizes), size)
        alike = computed(lambda shape, own: len(shape) == len(own), (shapes, sizes), size)
        yield f"rank(shape) == rank({name}.shape)", 1.2, alike
        strides = computed(lambda tensor: tensor.stride, (values,), size)
        compact = computed(PRIMITIVES["is_compact"].function, (shapes, strides), size)
        yield f"is_compact(shape, {name}.stride)", 1.4, compact


def _is_empty_along(tensor: Any, dim: Any) -> bool:
    return PRIMITIVES["size_at"].function(tensor.shape, dim) == 0


def _about_equation(
    name: str, values: Sequence[Any], names: Mapping[str, Sequence[Any]], size: int
) -> Iterator[tuple[str, float, list[Any]]]:
    """What an equation makes of lists of tensors."""
    for other, column in names.items():
        if "Tensors" in {kind_of(value) for value in column}:
            for question in _ABOUT_EQUATIONS:
                flags = computed(PRIMITIVES[question].function, (values, column), size)
                yield f"{question}({name}, {other})", 0.5, flags


def _about_views(
    names: Mapping[str, Sequence[Any]], tensors: Sequence[str], size: int
) -> Iterator[tuple[str, float, list[Any]]]:
    """Whether tensors can be viewed in the shapes that are given, or that the output has."""
    viewable = PRIMITIVES["is_viewable"].function
    for name, values in names.items():
        if name == "shape" or "Ints" in {kind_of(value) for value in values}:
            for tensor in tensors:
                flags = computed(viewable, (names[tensor], values), size)
                yield f"is_viewable({tensor}, {name})", 2.4, flags


def _said(text: str, names: Sequence[str], columns: dict[str, Sequence[Any]]) -> str:
    """A question preceded by whether its tensors are there at all, where one may be missing."""
    optional = [name for name in names if not all(isinstance(value, TensorMeta) for value in columns[name])]
    return " and ".join([*(f"is_tensor({name})" for name in optional), text])


def _about_kinds(name: str, values: Sequence[Any], kinds: set[str]) -> Iterator[tuple[str, float, list[Any]]]:
    size = len(values)
    if "None" in kinds and len(kinds) > 1:
        yield f"{name} is None", 0.5, [value is None for value in values]
    if "Tensor" in kinds and kinds - {"Tensor", "None"}:
        yield f"is_tensor({name})", 0.6, [isinstance(value, TensorMeta) for value in values]
    if "Bool" in kinds:
        if kinds == {"Bool"}:
            yield name, 0.4, list(values)
        else:
            yield f"{name} is True", 0.8, [value is True for value in values]
    if kinds & {"Ints", "Tensors"} and kinds - {"Ints", "Tensors", "None"}:
        yield f"is_sequence({name})", 0.7, computed(PRIMITIVES["is_sequence"].function, (values,), size)
    if kinds & {"Number", "Int", "Bool"} and name not in ("shape",):
        if kinds != {"Bool"} and not any(isinstance(value, Wrapped) for value in values):
            for edge in (0, 1):
                yield f"{name} == {edge}", 0.95, [value == edge for value in values]
        for question in ("is_integer", "is_float", "is_complex_number"):
            yield f"{question}({name})", 0.9, computed(PRIMITIVES[question].function, (values,), size)
    if "Int" in kinds:
        for edge in EDGES:
            yield f"{name} == {edge}", 0.9, [value == edge if kind_of(value) == "Int" else MISSING for value in values]
        yield f"{name} % 2 == 0", 1.5, [value % 2 == 0 if kind_of(value) == "Int" else MISSING for value in values]
        yield f"{name} < 0", 1.0, [value < 0 if kind_of(value) == "Int" else MISSING for value in values]
    if "Ints" in kinds and name != "shape":
        yield f"{name} == ()", 0.7, [value == () for value in values]
        for count in (1, 2, 3):
            flags = [len(value) == count if kind_of(value) == "Ints" else MISSING for value in values]
            yield f"rank({name}) == {count}", 1.2, flags
        for question in ("any_positive", "any_negative"):
            ask = PRIMITIVES[question].function
            yield f"{question}({name})", 1.3, computed(ask, (_present(values, "Ints"),), size)
        if any(isinstance(value, tuple) and any(part is False for part in value[:4]) for value in values):
            for index in range(4):
                yield f"{name}[{index}]", 0.9, computed(lambda flags, index=index: flags[index], (values,), size)
    if any(is_key(value) for value in values):
        yield f"is_basic({name})", 0.8, computed(PRIMITIVES["is_basic"].function, (values,), size)
        yield f"is_masked({name})", 0.8, computed(PRIMITIVES["is_masked"].function, (values,), size)
    if name == "shape":
        for count in sorted({len(value) for value in values if value is not MISSING})[:7]:
            yield f"rank(shape) == {count}", 1.3, [value is not MISSING and len(value) == count for value in values]
    if ("Other" in kinds or "Format" in kinds) and not any(map(is_equation, values)):
        choices = Counter(value for value in values if isinstance(value, str | torch.memory_format | torch.layout))
        for choice, _ in choices.most_common(MOST_CHOICES):
            yield f"{name} == {written(choice)}", 0.7, [value == choice for value in values]


def _present(values: Sequence[Any], kind: str) -> list[Any]:
    return [value if kind_of(value) == kind else MISSING for value in values]


def _about_dtype(name: str, values: Sequence[Any], kinds: set[str]) -> Iterator[tuple[str, float, list[Any]]]:
    prefix = f"{name} is not None and " if "None" in kinds else ""
    for question in ("is_floating", "is_complex", "is_integral"):
        flags = [isinstance(v, torch.dtype) and PRIMITIVES[question].function(v) for v in values]
        yield f"{prefix}{question}({name})", 1.3, flags
    for dtype in sorted({value for value in values if isinstance(value, torch.dtype)}, key=str):
        yield f"{name} == {written(dtype)}", 1.5, [value is dtype for value in values]


def _about_tensor(name: str, values: Sequence[Any], size: int) -> Iterator[tuple[str, float, list[Any]]]:
    there = [isinstance(value, TensorMeta) for value in values]
    prefix = "" if all(there) else f"is_tensor({name}) and "
    extra = 0.0 if all(there) else 0.3
    for question, cost in ABOUT_TENSORS:
        ask = _QUESTIONS[question]
        yield prefix + question.format(t=name), cost + extra, _flags(ask, values)
    for dtype in sorted({value.dtype for value in values if isinstance(value, TensorMeta)}, key=str):
        text = f"{prefix}{name}.dtype == {written(dtype)}"
        yield text, 1.7 + extra, [isinstance(value, TensorMeta) and value.dtype is dtype for value in values]
    ranks = sorted({len(value.shape) for value in values if isinstance(value, TensorMeta)})
    for rank in ranks[:8]:
        text = f"rank({name}.shape) == {rank}"
        yield prefix + text, 1.1 + extra, [isinstance(v, TensorMeta) and len(v.shape) == rank for v in values]
    for place in SIZES_ASKED:
        index = int(place[1:-1])
        for wanted in (1, 0):
            flags = [
                v.shape[index] == wanted
                if isinstance(v, TensorMeta) and -len(v.shape) <= index < len(v.shape)
                else (False if not isinstance(v, TensorMeta) else MISSING)
                for v in values
            ]
            yield f"{prefix}{name}.shape{place} == {wanted}", 1.8 + extra, flags
        flags = [
            v.stride[index] == 1
            if isinstance(v, TensorMeta) and v.stride is not None and -len(v.stride) <= index < len(v.stride)
            else (False if not isinstance(v, TensorMeta) else MISSING)
            for v in values
        ]
        yield f"{prefix}{name}.stride{place} == 1", 2.1 + extra, flags


def _flags(ask: Any, values: Sequence[Any]) -> list[Any]:
    return [ask(value) if isinstance(value, TensorMeta) and value.stride is not None else False for value in values]


def _pair(question: str, left: Sequence[Any], right: Sequence[Any], size: int) -> list[Any]:
    ask = _PAIRS[question]

    def asked(a: Any, b: Any) -> bool:
        return ask(a, b) if isinstance(a, TensorMeta) and isinstance(b, TensorMeta) else False

    return computed(asked, (left, right), size)


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
