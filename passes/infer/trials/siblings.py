"""Inputs for operators that no corpus has: the recorded calls of their siblings, bound to their own parameters.

A sibling is another overload, the in-place or the functional form, the function for the overload, or an operator whose
parameters include all that this one needs. Where one takes a tensor and the other a number, a number is drawn. Knows
nothing of rules, or of files.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch

from passes.infer.trials.inputs import metas_of
from passes.infer.trials.variant import CallVariant, Draw
from passes.meta import CPU, TensorMeta
from passes.operators.naming import default_of, schemas_of
from passes.operators.outcome import Argument, ListArg, Wrapped
from passes.operators.resolve import UnknownOperator, resolve
from passes.record.calls import Call
from passes.rules.binding import OWNERS, equivalents, name_of_function

Name = tuple[str, str]  # level and operator
MOST_SIBLINGS: Final = 4
FEW_NAMESAKES: Final = 2
LIKE: Final = 0.5  # how much of their names operators have in common that are siblings
MANY: Final = 3  # parameters of the same names and types: siblings, whatever they are called
NUMBERS_DRAWN: Final = (2, 3, 0.5, 1.5, True, 0)
DRAWN: Final[dict[str, Sequence[Argument]]] = {
    "number": NUMBERS_DRAWN,
    "float": (0.5, 1.0),
    "int": (1, 0, 2),
    "bool": (False, True),
}
KINDS: Final[dict[str, tuple[type, ...]]] = {
    "float": (float,),
    "int": (int, torch.dtype, torch.layout, torch.memory_format),
    "bool": (bool,),
    "str": (str,),
}
# Types of arguments that cannot be made from metas and numbers.
UNMAKEABLE: Final = ("Storage", "Stream", "__torch__", "Dict(", "Any", "QScheme")
KERNELS: Final = (
    CPU.type.upper(),
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
    "CompositeImplicitAutograd",
)


def operators_without_calls(recorded: frozenset[Name]) -> Iterator[Name]:
    """The overloads, and the public functions on tensors, that none of the recorded operators is another name for."""
    for op in sorted(torch._C._dispatch_get_all_op_names()):
        name = "aten", op.removesuffix(".default")
        if op.startswith("aten::") and name not in recorded and _has_kernel(op):
            try:
                (schema,) = schemas_of(resolve(name[1], name[0]))
            except UnknownOperator:
                continue
            if _is_makeable(schema):
                yield name
    functions = {name: getattr(owner, name) for owner in OWNERS for name in dir(owner) if not name.startswith("_")}
    for function in functions.values():
        if callable(function) and any(map(_is_makeable, schemas_of(function))):
            names = [name_of_function(each) for each in (function, *equivalents(function))]
            if recorded.isdisjoint(names):
                yield names[0]


def _has_kernel(op: str) -> bool:
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return torch._C._dispatch_has_kernel(op) and any(has(op, key) for key in KERNELS)


def _is_makeable(schema: Any) -> bool:
    """Whether arguments can be made, and none is a tensor for the result."""
    types = [str(parameter.type) for parameter in schema.arguments]
    is_out = any(parameter.is_out for parameter in schema.arguments)
    return not is_out and any("Tensor" in each for each in types) and not any(w in t for w in UNMAKEABLE for t in types)


def siblings_of(name: Name, recorded: frozenset[Name]) -> list[Name]:
    """The recorded operators whose calls may be bound to this one's parameters: the most alike first.

    Those of the same name apart from underscores and overloads; where these are few, others with all that it needs.
    """
    level, op = name
    others = recorded - {name}
    namesakes = sorted(other for other in others if _stem(other[1]) == _stem(op))
    if len(namesakes) >= FEW_NAMESAKES:
        return namesakes[:MOST_SIBLINGS]
    needed = [_needed(schema) for schema in schemas_of(resolve(op, level)) if _is_makeable(schema)]
    ranked: list[tuple[float, Name]] = []
    for other in others.difference(namesakes):
        alike = difflib.SequenceMatcher(None, _stem(op), _stem(other[1])).ratio()
        if alike < LIKE and all(len(each) < MANY for each in needed):
            continue
        has = _parameters(other)
        if any(each.items() <= has.items() and (alike >= LIKE or len(each) >= MANY) for each in needed if each):
            ranked.append((-alike, other))
    return [*namesakes, *(other for _, other in sorted(ranked))][:MOST_SIBLINGS]


def _stem(op: str) -> str:
    """`fmod` for `aten::fmod_.Scalar` and `torch.Tensor.fmod`."""
    bare = op.rpartition("::")[2].partition(".")[0] if "::" in op else op.rpartition(".")[2]
    return bare.strip("_")


def _needed(schema: Any) -> dict[str, str]:
    return {
        each.name: str(each.type)
        for each in schema.arguments
        if not each.has_default_value() and not str(each.type).startswith("Optional[")
    }


def _parameters(name: Name) -> dict[str, str]:
    level, op = name
    try:
        schemas = schemas_of(resolve(op, level))
    except UnknownOperator:
        return {}
    return {each.name: _plain(str(each.type)) for schema in schemas for each in schema.arguments}


def _plain(kind: str) -> str:
    """The type of a parameter that may be None, without that."""
    return kind.removeprefix("Optional[").removesuffix("]") if kind.startswith("Optional[") else kind


def bound_to(name: Name, calls: Sequence[Call], draw: Draw) -> Iterator[CallVariant]:
    """Inputs of an operator made from calls of its siblings: one for each call and list of parameters that it fits."""
    level, op = name
    for schema in schemas_of(resolve(op, level)):
        if _is_makeable(schema):
            for call in calls:
                arguments = _bound(schema, call.arguments, draw)
                if arguments is not None:
                    yield CallVariant(arguments, tuple(range(len(metas_of(arguments)))))


def _bound(schema: Any, sibling: Mapping[str, Argument], draw: Draw) -> dict[str, Argument] | None:
    """Arguments for the parameters of a schema; None where one that it needs is not among those of the sibling."""
    first = next(iter(sibling.values()), None)
    arguments: dict[str, Argument] = {}
    for number, parameter in enumerate(schema.arguments):
        kind = str(parameter.type)
        value = sibling.get(parameter.name, first if not number else None)
        fitted = _fitted(_plain(kind), value, draw)
        if fitted is None and parameter.has_default_value():
            fitted = _frozen(default_of(parameter))
        elif fitted is None and kind.startswith("Optional["):
            fitted = _drawn(_plain(kind), first, draw) if draw.random() < 0.5 else None
        elif fitted is None:
            fitted = _drawn(kind, first, draw)
            if fitted is None:
                return None
        arguments[parameter.name] = fitted
    return arguments


def _fitted(kind: str, value: Argument, draw: Draw) -> Argument:
    """A given value as one of this type, None where it is not."""
    if kind == "Tensor":
        return value if type(value) is TensorMeta else None
    if kind == "number":
        number = value.number if type(value) is Wrapped else value
        if isinstance(number, bool | int | float | complex):
            return number
        return draw.choice(NUMBERS_DRAWN) if type(value) is TensorMeta else None
    if kind.startswith("List["):
        return value if type(value) is ListArg and _holds(kind, value) else None
    return value if type(value) in KINDS.get(kind, ()) else None


def _holds(kind: str, values: Sequence[Argument]) -> bool:
    """Whether a list is one of tensors where such are wanted, and of none where they are not."""
    return all((type(value) is TensorMeta or value is None) == ("Tensor" in kind) for value in values)


def _drawn(kind: str, first: Argument, draw: Draw) -> Argument:
    """Something of a type that is no tensor; None for a type of which nothing is known."""
    if kind == "List[float]":
        dimensions = max(1, first.rank - 2) if type(first) is TensorMeta else 1
        return ListArg((draw.choice((2.0, 0.5)),) * dimensions)
    return draw.choice(DRAWN[kind]) if kind in DRAWN else None


def _frozen(value: Any) -> Argument:
    return ListArg(map(_frozen, value)) if isinstance(value, list) else value
