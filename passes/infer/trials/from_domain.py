"""Inputs from a domain: calls that a rule may be asked about, made without any recorded call.

Tensors have the same shape, so that most operators take them together. Knows nothing of what rules answer.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch

from passes.infer.trials.inputs import metas_of
from passes.infer.trials.strides import in_layout
from passes.infer.trials.variant import CallVariant
from passes.meta import DTYPE_BY_NAME, TensorMeta, torch_names
from passes.operators.outcome import Argument, ListArg
from passes.operators.resolve import NOT_GIVEN, Parameter, UnknownOperator, parameters, resolve
from passes.rules.rule import Domain, Rule

Shapes = Mapping[int, Sequence[tuple[int, ...]]]

# Sizes of tensors by rank: none of them 1, once all different, and once with square matrices.
SHAPES: Final[Shapes] = {
    0: ((),),
    1: ((5,),),
    2: ((3, 4), (4, 4)),
    3: ((2, 3, 4), (2, 3, 3)),
    4: ((2, 3, 4, 5), (2, 3, 4, 4)),
    5: ((2, 3, 4, 5, 2), (2, 2, 3, 4, 4)),
}
# Layouts of strides.py in which every operator may meet its arguments, at least one of each class but overlapping ones.
LAYOUTS_ASKED: Final = ("row-major", "column-major", "permuted", "channels last", "every other", "padded", "expanded")
DTYPES_ASKED: Final = ("f32", "i64", "c64")
MOST_CHOICES: Final = 6  # combinations of arguments that are no tensors
LIST_LENGTH: Final = 2
USUAL: Final = 0.6  # share of arguments that have their default, or the first value
LISTS: Final = tuple(ListArg((number,) * length) for length in (1, 2, 3) for number in (0, 1, 2))  # of windows, say
OBJECTS: Final = {
    str(value): value for kind in (torch.dtype, torch.memory_format, torch.layout) for value in torch_names(kind)
}


def inputs_from(
    rule: Rule,
    seed: object = 0,
    layouts: Sequence[str] = LAYOUTS_ASKED,
    dtypes: Sequence[str] = DTYPES_ASKED,
    shapes: Shapes = SHAPES,
    every_dtype: bool = True,
    choices: int = MOST_CHOICES,
) -> Iterator[CallVariant]:
    """Inputs in the domain of `rule`: one for each of the `layouts`, `dtypes` and ranks of `shapes` that it has.

    Without `every_dtype` one of the dtypes is drawn, and of other arguments so many `choices`. Tensors have the same
    layout, or each one its own. None for a rule without tensors, or with an argument of which nothing can be made.
    What is left open is drawn from `seed`.
    """
    tensors = tensors_of(rule)
    ranks = [rank for rank in shapes if all(rank in rule.domain.ranks[name] for name in tensors)]
    if not tensors or not ranks:
        return
    draw = random.Random(f"{seed} {rule.level} {rule.op} {rule.parameters}")
    others = {rank: list(_others(rule, tensors, rank, draw, choices)) for rank in ranks}
    names = [name for name in dtypes if any(name in rule.domain.dtypes[each] for each in tensors)]
    for rank, layout, dtype in itertools.product(ranks, layouts, names if names and every_dtype else [""]):
        if not others[rank]:
            continue
        dtype = dtype or draw.choice(names or rule.domain.dtypes[tensors[0]])
        shape, other, same = draw.choice(shapes[rank]), draw.choice(others[rank]), draw.random() < 0.5
        arguments: dict[str, Argument] = {}
        for name in rule.parameters:
            if name not in tensors:
                arguments[name] = other[name]
                continue
            lies = layout if same or name == tensors[0] else draw.choice(layouts)
            meta = TensorMeta(shape, (0,) * rank, _dtype(rule.domain, name, dtype, draw))
            meta = in_layout(meta, lies, draw) or in_layout(meta, "row-major", draw)
            arguments[name] = ListArg([meta] * LIST_LENGTH) if is_list(rule.domain, name) else meta
        yield CallVariant(arguments, tuple(range(len(metas_of(arguments)))))


def tensors_of(rule: Rule) -> list[str]:
    """The parameters that take tensors, or lists of them, without those that may be None."""
    return [
        name
        for name in rule.parameters
        if rule.domain.ranks.get(name) and "none" not in (kinds := rule.domain.kinds.get(name, ())) and kinds
    ]


def is_list(domain: Domain, name: str) -> bool:
    """Whether a parameter takes lists of tensors, and no single tensor."""
    kinds = domain.kinds.get(name, ())
    return "list" in kinds and "tensor" not in kinds


def _dtype(domain: Domain, name: str, wanted: str, draw: random.Random) -> torch.dtype:
    dtypes = domain.dtypes[name]
    return DTYPE_BY_NAME[wanted if wanted in dtypes else draw.choice(dtypes)]


def _others(
    rule: Rule, tensors: Sequence[str], rank: int, draw: random.Random, most: int
) -> Iterator[dict[str, Argument]]:
    """Some combinations of values for the parameters that take no tensor: the first of each, and drawn ones."""
    names = [name for name in rule.parameters if name not in tensors]
    values = [list(_values(rule, name, rank)) for name in names]
    if not all(values):
        return
    yield {name: candidates[0] for name, candidates in zip(names, values, strict=True)}
    distinct = math.prod(map(len, values))
    for _ in range(min(most, distinct) - 1):
        yield {
            name: candidates[0] if draw.random() < USUAL else draw.choice(candidates)
            for name, candidates in zip(names, values, strict=True)
        }


def _values(rule: Rule, name: str, rank: int) -> Iterator[Any]:
    """Values of the kinds that a domain has of a parameter: first its default, if it has one that is of these."""
    by_kind: dict[str, Sequence[Any]] = {
        "none": (None,),
        "bool": (False, True),
        "int": (1, 0, -1),
        "float": (0.5,),
        "ints": (ListArg(range(rank)), ListArg((-1, 0)), *LISTS, ListArg((2,) * rank)),
    }
    kinds = rule.domain.kinds.get(name, ())
    for parameter in _declared(rule):
        if parameter.name == name and (default := _in_kinds(parameter.default, kinds)) is not NOT_GIVEN:
            yield default
    for kind in sorted(kinds, key=lambda each: each != "none"):
        yield from by_kind.get(kind, ())
    for choice in rule.domain.choices.get(name, ()):
        yield OBJECTS.get(choice, choice)


def _declared(rule: Rule) -> Sequence[Parameter]:
    try:
        return parameters(resolve(rule.op, rule.level), rule.parameters)
    except UnknownOperator:
        return ()


def _in_kinds(default: Any, kinds: Sequence[str]) -> Any:
    """A default as an argument of one of these kinds; NOT_GIVEN if it is of another."""
    if type(default) in (list, tuple) and "ints" in kinds:
        return ListArg(default)
    if type(default) is int and "ints" in kinds:
        return ListArg((default,))
    return default if {int: "int", bool: "bool", float: "float"}.get(type(default)) in kinds else NOT_GIVEN
