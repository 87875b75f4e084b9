"""Operators on tensors that hold tensors: one node for each call, whose outcome is tried on stand-ins.

The class of the tensor answers, on stand-ins as when the graph runs. Operators that write to such a tensor, or that
need data, break the graph.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from passes.meta import TensorMeta, meta_of
from passes.node_meta import META
from passes.operators.outcome import DataDependent, OpError, Unsupported, leaves, rebuilt
from passes.operators.randomness import never_drawing
from passes.operators.refusals import may_refuse
from passes.operators.trial import CONSTANTS, CONTAINERS, call_on
from passes.operators.wrapper_layouts import is_wrapper_class, layout_of, layout_or_none, specialised, versions
from tracer.interpret.input_names import input_name, local_name
from tracer.interpret.tensor_ops import Lowering, name_of
from tracer.interpret.trace import Trace
from tracer.reasons import ERROR_IN_HANDLER, OPERATOR_ERROR, TENSOR_SUBCLASS, GraphBreak
from tracer.values.base import SYMBOLS
from tracer.values.class_attributes import METHOD_DESCRIPTORS
from tracer.values.graph_arguments import GraphArgument
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.ragged_sizes import RaggedSize
from tracer.values.shapes import as_python
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple
from tracer.values.wrapper_tensors import WrapperTensor, stand_ins_of

NO_KEYWORDS: Mapping[str, Item] = {}

Tensor = TensorValue | WrapperTensor


@dataclass(frozen=True, eq=False, slots=True)
class Given:
    """A tensor, or a ragged size, among the arguments of a call, in the place of its meta."""

    value: Tensor | RaggedSize

    @property
    def meta(self) -> Any:
        """What is known of it."""
        value = self.value
        return value.meta if isinstance(value, TensorValue) else value.layout if isinstance(value, WrapperTensor) else 0


class WrapperLowering(Lowering):
    """The arguments of a call on their way into the graph, where tensors may hold others."""

    __slots__ = ("operands",)

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self.operands: list[Tensor] = []

    def tensor(self, value: TensorValue) -> GraphArgument:
        """A plain tensor, by its node and as it is."""
        node, _ = super().tensor(value)
        self.operands.append(value)
        return node, Given(value)

    def wrapper(self, value: WrapperTensor | RaggedSize) -> GraphArgument:
        """A tensor that holds others, or a ragged size, by its node and as it is."""
        trace = self.context
        if isinstance(value, RaggedSize):
            return value.node, Given(value)
        if value.node is None:
            assert value.source is not None
            name = input_name(local_name(trace, value) or value.source.text)
            value.node = trace.graph.placeholder(name, value.layout, value.source.text)
            trace.inputs.append((value.source, value.node, value.object))
        self.operands.append(value)
        return value.node, Given(value)


def wrapper_op(trace: Trace, target: Any, args: Sequence[Item], kwargs: Mapping[str, Item] = NO_KEYWORDS) -> Item:
    """One call of an operator, or of a class of such tensors, with one among its arguments or its results."""
    name = name_of(target)
    if not trace.overrides or trace.graph.is_inner:
        trace.stop(TENSOR_SUBCLASS, f"{name} inside of a function that an operator is given, or past overrides")
    arguments = WrapperLowering(trace)
    lowered = [arguments.lower(arg) for arg in args]
    named = {key: arguments.lower(arg) for key, arg in kwargs.items()}
    for number in arguments.numbers:
        number.number()
    keys = [*(key for _, key in lowered), *(key for _, key in named.values())]
    if any(type(leaf) in SYMBOLS for leaf in leaves(keys)):
        trace.stop(TENSOR_SUBCLASS, f"{name} is given a size that varies")
    if type(target) in METHOD_DESCRIPTORS:
        target = ("method", target.__name__)
    positional_keys, named_keys = [key for _, key in lowered], {key: pair[1] for key, pair in named.items()}
    _keep_errors_in_order(trace, target, positional_keys, named_keys)
    result = _tried(trace, target, positional_keys, named_keys, arguments.operands)
    if all(type(leaf) in CONSTANTS and type(leaf) not in SYMBOLS for leaf in leaves(result)):
        return as_python(result)
    nodes, node_kwargs = [node for node, _ in lowered], {key: pair[0] for key, pair in named.items()}
    trace.graph.asks_classes = True
    node = trace.graph.call(target, nodes, node_kwargs, None, trace.location)
    trace.draws = trace.draws or target not in never_drawing()
    return _item(trace, name, result, node)


def _keep_errors_in_order(trace: Trace, target: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Break in front of a call that may refuse its data, where a handler would see a wrong state."""
    frame = trace.frame
    is_protected = frame is not None and (frame.protected or frame.handled_here)
    if not is_protected and not (trace.lasting and trace.effects):
        return
    metas = rebuilt((tuple(args), tuple(kwargs.items())), Given, lambda operand: operand.meta)
    if (is_protected and trace.lasting) or may_refuse(target, *metas):
        trace.stop(ERROR_IN_HANDLER, f"{name_of(target)} on a tensor of a subclass")
    trace.protected = trace.protected or is_protected


