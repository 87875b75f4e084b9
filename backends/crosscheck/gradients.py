"""A call together with its gradients as one call, so that gradients are compared like any other result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from backends.crosscheck.calls import ConcreteCall, distinct


@dataclass(frozen=True)
class CallAndBackward:
    """Runs `target` and then backward, from fixed random gradients to the tensors `wanted` (indices in
    ConcreteCall.tensors).

    Returns the gradients; None when no part of the target's result depends on those tensors.
    """

    target: Any
    wanted: tuple[int, ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(ConcreteCall(self, args, kwargs), ConcreteCall.run)

    def run(self, call: ConcreteCall, run: Callable[[ConcreteCall], Any]) -> Any:
        """Run the call by `run`, then backward; return the gradients of the tensors that are wanted."""
        with torch.enable_grad():
            tensors = call.tensors
            leaves = [
                tensor.detach().clone().requires_grad_(index in self.wanted) for index, tensor in enumerate(tensors)
            ]
            # Not the leaves themselves: the call may write to what it is given.
            inputs = {id(tensor): leaf.clone() for tensor, leaf in zip(tensors, leaves, strict=True)}
            result = run(replace(call, target=self.target).mapped(lambda tensor: inputs[id(tensor)]))
            outputs = [part for part in distinct(tree_leaves(result)) if part.requires_grad]
            if not outputs:
                return None
            wanted = [leaves[index] for index in self.wanted]
            gradients: Any = torch.autograd.grad(outputs, wanted, list(map(cotangent, outputs)), allow_unused=True)
        return [torch.zeros_like(leaf) if part is None else part for leaf, part in zip(wanted, gradients, strict=True)]


def cotangent(output: Tensor) -> Tensor:
    """A fixed random gradient, the same for every dtype up to rounding."""
    generator = torch.Generator().manual_seed(output.numel())
    return torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.device, output.dtype)


def with_gradients(call: ConcreteCall) -> ConcreteCall:
    """`call` together with its gradients for the tensors that require them, as one call."""
    wanted = tuple(index for index, tensor in enumerate(call.tensors) if tensor.requires_grad)
    return replace(call, target=CallAndBackward(call.target, wanted))
