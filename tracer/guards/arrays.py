"""The tensor that has the memory of a numpy array. Nothing here imports numpy before a program has an array."""

from __future__ import annotations

import sys
from typing import Any

import torch


class NoTensor(LookupError):
    """An array whose memory no tensor can have: it is not writeable, of another class, or of a strange dtype."""


def tensor_of(array: Any) -> torch.Tensor:
    """A tensor with the memory of an array. Raises NoTensor, or what torch says of its dtype and strides."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or type(array) is not numpy.ndarray or not array.flags.writeable:
        raise NoTensor(type(array).__name__)
    return torch.from_numpy(array)
