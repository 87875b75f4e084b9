"""Inputs in dtypes that a domain lacks: recorded calls with a dtype of the same kind in the place of one they had.

A dtype drawn at random seldom gives a call that an operator takes, since its other arguments have to follow: a mask of
complex numbers goes with real ones of the same precision. Knows nothing of what rules answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import torch

from passes.infer.trials.inputs import metas_of
from passes.infer.trials.variant import CallVariant, Draw, each
from passes.meta import DTYPE_NAMES, TensorMeta
from passes.operators.outcome import Argument
from passes.record.calls import Call
from passes.rules.rule import Domain

DOUBLE: Final = {torch.complex64: torch.complex128, torch.float32: torch.float64}
SINGLE: Final = {there: here for here, there in DOUBLE.items()}
# For each dtype what it may stand for, all at once: the first that some calls have.
KINDRED: Final[Mapping[torch.dtype, Sequence[Mapping[torch.dtype, torch.dtype]]]] = {
    torch.complex128: (DOUBLE,),
    torch.complex64: (SINGLE,),
    torch.float64: (DOUBLE,),
    torch.float32: (SINGLE,),
    torch.bfloat16: ({torch.float32: torch.bfloat16}, {torch.float16: torch.bfloat16}),
    torch.float16: ({torch.float32: torch.float16}, {torch.bfloat16: torch.float16}),
    torch.int64: ({torch.int32: torch.int64},),
    **{dtype: ({torch.int64: dtype}, {torch.int32: dtype}) for dtype in (torch.int32, torch.int16, torch.int8)},
    torch.uint8: ({torch.int64: torch.uint8}, {torch.int32: torch.uint8}),
}
MOST_EACH: Final = 12  # inputs for each dtype


def in_kindred_dtypes(calls: Sequence[Call], domain: Domain, draw: Draw) -> Iterator[CallVariant]:
    """Inputs in each dtype that some parameter of `domain` lacks: of all tensors alike, then of a single parameter."""
    for dtype, substitutions in KINDRED.items():
        lacking = [name for name, seen in domain.dtypes.items() if seen and DTYPE_NAMES[dtype] not in seen]
        for substitution in substitutions if lacking else ():
            able = [call for call in calls if _has(call.arguments, substitution)]
            for call in draw.sample(able, min(MOST_EACH, len(able))):
                yield _substituted(call, substitution, list(call.arguments))
                yield _substituted(call, substitution, [draw.choice(lacking)])


def _has(arguments: Mapping[str, Argument], substitution: Mapping[torch.dtype, torch.dtype]) -> bool:
    return any(meta.dtype in substitution for meta in metas_of(arguments))


def _substituted(call: Call, substitution: Mapping[torch.dtype, torch.dtype], names: Sequence[str]) -> CallVariant:
    """The inputs with other dtypes of the tensors, and of the dtypes, among the arguments of these names."""

    def change(leaf: Argument) -> Argument:
        if type(leaf) is TensorMeta:
            return leaf.replace(dtype=substitution.get(leaf.dtype, leaf.dtype))
        return substitution.get(leaf, leaf) if isinstance(leaf, torch.dtype) else leaf

    changed = {name: each(value, change) if name in names else value for name, value in call.arguments.items()}
    return CallVariant(changed, tuple(range(len(metas_of(changed)))))
