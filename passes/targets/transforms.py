"""What a graph calls for the transforms of torch.func, and for checkpoints: functions of graph modules and tensors.

A body is a module that takes tensors and returns a tuple; those after its first inputs were lifted from the graph
around it, and no transform is about them. Nothing here knows how a body was captured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

Body = Callable[..., tuple[Any, ...]]


def vmapped(
    body: Body, in_dims: Sequence[int | None], out_dims: Sequence[int | None], randomness: str, *operands: Any
) -> tuple[Any, ...]:
    """The results of `body` for each index of dimension `in_dims` of its operands, stacked along `out_dims`."""
    vmap: Any = torch.vmap
    function = vmap(body, tuple(in_dims), tuple(out_dims), randomness)
    return tuple(function(*operands))


def gradients(body: Body, count: int, *operands: Any) -> tuple[Any, ...]:
    """The gradients of the first result of `body` by its first `count` operands, then all its results."""
    transform: Any = torch.func.grad_and_value(_parted(body, 0), tuple(range(count)), has_aux=True)
    slopes, (value, others) = transform(*operands)
    return (*slopes, value, *others)


def pull_back_results(body: Body, count: int, outputs: int, *operands: Any) -> tuple[Any, ...]:
    """The results of `body` as torch.func.vjp gives them: the first `outputs` are differentiated, others are not."""
    results, _, others = _vjp(body, count, outputs, operands)
    return (*results, *others)


def pulled_back(body: Body, count: int, outputs: int, *operands: Any) -> tuple[Any, ...]:
    """The cotangents of the first `count` operands of `body` for the cotangents of its results, which come first."""
    _, pull, _ = _vjp(body, count, outputs, operands[outputs:])
    return tuple(pull(tuple(operands[:outputs])))


def pushed_forward(body: Body, count: int, outputs: int, strict: bool, *operands: Any) -> tuple[Any, ...]:
    """The first `outputs` results of `body`, their tangents, then the others.

    The tangents of the first `count` operands come first.
    """
    tangents, primals, lifted = operands[:count], operands[count : 2 * count], operands[2 * count :]
    parted = _parted(body, outputs)
    transform: Any = torch.func.jvp
    results, slopes, others = transform(
        lambda *first: parted(*first, *lifted), tuple(primals), tuple(tangents), strict=strict, has_aux=True
    )
    return (*results, *slopes, *others)


def checkpointed(body: Body, count: int, options: Sequence[tuple[str, Any]], *operands: Any) -> tuple[Any, ...]:
    """The results of `body`, which is run again in backward; its first `count` operands are the program's own.

    A compiler that traces this is given torch's operator for it; random numbers are then its affair.
    """
    keywords = dict(options)
    if torch._C._len_torch_dispatch_stack() or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FUNCTIONAL):
        return tuple(torch.ops.higher_order.tag_activation_checkpoint(body, *operands, **keywords))
    lifted = operands[count:]
    return tuple(checkpoint(lambda *first: body(*first, *lifted), *operands[:count], **keywords))


def _vjp(body: Body, count: int, outputs: int, operands: Sequence[Any]) -> Any:
    parted, lifted = _parted(body, outputs), operands[count:]
    return torch.func.vjp(lambda *first: parted(*first, *lifted), *operands[:count], has_aux=True)


def _parted(body: Body, outputs: int) -> Callable[..., tuple[Any, tuple[Any, ...]]]:
    """`body`, with its first result alone (`outputs` is 0) or its first ones as a tuple, and the others in another."""

    def parted(*operands: Any) -> tuple[Any, tuple[Any, ...]]:
        results = body(*operands)
        return (results[:outputs], results[outputs:]) if outputs else (results[0], results[1:])

    return parted


def hooked(tensor: torch.Tensor, body: Body, *operands: Any) -> RemovableHandle:
    """Register a hook on a tensor: `body` takes its gradient and returns another in a tuple, or an empty one.

    Returns what removes it.
    """

    def hook(gradient: torch.Tensor) -> Any:
        results = body(gradient, *operands)
        return results[0] if results else None

    return tensor.register_hook(hook)


def unhooked(handle: RemovableHandle) -> None:
    """Remove a hook that `hooked` registered."""
    handle.remove()
