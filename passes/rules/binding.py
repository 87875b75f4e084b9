"""Binding: from a call as the tracer makes it to arguments by name, as rules take them.

`passes/operators/naming.py` gave the names when the calls were recorded; here the same is done on metas, once for
each kind of call: the result is a function from the arguments of such calls to those of the rule.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.evaluate import CONTAINER_TYPES, kinds
from passes.operators.naming import (
    NUMBERS,
    SIZES,
    chosen_schema,
    default_of,
    in_schema_form,
    in_schema_names,
    named_by,
    operator_name,
    schemas_of,
)
from passes.operators.outcome import Argument, Arguments, Keywords, ListArg, Target, Wrapped, leaves
from passes.operators.spellings import canonical
from passes.rules import syntax

LEVEL_OF_OVERLOADS: Final = "aten"
LEVEL_OF_FUNCTIONS: Final = "function"

Function = Callable[..., Any]
TENSOR: Final = torch.Tensor
OWNERS: Final = (TENSOR, torch._C._VariableFunctions, torch._C._nn)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Binding:
    """How calls of one kind are asked about: the operator, its `parameters`, and `values(args, kwargs)` for them.

    `places` has for each parameter the number of its first tensor among those of the call.
    """

    level: str
    op: str
    parameters: tuple[str, ...]
    values: Callable[[Arguments, Keywords], Sequence[Argument]]
    places: Mapping[str, int]


def types_of_call(target: Target, args: Arguments, kwargs: Keywords) -> Any:
    """What calls that are bound alike have in common, as far as the types of their arguments tell."""
    if kwargs:
        return target, tuple([type(value) for value in args]), tuple([(name, type(value)) for name, value in kwargs])
    count = len(args)
    if count == 2:  # most calls have so many
        return target, type(args[0]), type(args[1])
    if count == 1:
        return target, type(args[0])
    return (target, *[type(value) for value in args])


def is_told_by_types(target: Target, args: Arguments, kwargs: Keywords) -> bool:
    """Whether calls with the same `types_of_call` are bound alike: none of their arguments holds others."""
    values = (*args, *(value for _, value in kwargs))
    return target is not getattr and not any(type(value) in CONTAINER_TYPES for value in values)


def held_kinds(target: Target, args: Arguments, kwargs: Keywords) -> tuple[Any, ...]:
    """What else calls that are bound alike have in common: the types of what is held, and an attribute's name."""
    return kinds(args), kinds(kwargs) if kwargs else (), args[1] if target is getattr else None


# Python's operators as tensors have them: for a tensor on the left, and for a number there.
OPERATORS: Final[dict[Function, tuple[Function, Function | None]]] = {
    operator.add: (TENSOR.add, TENSOR.add),
    operator.sub: (TENSOR.sub, torch.rsub),
    operator.mul: (TENSOR.mul, TENSOR.mul),
    operator.truediv: (TENSOR.div, None),
    operator.floordiv: (torch.floor_divide, torch.floor_divide),
    operator.mod: (TENSOR.remainder, torch.remainder),
    operator.pow: (TENSOR.pow, torch.pow),
    operator.matmul: (TENSOR.matmul, None),
    operator.and_: (TENSOR.__and__, TENSOR.bitwise_and),
    operator.or_: (TENSOR.__or__, TENSOR.bitwise_or),
    operator.xor: (TENSOR.__xor__, TENSOR.bitwise_xor),
    operator.lshift: (TENSOR.__lshift__, torch.bitwise_left_shift),
    operator.rshift: (TENSOR.__rshift__, torch.bitwise_right_shift),
    operator.eq: (TENSOR.__eq__, TENSOR.__eq__),
    operator.ne: (TENSOR.ne, TENSOR.ne),
    operator.lt: (TENSOR.lt, TENSOR.gt),
    operator.le: (TENSOR.le, TENSOR.ge),
    operator.gt: (TENSOR.gt, TENSOR.lt),
    operator.ge: (TENSOR.ge, TENSOR.le),
    operator.iadd: (TENSOR.add_, TENSOR.add),
    operator.isub: (TENSOR.sub_, torch.rsub),
    operator.imul: (TENSOR.mul_, TENSOR.mul),
    operator.itruediv: (TENSOR.div_, None),
    operator.ifloordiv: (TENSOR.floor_divide_, torch.floor_divide),
    operator.imod: (TENSOR.remainder_, torch.remainder),
    operator.ipow: (TENSOR.pow_, torch.pow),
    operator.imatmul: (TENSOR.matmul, None),
    operator.iand: (TENSOR.__iand__, TENSOR.bitwise_and),
    operator.ior: (TENSOR.__ior__, TENSOR.bitwise_or),
    operator.ixor: (TENSOR.__ixor__, TENSOR.bitwise_xor),
    operator.neg: (TENSOR.neg, None),
    operator.pos: (TENSOR.positive, None),
    operator.invert: (TENSOR.__invert__, None),
    operator.abs: (TENSOR.abs, None),
    abs: (TENSOR.abs, None),
    operator.getitem: (TENSOR.__getitem__, None),
    operator.setitem: (TENSOR.__setitem__, None),
}
# Those of the second column that take the number first; the others are given the tensor first.
NUMBER_FIRST: Final = frozenset(
    (torch.floor_divide, torch.remainder, torch.pow, torch.bitwise_left_shift, torch.bitwise_right_shift)
)


