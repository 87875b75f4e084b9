"""Hooks on tensors of the graph: the hook becomes a graph of its own, which a call in the graph registers.

It runs in backward, when a function that was traced before may do something else: what it reads may not be able to
change. Tensors that it reads are as they are then, so that no compiler is given the graph of such a hook.
Hooks on inputs outlive the call, so that they break the graph.
"""

from __future__ import annotations

import types

import torch
from torch.utils.hooks import RemovableHandle

from passes.targets.transforms import hooked, unhooked
from tracer.code.decode import decode
from tracer.graph.subgraph import SubGraphBuilder
from tracer.interpret.backward import late_fault
from tracer.interpret.functions import interpret_function
from tracer.interpret.policy import lookaside
from tracer.interpret.subtrace import add_body, close, operands_of, parameter, sub_trace
from tracer.interpret.tensor_ops import node_of
from tracer.interpret.trace import Trace
from tracer.reasons import HIGHER_ORDER, TENSOR_HOOK
from tracer.values.base import Value
from tracer.values.functions import FunctionValue
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, no_parts, no_rebuild, register
from tracer.values.objects import ObjectValue
from tracer.values.tensors import TensorValue

CELL_WRITES = ("STORE_DEREF", "DELETE_DEREF")


class HookHandle(RemovableHandle):
    """The class, to the program, of what registering a hook in a graph returns."""


class HandleValue(Value):
    """The handle of a hook that a call in the graph registers: what the call, `node`, returns."""

    __slots__ = ("birth", "node")

    def __init__(self, trace: Trace, node: torch.fx.Node) -> None:
        super().__init__(HookHandle)
        self.birth = trace.step
        self.node = node


register(Kind(BORN, no_parts, no_constant, no_graph_argument, no_rebuild), HandleValue)


@lookaside(RemovableHandle.remove)
def _remove(trace: Trace, handle: Item) -> None:
    if isinstance(handle, ObjectValue):
        interpret_function(trace, RemovableHandle.remove, [handle], {})
        return
    if not isinstance(handle, HandleValue) or handle.node.graph is not trace.graph.graph:
        trace.stop(TENSOR_HOOK, "RemovableHandle.remove")
    trace.graph.call(unhooked, (handle.node,), None, None, trace.location, writes=True)


@lookaside(torch.Tensor.register_hook)
def _register_hook(trace: Trace, tensor: Item, hook: Item) -> Item:
    if not isinstance(tensor, TensorValue) or tensor.source is not None or not tensor.meta.requires_grad:
        trace.stop(TENSOR_HOOK, "on something besides a tensor of the graph that requires gradients")
    fault = late_fault(trace, hook)
    if fault or _may_rebind(trace, hook):
        trace.stop(TENSOR_HOOK, f"which {fault or 'uses a variable that is assigned later'}")
    builder = SubGraphBuilder(trace.graph)
    gradient = parameter(builder, "gradient", tensor.meta.replace(requires_grad=False, is_leaf=True))
    modes = trace.modes
    trace.modes = modes._replace(grad=False)
    traced = sub_trace(trace, builder, hook, [gradient])
    trace.modes = modes
    if not isinstance(traced.result, TensorValue | None):
        trace.stop(HIGHER_ORDER, "a hook returns something besides a tensor or None")
    close(trace, traced, traced.tensors)
    lifted = operands_of(traced)
    trace.reads_in_backward |= any(value is not None for value in traced.builder.values.values())
    args = (node_of(trace, tensor), add_body(trace, "hook_body", traced, lifted), *lifted)
    return HandleValue(trace, trace.graph.call(hooked, args, None, None, trace.location, writes=True))


def _may_rebind(trace: Trace, hook: Item) -> bool:
    """Whether a variable that a hook closes over may be assigned after the hook was registered.

    That is read off the code of the frame that registers it, which must be the one that has the variable.
    """
    if not isinstance(hook, FunctionValue) or not hook.closure or trace.frame is None:
        return False
    frame = trace.frame.user
    if any(all(cell is not slot for slot in frame.slots) for cell in hook.closure):
        return True
    names = frozenset(hook.code.co_freevars)
    later = frame.ops[frame.index :]
    if any(
        (op.opcode.jumps and op.operand < frame.index) or (op.name in CELL_WRITES and op.slot_name in names)
        for op in later
    ):
        return True
    return any(_assigns(part, names) for part in frame.code.native.co_consts if isinstance(part, types.CodeType))


def _assigns(code: types.CodeType, names: frozenset[str]) -> bool:
    """Whether the code of an inner function, or one inside that, assigns a variable of these names."""
    if any(op.name in CELL_WRITES and op.slot_name in names for op in decode(code).ops):
        return True
    return any(_assigns(part, names) for part in code.co_consts if isinstance(part, types.CodeType))
