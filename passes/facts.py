"""Facts: calls that only tell what is known of a tensor, answered from its meta (`x.size(0)`, `torch.numel(x)`).

Knows nothing of operators that compute, and runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.outcome import Arguments, Target

Answer = Callable[[TensorMeta], Any]

SIGNED: Final = (torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64)

# By the name of the method.
ANSWERS: Final[dict[str, Answer]] = {
    "size": lambda meta: torch.Size(meta.shape),  # pyright: ignore[reportArgumentType]
    "stride": lambda meta: meta.stride,
    "dim": lambda meta: len(meta.shape),
    "ndimension": lambda meta: len(meta.shape),
    "numel": lambda meta: math.prod(meta.shape),
    "nelement": lambda meta: math.prod(meta.shape),
    "storage_offset": lambda meta: meta.storage_offset,
    "element_size": lambda meta: meta.dtype.itemsize,
    "is_floating_point": lambda meta: meta.dtype.is_floating_point,
    "is_complex": lambda meta: meta.dtype.is_complex,
    "is_signed": lambda meta: meta.dtype not in SIGNED,
    "is_conj": lambda meta: meta.is_conj,
    "is_neg": lambda meta: meta.is_neg,
    "is_inference": lambda meta: meta.is_inference,
}
INDEXED: Final = {"size": lambda meta: meta.shape, "stride": lambda meta: meta.stride}  # with a dimension
FUNCTIONS: Final[dict[Any, str]] = {
    torch.numel: "numel",
    torch.is_floating_point: "is_floating_point",
    torch.is_complex: "is_complex",
    torch.is_conj: "is_conj",
    torch.is_neg: "is_neg",
    torch.is_inference: "is_inference",
    **{getattr(torch.Tensor, name): name for name in ANSWERS if name != "stride"},
}


def fact(target: Target, args: Arguments) -> tuple[Any] | None:
    """What a call tells of a strided tensor, in a tuple of one; None for other calls."""
    if not args or type(args[0]) is not TensorMeta or args[0].stride is None:
        return None
    name = target[1] if type(target) is tuple and target[0] == "method" else FUNCTIONS.get(target)
    answer = ANSWERS.get(name)
    if answer is None:
        return None
    if len(args) == 1:
        return (answer(args[0]),)
    sizes = INDEXED[name](args[0]) if name in INDEXED else ()
    if len(args) == 2 and type(args[1]) is int and -len(sizes) <= args[1] < len(sizes):
        return (sizes[args[1]],)
    return None