def called(target: Target, args: Arguments) -> tuple[Function | None, Arguments]:
    """The function at the C boundary that a call comes to, and its arguments; None for what rules never know."""
    if isinstance(target, tuple):
        return (getattr(TENSOR, target[1], None) if target[0] == "method" else None), args
    if target is getattr and len(args) == 2:
        descriptor = vars(torch._C.TensorBase).get(args[1])
        return getattr(descriptor, "__get__", None), args[:1]
    pair = OPERATORS.get(target)
    if pair is None:
        return target, args
    if type(args[0]) is TensorMeta:
        return pair[0], args
    if len(args) != 2 or type(args[1]) is not TensorMeta:
        return None, args
    return pair[1], args if pair[1] in NUMBER_FIRST else args[::-1]


def name_of(target: Target, args: Arguments = ()) -> tuple[str, str] | None:
    """The level and name under which such calls are recorded; None for what is never recorded."""
    function = called(target, args)[0] if args or isinstance(target, tuple) else target
    return None if function is None else name_of_function(function)


def name_of_function(function: Function) -> tuple[str, str]:
    """The level and name under which calls of a function are recorded."""
    level = LEVEL_OF_OVERLOADS if isinstance(function, torch._ops.OpOverload) else LEVEL_OF_FUNCTIONS
    return level, operator_name(function)


def bindings(target: Target, args: Arguments, kwargs: Keywords) -> Iterator[Binding]:
    """The ways to ask about calls of this kind, the name under which they are recorded first.

    All calls whose arguments have the same types, nested ones included, are bound alike.
    """
    function, arguments = called(target, args)
    if function is None:
        return
    swapped = arguments is not args and len(arguments) == len(args)
    for other in (function, *_overload(function, arguments, kwargs), *equivalents(function, arguments)):
        yield _binding(other, arguments, kwargs, swapped)


def _overload(function: Function, args: Arguments, kwargs: Keywords) -> Iterator[Function]:
    """The overload that a call of a packet, such as torch.ops.aten.sum, runs."""
    if isinstance(function, torch._ops.OpOverloadPacket):
        schema, _ = chosen_schema(function, args, dict(kwargs))
        if schema is not None:
            yield getattr(function, schema.overload_name or "default")


def equivalents(function: Function, args: Arguments = ()) -> Iterator[Function]:
    """Functions that are the same operator: the method for the function, the function for the method or the property.

    Only where the tensor comes first, as `self`: Tensor.where, for one, orders its arguments otherwise.
    """
    name = getattr(function, "__name__", "")
    if name == "__get__":
        yield from _of_property(getattr(function, "__self__", None))
        return
    if isinstance(function, torch._ops.OpOverload | torch._ops.OpOverloadPacket) or not _takes_self_first(function):
        return
    if name == "type" and (len(args) != 2 or not isinstance(args[1], torch.dtype)):
        return
    other_name = "to" if name == "type" else canonical(name).removeprefix("special_")
    for owner in OWNERS:
        for each in dict.fromkeys((other_name, name)):
            other = getattr(owner, each, None)
            if other is not None and other is not function and _takes_self_first(other):
                yield other


def _of_property(descriptor: Any) -> Iterator[Function]:
    """The function of one tensor that is called as a property of tensors is: torch.real for Tensor.real."""
    other = getattr(torch._C._VariableFunctions, getattr(descriptor, "__name__", ""), None)  # type: ignore[attr-defined]
    if other is not None and any([each.name for each in schema.arguments] == ["self"] for schema in schemas_of(other)):
        yield other


def _takes_self_first(function: Function) -> bool:
    """Whether every schema that has a `self` begins with it; where none has, nothing is known."""
    if getattr(function, "__name__", "") == "type":
        return True
    names = [[argument.name for argument in schema.arguments] for schema in schemas_of(function)]
    places = {each.index("self") for each in names if "self" in each}
    return places == {0}


