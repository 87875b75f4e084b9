"""Layouts of recorded inputs: the same tensor laid out in memory in several ways.

Every copy has the values of the original, except in the layout `expanded`, and requires a gradient if the original
does. Knows nothing of operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from passes.meta import CPU

MEMORY_FORMATS: Final = {4: torch.channels_last, 5: torch.channels_last_3d}
OFFSET: Final = 3  # elements before the first in the `offset` layout


def contiguous(tensor: Tensor) -> Tensor:
    """The tensor as it is."""
    return tensor


def transposed(tensor: Tensor) -> Tensor:
    """The first and the last dimension swapped in memory."""
    return tensor.transpose(0, -1).contiguous().transpose(0, -1)


def permuted(tensor: Tensor) -> Tensor:
    """The last dimension first in memory: as channels-last, but for any rank."""
    return tensor.movedim(-1, 0).contiguous().movedim(0, -1)


def sliced(tensor: Tensor) -> Tensor:
    """Every other element of the last dimension of a tensor twice as wide."""
    wide = torch.zeros((*tensor.shape[:-1], 2 * tensor.shape[-1]), dtype=tensor.dtype)
    wide[..., ::2] = tensor
    return wide[..., ::2]


def expanded(tensor: Tensor) -> Tensor:
    """The first part of the first dimension, again and again."""
    return tensor[:1].expand(tensor.shape)


def channels_last(tensor: Tensor) -> Tensor:
    """The tensor in the channels-last memory format of its rank (4 or 5)."""
    return tensor.contiguous(memory_format=MEMORY_FORMATS[tensor.dim()])


def offset(tensor: Tensor) -> Tensor:
    """The same strides, some elements into a larger storage."""
    memory = torch.zeros(tensor.numel() + OFFSET, dtype=tensor.dtype)
    moved = memory[OFFSET:].view(tensor.shape)
    return moved.copy_(tensor)


# Each layout, and the ranks of the tensors that can have it.
LAYOUTS: Final[dict[str, tuple[Callable[[Tensor], Tensor], Callable[[int], bool]]]] = {
    "contiguous": (contiguous, lambda rank: True),
    "transposed": (transposed, lambda rank: rank >= 2),
    "permuted": (permuted, lambda rank: rank >= 3),
    "sliced": (sliced, lambda rank: rank >= 1),
    "expanded": (expanded, lambda rank: rank >= 1),
    "channels-last": (channels_last, lambda rank: rank in MEMORY_FORMATS),
    "offset": (offset, lambda rank: True),
}


def laid_out(value: Any, layout: str) -> tuple[Any, bool]:
    """`value` with copies of its tensors, in this layout where they can have it; and whether it changed any of them.

    Tensors that cannot have the layout are copied too, so that a call may write to them.
    """
    if isinstance(value, Tensor):
        return _tensor(value, layout)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields") and not isinstance(value, torch.Size):
        parts = [laid_out(part, layout) for part in value]
        return type(value)(part for part, _ in parts), any(changed for _, changed in parts)
    if isinstance(value, dict):
        pairs = {key: laid_out(part, layout) for key, part in value.items()}
        return {key: part for key, (part, _) in pairs.items()}, any(changed for _, changed in pairs.values())
    return value, False


def _tensor(tensor: Tensor, layout: str) -> tuple[Tensor, bool]:
    change, suits = LAYOUTS[layout]
    plain = tensor.layout is torch.strided and not tensor.is_nested and not tensor.is_quantized
    copy = tensor.detach().clone()
    changed = plain and tensor.device.type == CPU.type and tensor.numel() > 0 and suits(tensor.dim())
    if changed:
        copy = change(copy)
        changed = layout != "contiguous" and (
            copy.stride() != tensor.stride() or copy.storage_offset() != tensor.storage_offset()
        )
    return copy.requires_grad_(tensor.requires_grad), changed
