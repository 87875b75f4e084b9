"""Tensors that rules make, interned as metas are: one New for equal facts, since most are made again and again."""

from __future__ import annotations

from typing import Any, Final

import torch

from passes.meta import Shape, Size, meta_on_cpu
from passes.operators.outcome import New

MOST_KNOWN: Final = 1 << 16

_known: dict[tuple[Any, ...], New] = {}


def made(
    shape: Shape,
    stride: Shape,
    dtype: torch.dtype,
    storage_offset: Size,
    requires_grad: bool,
    is_leaf: bool,
    alias_of: int | None = None,
    is_conj: bool = False,
    is_neg: bool = False,
) -> New:
    """A strided tensor on the CPU, which has the memory of tensor argument number `alias_of` if that is given."""
    facts = (shape, stride, dtype, storage_offset, requires_grad, is_leaf, alias_of, is_conj, is_neg)
    try:
        return _known[facts]
    except KeyError:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        meta = _known[facts] = _new(facts)
        return meta
    except TypeError:  # a list, or a torch.SymInt, which cannot be hashed
        return _new(facts)


def _new(facts: tuple[Any, ...]) -> New:
    shape, stride, dtype, storage_offset, requires_grad, is_leaf, alias_of, is_conj, is_neg = facts
    return New(meta_on_cpu(shape, stride, dtype, storage_offset, requires_grad, is_leaf, is_conj, is_neg), alias_of)