def _tried(trace: Trace, target: Any, args: list[Any], kwargs: dict[str, Any], operands: Sequence[Tensor]) -> Any:
    """What a call returns for stand-ins; breaks where it cannot be told, or where the call changes a tensor."""
    stand_ins = stand_ins_of(trace)

    def real(argument: Any) -> Any:
        if type(argument) is Given:
            value = argument.value
            return value.stand_in if isinstance(value, RaggedSize) else stand_ins.of(value)
        build = CONTAINERS.get(type(argument))
        return argument if build is None else build([real(part) for part in argument])

    name = name_of(target)
    try:
        positional, keywords = [real(arg) for arg in args], {key: real(arg) for key, arg in kwargs.items()}
        before = [versions(stand_ins.of(tensor)) for tensor in operands]
        result = call_on(stand_ins.kind, target, positional, keywords, trace.modes)
        after = [versions(stand_ins.of(tensor)) for tensor in operands]
    except OpError as error:
        trace.stop(OPERATOR_ERROR, str(error))
    except (DataDependent, Unsupported) as error:
        trace.stop(TENSOR_SUBCLASS, f"{name}: {error}")
    except Exception as error:  # whatever the class raises is the program's to handle
        raise GraphBreak(OPERATOR_ERROR, f"{type(error).__name__}: {error}") from error
    if before != after or not all(_is_unchanged(tensor, stand_ins.of(tensor)) for tensor in operands):
        trace.stop(TENSOR_SUBCLASS, f"{name} changes a tensor of a subclass, or one beside it")
    return result


def _is_unchanged(value: Tensor, stand_in: torch.Tensor) -> bool:
    """Whether a stand-in is still what its tensor is taken for."""
    if isinstance(value, WrapperTensor):
        return layout_or_none(stand_in) is value.layout
    return meta_of(stand_in) is specialised(value.meta)


def _item(trace: Trace, name: str, result: Any, node: torch.fx.Node) -> Item:
    """The item for a result, or for a part of one that a node gives."""
    if isinstance(result, torch.Tensor):
        return _tensor(trace, name, result, node)
    kind = type(result)
    if kind is torch.SymInt and result.node.is_nested_int():
        return RaggedSize(node, result)
    if kind in SYMBOLS:
        trace.stop(TENSOR_SUBCLASS, f"{name} gives a number that hangs on data")
    if kind in CONSTANTS and kind is not torch.Size:
        return as_python(result)
    if not isinstance(result, tuple | list):
        trace.stop(TENSOR_SUBCLASS, f"{name} gives a {kind.__name__}")
    parts: list[Item] = []
    for index, part in enumerate(result):
        inner = node
        if type(part) not in CONSTANTS or type(part) in SYMBOLS:
            inner = trace.graph.call(operator.getitem, (node, index), None, None, trace.location)
        parts.append(_item(trace, name, part, inner))
    if kind is list:
        return ListValue(list, parts)
    return make_tuple(parts) if kind is tuple else TupleValue(kind, parts)


def _tensor(trace: Trace, name: str, result: Any, node: torch.fx.Node) -> Item:
    stand_ins = stand_ins_of(trace)
    value = stand_ins.value(result)
    if value is not None:
        return value
    if is_wrapper_class(type(result)):
        try:
            wrapper = WrapperTensor(result, layout_of(result), node)
        except Unsupported as error:
            trace.stop(TENSOR_SUBCLASS, f"{name} gives {error}")
        wrapper.is_alias = stand_ins.owner(result) is not None
        stand_ins.note(wrapper, result)
        return wrapper
    if type(result) is not FakeTensor:
        trace.stop(TENSOR_SUBCLASS, f"{name} gives a {type(result).__name__}")
    try:
        meta = meta_of(result)
    except NotImplementedError as error:
        trace.stop(TENSOR_SUBCLASS, f"{name} gives {error}")
    return _plain(trace, name, result, meta, node)


def _plain(trace: Trace, name: str, result: torch.Tensor, meta: TensorMeta, node: torch.fx.Node) -> TensorValue:
    """A plain tensor that an operator gives: with memory of its own, of a plain tensor, or of one inside another."""
    if meta.symbolic or meta.stride is None:
        trace.stop(TENSOR_SUBCLASS, f"{name} gives a tensor whose size hangs on data, or that is not strided")
    stand_ins = stand_ins_of(trace)
    node.meta[META] = meta
    value = TensorValue(torch.Tensor, node, meta)
    owner = stand_ins.owner(result)
    if isinstance(owner, TensorValue):
        value.viewed = owner
        trace.views.setdefault(id(owner), [owner]).append(value)
    elif owner is not None:
        value.viewed = TensorValue(torch.Tensor, None, meta)
        value.viewed.owner = owner
    stand_ins.note(value, result)
    return value
