"""A call together with what autograd makes of it as one call, so that gradients are compared like any other result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from backends.crosscheck.calls import ConcreteCall, distinct

TWICE: Final = "a second time"
SECOND_ORDER: Final = "to second order"
ONE_RESULT: Final = "from the last result alone"
OTHERS_ZERO: Final = "from the last result, with zeros for the others"
EXPANDED: Final = "from one number expanded"
TRANSPOSED: Final = "from transposed gradients"
ALONE: Final = "to the first tensor alone"
MANNERS: Final = (TWICE, SECOND_ORDER, ONE_RESULT, EXPANDED, TRANSPOSED, ALONE)
"""Ways of going backward, besides once and from all results: a compiler need not support them."""


@dataclass(frozen=True)
class CallInTraining:
    """Runs `target` with gradients recorded, on tensors of which those `wanted` (indices in ConcreteCall.tensors)
    require them.
    """

    target: Any
    wanted: tuple[int, ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(ConcreteCall(self, args, kwargs), ConcreteCall.run)

    def run(self, call: ConcreteCall, run: Callable[[ConcreteCall], Any]) -> Any:
        """The call's result by `run`."""
        return self.differentiable(call, run)[0]

    def differentiable(self, call: ConcreteCall, run: Callable[[ConcreteCall], Any]) -> tuple[Any, list[Tensor]]:
        """The call's result by `run`, and the leaves that it can be differentiated by."""
        with torch.enable_grad():
            tensors = call.tensors
            leaves = [
                tensor.detach().clone().requires_grad_(index in self.wanted) for index, tensor in enumerate(tensors)
            ]
            # Not the leaves themselves: the call may write to what it is cotangents.
            inputs = {id(tensor): leaf.clone() for tensor, leaf in zip(tensors, leaves, strict=True)}
            result = run(replace(call, target=self.target).mapped(lambda tensor: inputs[id(tensor)]))
        return result, [leaves[index] for index in self.wanted]


@dataclass(frozen=True)
class CallAndBackward(CallInTraining):
    """Runs `target` and then backward, from fixed random gradients to the tensors `wanted`, in one of MANNERS.

    Returns the gradients, of the second time behind those of the first; None when no part of the target's result
    depends on those tensors.
    """

    manner: str = ""

    @property
    def times(self) -> int:
        """How often it goes backward from the results."""
        return 2 if self.manner == TWICE else 1

    def run(self, call: ConcreteCall, run: Callable[[ConcreteCall], Any]) -> Any:
        """Run the call by `run`, then backward; return the gradients of the tensors that are wanted."""
        result, wanted = self.differentiable(call, run)
        outputs = [part for part in distinct(tree_leaves(result)) if part.requires_grad]
        if self.manner == ONE_RESULT:
            outputs = outputs[-1:]
        if not outputs:
            return None
        with torch.enable_grad():
            cotangents = [LAID_OUT.get(self.manner, _as_it_is)(cotangent(output)) for output in outputs]
            if self.manner == OTHERS_ZERO:
                cotangents = [*map(torch.zeros_like, cotangents[:-1]), cotangents[-1]]
            gradients = _backward(outputs, wanted, cotangents, self.manner == TWICE, self.manner == SECOND_ORDER)
            if self.manner == TWICE:  # from others, which show where those of the first time are overwritten
                gradients = *gradients, *_backward(outputs, wanted, [-one for one in cotangents])
            elif self.manner == SECOND_ORDER:
                slopes = [part for part in gradients if part is not None and part.requires_grad]
                gradients = _backward(slopes, wanted, list(map(cotangent, slopes))) if slopes else [None] * len(wanted)
        leaves = list(wanted) * self.times
        return [torch.zeros_like(leaf) if part is None else part for leaf, part in zip(leaves, gradients, strict=True)]


def _backward(
    outputs: Sequence[Tensor],
    wanted: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    again: bool = False,
    higher: bool = False,
) -> Any:
    return torch.autograd.grad(
        outputs,
        wanted,
        cotangents,
        retain_graph=again or higher,
        create_graph=higher,
        allow_unused=True,
    )


def cotangent(output: Tensor) -> Tensor:
    """A fixed random gradient, the same for every dtype up to rounding."""
    generator = torch.Generator().manual_seed(output.numel())
    return torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.device, output.dtype)


def _as_it_is(gradient: Tensor) -> Tensor:
    return gradient


def _expanded(gradient: Tensor) -> Tensor:
    """What the backward of a sum gives."""
    return gradient.new_ones(()).expand(gradient.shape)


def _transposed(gradient: Tensor) -> Tensor:
    """The same gradient, its last two dimensions swapped in memory."""
    return gradient.mT.contiguous().mT if gradient.dim() > 1 else gradient


LAID_OUT: Final[dict[str, Callable[[Tensor], Tensor]]] = {EXPANDED: _expanded, TRANSPOSED: _transposed}


def with_gradients(call: ConcreteCall, manner: str = "") -> ConcreteCall:
    """`call` together with its gradients for the tensors that require them, as one call."""
    return replace(call, target=CallAndBackward(call.target, differentiated(call, manner), manner))


def in_training(call: ConcreteCall) -> ConcreteCall:
    """`call` with gradients recorded for the tensors that require them."""
    return replace(call, target=CallInTraining(call.target, differentiated(call)))


def differentiated(call: ConcreteCall, manner: str = "") -> tuple[int, ...]:
    """The numbers of the call's tensors that require gradients, and are given some in this manner."""
    wanted = tuple(index for index, tensor in enumerate(call.tensors) if tensor.requires_grad)
    return wanted[:1] if manner == ALONE else wanted
