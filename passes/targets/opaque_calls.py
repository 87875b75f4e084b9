"""Calls of functions that nobody looks into before a compiler does: tensors in, tensors out, all else fixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils import _pytree


class OpaqueCall:
    """What a graph calls for `function`: it is given operands, and returns the leaves of the result as a tuple.

    The arguments have `structure`, as torch's pytrees see them, and `leaves`, of which those at `places` are operands.
    The tensors of `modules` are operands, too, by their names. `result` is the structure of the last result.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        structure: Any,
        leaves: Sequence[Any],
        places: Sequence[int],
        modules: Sequence[tuple[torch.nn.Module, Sequence[str]]],
    ) -> None:
        self.function = function
        self.structure = structure
        self.leaves = leaves
        self.places = places
        self.modules = modules
        self.result: Any = None
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *operands: Any) -> tuple[Any, ...]:
        leaves = list(self.leaves)
        rest = iter(operands)
        for place in self.places:
            leaves[place] = next(rest)
        with ExitStack() as stack:
            for module, names in self.modules:
                tensors = {name: next(rest) for name in names}
                originals = {**dict(module.named_parameters()), **dict(module.named_buffers())}
                if any(originals[name] is not tensor for name, tensor in tensors.items()):
                    stack.enter_context(_reparametrize_module(module, tensors))
            args, kwargs = _pytree.tree_unflatten(leaves, self.structure)
            results, self.result = _pytree.tree_flatten(self.function(*args, **kwargs))
        return tuple(results)

    def __repr__(self) -> str:
        return f"OpaqueCall({self.__name__})"