def _binding(function: Function, args: Arguments, kwargs: Keywords, swapped: bool) -> Binding:
    keywords = dict(kwargs)
    schema, way = choice = chosen_schema(function, args, keywords)
    keywords = keywords if schema is None else dict(in_schema_names(schema, keywords))
    level, op = name_of_function(function)
    named = {name: _frozen(value) for name, value in named_by(choice, function, args, keywords).items()}
    if schema is not None:
        values = _compiled(schema, way, args, tuple(keywords.items()), swapped)
    elif getattr(function, "__name__", "") == "__get__":
        values = _first
    elif not kwargs and len(named) == len(args):
        values = _reversed if swapped else _as_given
    else:
        values = partial(_by_signature, function)
    return Binding(level, op, tuple(named), values, _places(named, args, keywords))


def _as_given(args: Arguments, kwargs: Keywords) -> Sequence[Argument]:
    return args


def _first(args: Arguments, kwargs: Keywords) -> Sequence[Argument]:
    return args[:1]


def _reversed(args: Arguments, kwargs: Keywords) -> Sequence[Argument]:
    return args[::-1]


def _by_signature(function: Function, args: Arguments, kwargs: Keywords) -> Sequence[Argument]:
    return [_frozen(value) for value in named_by((None, 0), function, args, dict(kwargs)).values()]


def _compiled(
    schema: Any, way: int, args: Arguments, kwargs: Keywords, swapped: bool
) -> Callable[[Arguments, Keywords], Sequence[Argument]]:
    """A function that does what `naming.bound_to_schema` does, for calls whose arguments have these types."""
    names = [name for name, _ in kwargs]
    starts = [start for start in (1, 0) if len(args) > start + 1 and all(type(size) in SIZES for size in args[start:])]
    count = starts[way - 1] if way else len(args)
    positional, keywords = syntax.name("args"), syntax.name("kwargs")
    defaults: list[Any] = []
    parts: list[ast.expr] = []
    for index, parameter in enumerate(schema.arguments):
        if way and index == count:
            parts.append(syntax.call("ListArg", syntax.rest(positional, count)))
        elif index < count:
            place = len(args) - 1 - index if swapped else index
            parts.append(_in_form(parameter, args[index], syntax.item(positional, syntax.constant(place))))
        elif parameter.name in names:
            number = names.index(parameter.name)
            pair = syntax.item(keywords, syntax.constant(number))
            parts.append(_in_form(parameter, kwargs[number][1], syntax.item(pair, syntax.constant(1))))
        else:
            parts.append(syntax.item(syntax.name("defaults"), syntax.constant(len(defaults))))
            defaults.append(_frozen(in_schema_form(str(parameter.type), default_of(parameter))))
    tree = syntax.function("values", ("args", "kwargs"), [syntax.give(syntax.tuple_of(parts))])
    namespace = {"ListArg": ListArg, "Wrapped": Wrapped, "defaults": tuple(defaults)}
    return syntax.defined(tree, "values", "<bytegraph binding>", namespace)


def _in_form(parameter: Any, value: Any, argument: ast.expr) -> ast.expr:
    """The expression for an argument in the form in which its parameter takes it (`naming.in_schema_form`)."""
    kind = str(parameter.type).removeprefix("Optional[")
    if kind.startswith("List[") and value is not None:
        if type(value) is ListArg:
            return argument
        return syntax.call("ListArg", argument if isinstance(value, tuple | list) else syntax.tuple_of([argument]))
    if kind.startswith("Tensor") and isinstance(value, NUMBERS):
        return syntax.call("Wrapped", argument)
    return syntax.call("ListArg", argument) if type(value) is torch.Size else argument


def _frozen(value: Any) -> Any:
    """A list, which naming makes, as it is among arguments."""
    return ListArg(map(_frozen, value)) if type(value) in (list, torch.Size) else value


def _places(named: Mapping[str, Any], args: Arguments, keywords: Mapping[str, Any]) -> dict[str, int]:
    """Where each parameter's first tensor is among those of the call, positional before keyword ones."""
    if not keywords:
        places: dict[str, int] = {}
        count = 0
        for name, value in named.items():
            places[name] = count
            if type(value) is TensorMeta:
                count += 1
            elif isinstance(value, tuple):
                count += _tensors(value)
        return places
    count = 0
    by_name: dict[str, int] = {}
    for name, value in (*zip(named, args, strict=False), *keywords.items()):
        by_name[name] = count
        count += _tensors(value)
    return {name: by_name.get(name, 0) for name in named}


def _tensors(value: Any) -> int:
    return sum(type(leaf) is TensorMeta for leaf in leaves((value,)))
