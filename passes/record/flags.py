"""Flags: single tensors whose elements a user wants recorded. Knows nothing of records."""

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
    """Make recorders keep the elements of this tensor wherever a call takes or returns it; the tensor is returned.

    Only this object counts, not its views, copies or conversions. Raises CorpusError if it is not an integer (or bool)
    tensor on the CPU of at most MOST_FLAGGED elements: other data is never recorded.
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
    """Whether the elements of this tensor are to be recorded."""
    return id(tensor) in _flagged


def flagged_elements(*values: Any) -> bytes:
    """A key: equal bytes for values that have flagged tensors in the same places with equal elements."""
    if not _flagged:
        return b""
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
    elements = [(index, tensor.tolist()) for index, tensor in enumerate(tensors) if is_flagged(tensor)]
    return repr(elements).encode() if elements else b""
