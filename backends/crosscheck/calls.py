"""Calls: an operator, a graph or a module with concrete arguments, and copies of them.

A copy shares nothing with the original, and its tensors share memory with each other as the originals do. All checks
work on copies. Nothing here knows what is compared.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import attrgetter
from types import MethodType
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from backends.crosscheck.process_state import DRAWN, StateChange, process_state, put_back
from passes.accelerator import random_numbers_kept
from passes.node_meta import STACK_TRACE
from passes.operators.modes import modes_kept
from passes.operators.outcome import OPERATOR_ERRORS

# What a call may raise on arguments that it was not made for. Anything else is an error of ours.
REFUSALS: Final = OPERATOR_ERRORS

# Methods that name a dtype.
CASTS: Final = {"float": "double", "half": "double", "bfloat16": "double", "cfloat": "cdouble"}
OFFSETS: Final = 1024  # elements before a tensor that are copied with it
Convert = Callable[[Tensor], Tensor]
WIDER: Final = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex32: torch.complex128,
    torch.complex64: torch.complex128,
}


@dataclass(frozen=True)
class ConcreteCall:
    """A call with its arguments. `target` is a callable, the name of a method, a module or a graph.

    `line` is the user's line that made the call, as a traceback shows it; `name` is the name of its node.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    line: str | None = None
    name: str = ""

    @property
    def title(self) -> str:
        """The name of the target as the user knows it."""
        if isinstance(self.target, GraphModule):
            return self.name or "graph"
        if isinstance(self.target, str):
            return f"Tensor.{self.target}"
        if isinstance(self.target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            return f"torch.ops.{self.target}"
        if isinstance(self.target, torch.nn.Module):
            return type(self.target).__name__
        if isinstance(self.target, MethodType):
            owner: Any = self.target.__self__
            return f"{getattr(owner, '__name__', type(owner).__name__)}.{self.target.__func__.__name__}"
        if self.target is operator.call and self.args and callable(self.args[0]):
            return replace(self, target=self.args[0], args=self.args[1:]).title
        return getattr(self.target, "__name__", type(self.target).__name__)

    @property
    def tensors(self) -> list[Tensor]:
        """The distinct tensors among the arguments, in order."""
        return distinct(tree_leaves((self.args, self.kwargs)))

    def run(self) -> Any:
        """Make the call, which may write to its arguments, and return its result."""
        if isinstance(self.target, str):
            return getattr(self.args[0], self.target)(*self.args[1:], **self.kwargs)
        if isinstance(self.target, GraphModule):
            return Interpreter(self.target, garbage_collect_values=False).run(*self.args)
        return self.target(*self.args, **self.kwargs)

    def mapped(self, convert: Convert) -> ConcreteCall:
        """The same call on other tensors; a tensor that occurs twice is converted once."""
        memo: dict[int, Tensor] = {}

        def once(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if id(leaf) not in memo:
                memo[id(leaf)] = convert(leaf)
            return memo[id(leaf)]

        args, kwargs = tree_map(once, (tuple(self.args), dict(self.kwargs)))
        return replace(self, args=args, kwargs=kwargs)

    def copied(self, dtype: Callable[[torch.dtype], torch.dtype] = lambda dtype: dtype) -> ConcreteCall:
        """The call on copies of its tensors, with the same layout and aliasing, in the dtypes that `dtype` gives."""
        copies = alias_preserving(self.tensors, dtype)
        call = replace(self.mapped(lambda tensor: copies[id(tensor)]), target=_copied_target(self.target, dtype))
        if dtype is not wider or isinstance(call.target, GraphModule):
            return call
        args, kwargs = tree_map(_wider_constant, (call.args, call.kwargs))
        target = CASTS.get(call.target, call.target) if isinstance(call.target, str) else call.target
        return replace(call, target=target, args=args, kwargs=kwargs)


def _copied_target(target: Any, dtype: Callable[[torch.dtype], torch.dtype]) -> Any:
    """The target; a module with state is copied, because running it may change it."""
    if isinstance(target, GraphModule):
        holds = any(node.op in ("get_attr", "call_module") for node in target.graph.nodes)
        return widened(target, dtype) if holds or dtype is wider else target
    return copied_module(target, dtype) if isinstance(target, torch.nn.Module) else target


def copied_module(module: torch.nn.Module, dtype: Callable[[torch.dtype], torch.dtype] = lambda dtype: dtype) -> Any:
    """A module with its own parameters and buffers, in the dtypes that `dtype` gives."""
    target = copy.deepcopy(module)
    for tensor in (*target.parameters(), *target.buffers()):
        tensor.data = tensor.data.to(dtype(tensor.dtype))
    return target


def wider(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the reference: float64 or complex128 for less precise dtypes; others stay as they are."""
    return WIDER.get(dtype, dtype)


def _wider_constant(leaf: Any) -> Any:
    return wider(leaf) if isinstance(leaf, torch.dtype) else leaf


class Widening(TorchFunctionMode):
    """A mode in which calls that name a narrow dtype, such as casts inside a model, get the reference's dtype."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cast = CASTS.get(getattr(func, "__name__", ""))
        if cast is not None and func is getattr(Tensor, func.__name__, None):
            func = getattr(Tensor, cast)
        args, kwargs = tree_map(_wider_constant, (args, kwargs or {}))
        return func(*args, **kwargs)


def widened(module: GraphModule, dtype: Callable[[torch.dtype], torch.dtype]) -> GraphModule:
    """The graph with copies of what it holds; if `dtype` is `wider`, with float64 for every narrower dtype that it
    names.
    """
    graph = Graph()
    places: dict[Node, Node] = {}
    held: dict[str, Any] = {}
    for node in module.graph.nodes:
        copied = places[node] = graph.node_copy(node, lambda used: places[used])
        if node.op in ("get_attr", "call_module"):
            value = attrgetter(str(node.target))(module)
            held[str(node.target)] = _alone(value.detach(), dtype) if isinstance(value, Tensor) else value
            if isinstance(value, torch.nn.Module):
                held[str(node.target)] = copied_module(value, dtype)
        if dtype is wider:
            copied.args, copied.kwargs = tree_map(_wider_constant, (tuple(copied.args), dict(copied.kwargs)))
            if node.op == "call_method":
                copied.target = CASTS.get(str(node.target), str(node.target))
    return GraphModule(held, graph)


def distinct(leaves: Iterable[Any]) -> list[Tensor]:
    """The tensors among `leaves`, each once."""
    return list({id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}.values())


def is_plain(tensor: Tensor) -> bool:
    """Whether the tensor consists of elements at strides in a storage, and of nothing else."""
    return (
        type(tensor) in (Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and not (tensor.is_quantized or tensor.is_nested or tensor.is_conj() or tensor.is_neg())
        and tensor.device.type != "meta"
    )


def span(tensor: Tensor) -> tuple[int, int]:
    """The index of the first element of its storage that a tensor uses, and the index after the last."""
    first = int(tensor.storage_offset())
    if tensor.numel() == 0:
        return first, first
    return first, first + 1 + sum(
        (size - 1) * int(stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )


def alias_preserving(
    tensors: list[Tensor], dtype: Callable[[torch.dtype], torch.dtype] = lambda dtype: dtype
) -> dict[int, Tensor]:
    """Copies, by the id of the original tensor. Tensors that share a storage get copies that share one.

    Copies are as far into their storage as the originals; where those are further than OFFSETS elements, as many
    elements after a multiple of OFFSETS. If one storage is read as several dtypes and the dtypes change, each tensor is
    copied by itself.
    """
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        key = tensor.untyped_storage()._cdata if is_plain(tensor) else id(tensor)
        groups.setdefault(key, []).append(tensor)
    copies: dict[int, Tensor] = {}
    for group in groups.values():
        first = group[0].detach()
        kinds = {tensor.dtype for tensor in group}
        if not is_plain(first) or len(kinds) > 1:
            copies.update((id(tensor), _alone(tensor.detach(), dtype)) for tensor in group)
            continue
        begin, end = min(span(tensor)[0] for tensor in group), max(span(tensor)[1] for tensor in group)
        begin -= begin if begin <= OFFSETS else begin % OFFSETS
        flat = torch.as_strided(first, (end - begin,), (1,), begin).to(dtype(first.dtype), copy=True)
        for tensor in group:
            copies[id(tensor)] = flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset() - begin)
    return copies


def _alone(tensor: Tensor, dtype: Callable[[torch.dtype], torch.dtype]) -> Tensor:
    copied = tensor.clone()
    return copied if dtype(tensor.dtype) is tensor.dtype else copied.to(dtype(tensor.dtype))


class ConcreteOutcome(NamedTuple):
    """A call's outcome: its result, its tensor arguments afterwards, whether it drew random numbers, or its error.

    `left` is what it left changed of the state of the process; `written` are the numbers of the arguments that torch
    counts as written to, whether or not their values changed.
    """

    result: Any
    arguments: list[Tensor]
    drew: bool
    error: Exception | None
    left: Sequence[StateChange] = ()
    written: Sequence[int] = ()

    @property
    def outputs(self) -> list[Any]:
        """The parts of the result in order: tensors, numbers and other objects."""
        return tree_leaves(self.result)


def attempt(
    call: ConcreteCall,
    run: Callable[[ConcreteCall], Any] = ConcreteCall.run,
    seed: Tensor | None = None,
    refusals: tuple[type[Exception], ...] = REFUSALS,
) -> ConcreteOutcome:
    """Run the call without copying. `seed` is the state of the random number generator to begin with.

    The state of the process, with the modes of torch, is put back. Errors other than `refusals` pass through.
    """
    tensors = call.tensors
    with random_state(seed), modes_kept():
        versions, state = list(map(_version, tensors)), process_state()
        try:
            result, error = run(call), None
        except refusals as refusal:
            result, error = None, refusal
        finally:
            left = put_back(state)
        written = [index for index, tensor in enumerate(tensors) if _version(tensor) != versions[index]]
    drew = any(change.state == DRAWN for change in left)
    return ConcreteOutcome(result, tensors, drew, error, left, written)


def _version(tensor: Tensor) -> int:
    """How often a tensor was written to; tensors of inference mode do not count."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def random_state(state: Tensor | None) -> Any:
    """A context with this state of the random numbers (None: the current one); the state before it is restored."""
    before = torch.get_rng_state() if state is None else state
    with random_numbers_kept():
        torch.set_rng_state(before)
        yield before


def single(call: ConcreteCall, result: Any) -> tuple[GraphModule, list[Tensor]]:
    """A graph of this one call: its tensors are inputs, the parts of its `result` are outputs."""
    if isinstance(call.target, GraphModule):
        return call.target, list(call.args)
    graph = Graph()
    tensors = call.tensors
    places = {id(tensor): graph.placeholder(f"input_{index}") for index, tensor in enumerate(tensors)}
    args, kwargs = tree_map(
        lambda leaf: places[id(leaf)] if isinstance(leaf, Tensor) else leaf, (call.args, call.kwargs)
    )
    attributes: dict[str, Any] = {}
    if isinstance(call.target, str):
        node = graph.call_method(call.target, args, kwargs)
    elif isinstance(call.target, torch.nn.Module):
        attributes["module"] = call.target
        node = graph.call_module("module", args, kwargs)
    else:
        node = graph.call_function(call.target, args, kwargs)
    node.meta[STACK_TRACE] = call.line
    graph.output(tuple(parts_of(graph, node, result)))
    return GraphModule(attributes, graph), tensors


def parts_of(graph: Graph, node: Node, result: Any) -> Iterable[Node]:
    """A node for each tensor in the result of `node`, which are new ones if there are several."""
    if isinstance(result, Tensor):
        yield node
    elif isinstance(result, tuple | list):
        for index, part in enumerate(result):
            if any(isinstance(leaf, Tensor) for leaf in tree_leaves(part)):
                yield from parts_of(graph, graph.call_function(operator.getitem, (node, index)), part)
