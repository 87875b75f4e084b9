"""Which operators may refuse their data: raise an error that depends on the values in a tensor.

By default an operator may: only those that are known to compute with any values may not. Nothing here knows of shapes
and types, which a trial on stand-ins refuses before a graph runs.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.operators.catalogue import FAMILIES, FAMILY_OF, device_fact, family_of, operator_name
from passes.operators.modes import Modes
from passes.operators.outcome import Arguments, Keywords, Outcome, Same, Target, leaves
from passes.targets import collectives

TAKE_ANY_VALUES: Final = tuple(family for name, family in FAMILIES.items() if name != "index")
"""Families whose operators compute with any values, apart from those in REFUSES."""

REFUSING_NAMES: Final = """
    as_strided tensor_split bernoulli bernoulli_ binary_cross_entropy nll_loss nll_loss2d nll_loss_nd
    cross_entropy_loss detach_ embedding_bag max_unpool1d max_unpool2d max_unpool3d pinv pinverse norm
    """
"""Of those families: they check a range, an index, that an algorithm converges or that a tensor is no view, or read
beyond a storage."""

DIVISION_NAMES: Final = """
    __div__ __floordiv__ __idiv__ __ifloordiv__ __mod__ __rfloordiv__ __rmod__ div div_ divide floor_divide
    floor_divide_ floordiv fmod fmod_ ifloordiv imod mod remainder remainder_
    """
"""They refuse a zero as an integer divisor."""

REFUSES: Final = frozenset(REFUSING_NAMES.split())
DIVISIONS: Final = frozenset(DIVISION_NAMES.split())
REVERSED: Final = frozenset({"__rfloordiv__", "__rmod__"})

INDEXED_BY_ARGUMENT: Final = frozenset({"__getitem__", "getitem", "__setitem__", "setitem"})
TAKE_ANY_INDEX: Final = frozenset({"select_scatter", "slice_scatter", "diagonal_scatter"})
"""Of the family `index`: their indices are numbers, which a trial checks."""

COLLECTIVES: Final = frozenset(collectives.ALL)
"""Another rank may fail, but no values are refused."""

LEAST, GREATEST = -(2**63), 2**63 - 1
ITEM_SETTERS: Final = (operator.setitem, ("method", "__setitem__"))


@cache
def _taking_any_values() -> frozenset[Target]:
    """Targets that compute with any values, whatever the other arguments are, as most calls of a program do."""
    refusing = REFUSES | DIVISIONS
    families = set(map(id, TAKE_ANY_VALUES))
    return frozenset(
        target
        for target, family in FAMILY_OF.items()
        if id(family) in families and operator_name(target) not in refusing
    )


def may_refuse(target: Target, args: Arguments, kwargs: Keywords) -> bool:
    """Whether a call may raise because of the values in its tensors."""
    if target in _taking_any_values() or target in COLLECTIVES:
        return False
    family = family_of(target, args)
    name = operator_name(target)
    if family is None:
        return device_fact(target, args) is None
    if family is FAMILIES["index"]:
        if name in INDEXED_BY_ARGUMENT:
            return _index_may_refuse(args)
        return name not in TAKE_ANY_INDEX
    if family not in TAKE_ANY_VALUES or name in REFUSES:
        return True
    return name in DIVISIONS and _divides_integers(name, args, kwargs)


def _index_may_refuse(args: Arguments) -> bool:
    """Whether an index may be out of range, or a mask may pick another number of items than it is assigned."""
    indices = [leaf for leaf in leaves(args[1:2]) if type(leaf) is TensorMeta]
    if any(index.dtype is not torch.bool for index in indices):
        return True
    return bool(indices) and any(type(leaf) is TensorMeta and leaf.rank for leaf in leaves(args[2:3]))


def _divides_integers(name: str, args: Arguments, kwargs: Keywords) -> bool:
    """Whether a division is one of integers, by something that may be zero."""
    numbers = [leaf for leaf in leaves((args[:2], kwargs)) if type(leaf) in (TensorMeta, int, float, bool, complex)]
    dtypes = [number.dtype for number in numbers if type(number) is TensorMeta]
    if any(dtype.is_floating_point or dtype.is_complex for dtype in dtypes):
        return False
    if any(type(number) in (float, complex) for number in numbers):
        return False
    divisor = args[0] if name in REVERSED else args[1] if len(args) > 1 else dict(kwargs).get("other")
    return not (type(divisor) is int and divisor != 0)


def may_refuse_what_rules_allow(
    target: Target, args: Arguments, kwargs: Keywords, modes: Modes, outcome: Outcome
) -> bool:
    """Whether a call that rules give an outcome might fail for another operand: rules learn from successes.

    It does where an operand does not broadcast to the written tensor, or to the part of it that an index selects, and
    for leaves of autograd. A number that no tensor holds is refused by most operators, but by some types only.
    """
    operands = list(leaves((args, kwargs)))
    if any(type(operand) is int and not LEAST <= operand <= GREATEST for operand in operands):
        return True
    metas = [operand for operand in operands if type(operand) is TensorMeta]
    if target in ITEM_SETTERS:
        return len(metas) > 1 or (metas[0].is_leaf and metas[0].requires_grad and modes.grad)
    returned = {leaf.index for leaf in outcome.tensors if isinstance(leaf, Same)}
    written = [metas[index] for index in outcome.mutated if index in returned]
    if any(meta.is_leaf and meta.requires_grad and modes.grad for meta in written):
        return True
    return any(not _fits(operand.shape, meta.shape) for meta in written for operand in metas)


def _fits(shape: Sequence[Any], into: Sequence[Any]) -> bool:
    """Whether a shape broadcasts to another one."""
    sizes = zip(reversed(shape), reversed(into), strict=False)
    return len(shape) <= len(into) and all(size == 1 or size == wanted for size, wanted in sizes)
