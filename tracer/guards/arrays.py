"""The plain tensor that has the memory of a numpy array, or of a tensor of a subclass.

Nothing here imports numpy before a program has an array."""

from __future__ import annotations

import sys
from typing import Any

import torch

from passes.subclasses import overrides_disabled, plain


class NoTensor(LookupError):
    """An array whose memory no tensor can have: it is not writeable, of another class or dtype, or a sparse tensor."""


def tensor_of(array: Any) -> torch.Tensor:
    """A plain tensor with the memory of an array, or of a tensor of a subclass.

    Raises NoTensor, or what torch says of the dtype and strides of an array.
    """
    if isinstance(array, torch.Tensor):
        with overrides_disabled():
            if array.layout is not torch.strided:
                raise NoTensor(str(array.layout))
        return plain(array)
    numpy = sys.modules.get("numpy")  # half of it, while another thread imports it
    if type(array) is not getattr(numpy, "ndarray", None) or not array.flags.writeable:
        raise NoTensor(type(array).__name__)
    return torch.from_numpy(array)
