"""What is done with a call of a function that its user has marked: constant, allowed in graphs, or another instead.

Which functions are marked is in `mark_tables.py`, who marks them is `tracer/marks.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch.utils import _pytree

from passes.accelerator import random_numbers_kept
from passes.node_meta import is_write
from passes.targets.opaque_calls import OpaqueCall
from tracer.guards.source import kept
from tracer.interpret.constants import computed, describe
from tracer.interpret.functions import interpret_function
from tracer.interpret.graph_values import nodes_before, result_of
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.mark_tables import is_nonstrict, substitute_of
from tracer.reasons import DATA_TO_PYTHON, DISABLED, UNSUPPORTED_CALL
from tracer.values.base import SYMBOLS, Value, realise
from tracer.values.concrete import concrete
from tracer.values.dicts import DictValue
from tracer.values.from_host import from_host
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.lists import ListValue
from tracer.values.number_symbols import NumberSymbol
from tracer.values.objects import ObjectValue
from tracer.values.protocols.attributes import get_attribute
from tracer.values.protocols.iteration import unpack
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple

Args = Sequence[Item]
Kwargs = Mapping[str, Item]


def refuse_disallowed(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> NoReturn:
    """A break at a callable that is marked with `disallow_in_graph`."""
    trace.stop(DISABLED, describe(function))


def call_substitute(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """What the user has registered to be interpreted instead of a function."""
    substitute = substitute_of(function)
    assert substitute is not None
    if substitute.folds:
        try:
            return computed(trace, substitute.original, args, kwargs)
        except NotConcrete:
            pass
    return interpret_function(trace, substitute.body, args, kwargs)


# Constant results ------------------------------------------------------------------------------------


def compute_marked(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """The result of a function whose author marked it as constant: of whole objects, and of tensors as they are now."""
    try:
        real_args = [_real(trace, arg) for arg in args]
        real_kwargs = {name: _real(trace, arg) for name, arg in kwargs.items()}
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of a traced value")
    return from_host(trace, host(trace, function, *real_args, **real_kwargs), kept)


def _real(trace: Trace, item: Item) -> Any:
    """The real object for an argument; a tensor of the graph is computed. Raises NotConcrete."""
    item = realise(trace, item)
    if isinstance(item, TensorValue):
        return _computed_tensor(trace, item)
    if isinstance(item, (ListValue, TupleValue)) and any(isinstance(part, TensorValue) for part in item.all(trace)):
        return item.cls([_real(trace, part) for part in item.all(trace)])
    return concrete(trace, item, instances=True)


def _computed_tensor(trace: Trace, value: TensorValue) -> torch.Tensor:
    """A tensor as it is at this point of the program, for the inputs of this call."""
    if value.node is None and value.source is not None:
        value.touch(trace)
        if value.source not in trace.written:
            return value.object  # type: ignore[return-value]
    if trace.graph.is_inner or value.node is None or any(map(is_write, trace.graph.graph.nodes)):
        trace.stop(
            DATA_TO_PYTHON, "a function with a constant result is given a tensor of a graph that writes to tensors"
        )
    examples = {node: example for _, node, example in trace.inputs}
    with random_numbers_kept(), torch.no_grad():
        return result_of(trace, value.node, nodes_before(value.node), examples).detach()


# Nodes of the graph ----------------------------------------------------------------------------------


def call_marked_operator(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """A node of the graph: of the function itself if a graph can hold all its arguments, else of an opaque call."""
    args = [realise(trace, arg) for arg in args]
    kwargs = {name: realise(trace, arg) for name, arg in kwargs.items()}
    if not is_nonstrict(function) and _fit_graph(trace, (*args, *kwargs.values())):
        return tensor_op(trace, function, args, kwargs, remembered=False)
    return _call_opaque(trace, function, args, kwargs)


def _fit_graph(trace: Trace, items: Iterable[Item]) -> bool:
    """Whether a graph can hold items as arguments."""
    for item in items:
        item = realise(trace, item)
        if isinstance(item, (ListValue, TupleValue, DictValue)):
            parts = item.items.values() if isinstance(item, DictValue) else item.all(trace)
            if not _fit_graph(trace, parts):
                return False
        elif isinstance(item, Value) and not isinstance(item, TensorValue):
            return False
    return True


def _call_opaque(trace: Trace, function: Any, args: Args, kwargs: Kwargs) -> Item:
    """A node for a call of which a graph holds the tensors and numbers, the call itself everything else."""
    arguments = make_tuple([make_tuple(list(args)), DictValue(dict, dict(kwargs))])
    flat, structure = unpack(trace, trace.machine.call(trace, _pytree.tree_flatten, [arguments], {}))
    places: list[int] = []
    leaves: list[Any] = []
    operands: list[Item] = []
    modules: list[tuple[torch.nn.Module, list[str]]] = []
    tensors: list[Item] = []
    for place, leaf in enumerate(unpack(trace, flat)):
        item = realise(trace, leaf)
        if isinstance(item, (TensorValue, NumberSymbol)) or type(item) in SYMBOLS:
            places.append(place)
            operands.append(item)
            leaves.append(None)
            continue
        leaves.append(_fixed(trace, function, item))
        if isinstance(leaves[-1], torch.nn.Module):
            names = [name for name, _ in (*leaves[-1].named_parameters(), *leaves[-1].named_buffers())]
            modules.append((leaves[-1], names))
            tensors += [_part(trace, item, name) for name in names]
    opaque = OpaqueCall(function, _real_structure(trace, structure), leaves, places, modules)
    results = tensor_op(trace, opaque, [*operands, *tensors], remembered=False)
    parts = [ListValue(list, list(unpack(trace, results))), from_host(trace, opaque.result, kept)]
    return trace.machine.call(trace, _pytree.tree_unflatten, parts, {})


def _fixed(trace: Trace, function: Any, item: Item) -> Any:
    """An argument that is no tensor or number which varies: it is that object in each call."""
    try:
        real = concrete(trace, item, instances=True)
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, f"{describe(function)} of an object that the captured function has made")
    if isinstance(item, ObjectValue) and item.source is not None:
        trace.guard(item.source, "same object", real)
    return real


def _part(trace: Trace, module: Item, name: str) -> Item:
    """A parameter or buffer of a module by its dotted name."""
    for part in name.split("."):
        module = realise(trace, get_attribute(trace, module, part))
    return module


def _real_structure(trace: Trace, structure: Item) -> Any:
    """The structure of a pytree as torch has it, for one that was made in the trace."""
    kind, context = (concrete(trace, get_attribute(trace, structure, name)) for name in ("type", "_context"))
    children = unpack(trace, get_attribute(trace, structure, "_children"))
    return _pytree.TreeSpec(kind, context, [_real_structure(trace, realise(trace, child)) for child in children])
