"""Flags: which tensors' elements a user wants recorded, one by one. Knows nothing of records."""

from __future__ import annotations

import weakref
from typing import Any, Final

import torch
from torch.utils._pytree import tree_leaves

from passes.record.schema import CorpusError
from passes.record.values import holds_integers, tensor_text

MOST_FLAGGED: Final = 1024  # elements

_flagged: Final[dict[int, weakref.ref[torch.Tensor]]] = {}


def flag(tensor: torch.Tensor) -> torch.Tensor:
    """Have recorders keep the elements of this tensor wherever a call is given it, or returns it.

    Only this object counts: not its views, copies or conversions. Gives the tensor back. Raises CorpusError
    if it is not an integer (or truth) tensor on the CPU of at most MOST_FLAGGED elements: other data is
    never recorded.
    """
    if not holds_integers(tensor) or tensor.numel() > MOST_FLAGGED:
        raise CorpusError(
            f"only integer tensors on the CPU of at most {MOST_FLAGGED} elements can be flagged; "
            f"this one is {tensor_text(tensor)}"
        )
    key = id(tensor)
    _flagged[key] = weakref.ref(tensor, lambda _: _flagged.pop(key, None))
    return tensor


def is_flagged(tensor: torch.Tensor) -> bool:
    return id(tensor) in _flagged


def flagged_elements(*values: Any) -> bytes:
    """Bytes that are equal for values whose flagged tensors are at the same places and have equal elements."""
    if not _flagged:
        return b""
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
    found = [(index, tensor.tolist()) for index, tensor in enumerate(tensors) if is_flagged(tensor)]
    return repr(found).encode() if found else b""
