"""Other sizes: a call with every dimension of one size made another, everywhere at once.

Equal sizes belong together more often than not; where they do not, the call itself raises. Nothing here compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from backends.crosscheck.calls import ConcreteCall, attempt, is_plain
from backends.crosscheck.layouts import LIMIT
from backends.crosscheck.operators import is_registered, name_of
from backends.crosscheck.reference import shares_memory
from passes.meta import meta_of
from passes.operators.stand_ins import FakeStandIns

RESIZED: Final = 6  # calls of other sizes that are tried
OPERATORS_OF_NODE: Final = 20  # of a graph with a large size, on average
RECURRENT: Final = ("lstm", "gru", "rnn_tanh", "rnn_relu")  # weights of other sizes make oneDNN end the process
ANY_ERROR: Final = (Exception,)  # libraries whose functions a graph calls raise errors of their own
LARGE: Final = 33_000  # elements: more than torch's kernels leave to one thread, and no multiple of a vector


def other_sizes(call: ConcreteCall) -> Iterator[tuple[str, ConcreteCall]]:
    """Up to RESIZED calls with a size of 1, of 0 or a large odd one, that the graph of `call` accepts, and words for
    each. None for a graph that calls an operator whose kernel may believe sizes unseen.
    """
    if any(_believes_sizes(node) for node in call.target.graph.nodes):
        return
    sizes = list(dict.fromkeys(size for tensor in call.tensors for size in tensor.shape))
    left = RESIZED
    for size in sizes:
        for new in (1, 0, _large(call, size)):
            if not left:
                return
            resized = _accepted(call, size, new) if new != size and size else None
            if resized is not None:
                left -= 1
                yield f"{new:,} for sizes of {size:,}", resized


def _large(call: ConcreteCall, size: int) -> int:
    """An odd size with which the largest tensor that has it takes LARGE elements."""
    largest = max(tensor.numel() for tensor in call.tensors if size in tensor.shape)
    return max(LARGE * size // max(largest, 1), 2 * size) | 1


def _accepted(call: ConcreteCall, size: int, new: int) -> ConcreteCall | None:
    """The resized call that runs; None if none does, or needs too much memory."""
    if not all(map(is_plain, call.tensors)) or shares_memory(call.tensors):
        return None
    resized = call.mapped(lambda tensor: _resized(tensor, size, new))
    for other in (resized, with_numbers(resized, size, new)):
        if _is_sound(other) and attempt(other.copied()).error is None:
            return other
    return None


def _resized(tensor: Tensor, size: int, new: int) -> Tensor:
    return narrowed(tensor, size, new) if new < size else _enlarged(tensor, size, new)


def _enlarged(tensor: Tensor, size: int, new: int) -> Tensor:
    """A tensor with its elements repeated along every dimension of length `size`, to length `new`."""
    result, index = tensor.detach(), torch.arange(new, device=tensor.device) % size
    for dimension, length in enumerate(tensor.shape):
        if length == size and result.numel() // size * new <= LIMIT:
            result = result.index_select(dimension, index)
    return result.clone().requires_grad_(tensor.requires_grad)


class _Bounded(TorchDispatchMode):
    """Refuses results of more than LIMIT elements, and more operators than there are left."""

    def __init__(self, operators: int) -> None:
        super().__init__()
        self.left = operators

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        result = func(*args, **kwargs or {})
        if self.left < 0 or any(isinstance(leaf, Tensor) and leaf.numel() > LIMIT for leaf in tree_leaves(result)):
            raise MemoryError
        return result


def _believes_sizes(node: Node) -> bool:
    """Whether a kernel may read outside of a tensor whose size does not fit the others."""
    return is_registered(node.target) or name_of(ConcreteCall(node.target, ())) in RECURRENT


def _is_sound(call: ConcreteCall) -> bool:
    """Whether torch's fake tensors say that sizes fit each other, and that the graph makes no tensor of more than LIMIT
    elements, and does not repeat operators many times.
    """
    stand_ins = FakeStandIns()
    stand_ins._mode.allow_non_fake_inputs = True  # constants that the graph holds
    fakes = call.mapped(lambda tensor: stand_ins.make(meta_of(tensor.detach())))
    try:
        with stand_ins.active(), _Bounded(OPERATORS_OF_NODE * len(call.target.graph.nodes)):
            fakes.run()
    except ANY_ERROR:
        return False
    return True


def narrowed(tensor: Tensor, size: int, new: int) -> Tensor:
    """The call with every dimension of length `size` cut to `new`. Dense tensors stay dense."""
    if not is_plain(tensor):
        return tensor
    index = tuple(slice(new) if length == size else slice(None) for length in tensor.shape)
    cut = tensor.detach()[index]
    return cut.clone().requires_grad_(tensor.requires_grad)


def with_numbers(call: ConcreteCall, size: int, new: int) -> ConcreteCall:
    """The call with `new` for every argument that equals the number `size`."""

    def other(leaf: Any) -> Any:
        return new if type(leaf) is int and leaf == size else leaf

    if not isinstance(call.target, GraphModule):
        args, kwargs = tree_map(other, (call.args, call.kwargs))
        return replace(call, args=args, kwargs=kwargs)
    graph = Graph()
    places: dict[Node, Node] = {}
    for node in call.target.graph.nodes:
        places[node] = graph.node_copy(node, lambda used: places[used])
        if node.op.startswith("call_"):
            places[node].args = tree_map(other, tuple(places[node].args))
            places[node].kwargs = tree_map(other, dict(places[node].kwargs))
    return replace(call, target=GraphModule(call.target, graph), args=tuple(map(other, call.args)))
