"""Sizes: whether a call that stands in a file makes more than the file accounts for, asked of fake tensors.

A few bytes can ask for all of a machine's memory: `x.repeat(10**9)`, an outer product of six vectors, the elements of a
tensor that is expanded as a tuple. The call is made without memory first, and each operator in it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from backends.crosscheck.calls import REFUSALS, ConcreteCall

ALWAYS: Final = 1 << 24  # elements that a tensor may have whatever is in the file
FACTOR: Final = 16  # how many times what is in the file a tensor may have
MOST_CALLS: Final = 1 << 16  # operators that one call may be made of, and tensors that one operator may give
MOST_DIMENSIONS: Final = 64  # with which torch computes
# Operators that give as many tensors as a dimension has elements, or parts of this size.
INTO_PARTS: Final = ("unbind", "split", "unsafe_split")


class BeyondFile(Exception):
    """The call asks for more than its file accounts for; the message says for what."""


def most_elements(memory: Iterable[Tensor]) -> int:
    """How many elements a tensor may have in a case that holds this memory."""
    return max(ALWAYS, FACTOR * sum(flat.numel() for flat in memory))


def refuse_large(call: ConcreteCall, most: int) -> None:
    """Raise BeyondFile if a tensor that the call makes has more than `most` elements, or it makes too many of them.

    What fake tensors cannot say, as it depends on data or has no fake kernel, is not refused.
    """
    with FakeTensorMode(allow_fallback_kernels=False):
        fake = call.mapped(_without_memory)
        with _Limits(most):
            try:
                fake.run()
            except REFUSALS:
                return


def _without_memory(tensor: Tensor) -> Tensor:
    """In the mode of fake tensors: one of the same shape, strides and dtype."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)


class _Limits(TorchDispatchMode):
    """Raises BeyondFile at the first operator that is beyond the limits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.calls = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.calls += 1
        if self.calls > MOST_CALLS or _parts(func, args) > MOST_CALLS:
            raise BeyondFile(f"{func} gives more than {MOST_CALLS} tensors, or is called as often")
        result = func(*args, **(kwargs or {}))
        for part in tree_iter(result):
            if isinstance(part, Tensor) and part.dim() > MOST_DIMENSIONS:
                raise BeyondFile(f"{func} gives {part.dim()} dimensions")
            if isinstance(part, Tensor) and part.numel() > self.most:
                raise BeyondFile(f"{func} gives {part.numel()} elements; this case accounts for {self.most}")
        return result


def _parts(func: Any, args: Any) -> int:
    """How many tensors an operator gives that takes a tensor apart; 0 for others."""
    if getattr(func, "overloadpacket", None) is None or func.overloadpacket.__name__ not in INTO_PARTS:
        return 0
    size = args[1] if len(args) > 1 and func.overloadpacket.__name__ != "unbind" else 1
    return max(args[0].shape, default=0) // max(size, 1) if isinstance(size, int) else 0
