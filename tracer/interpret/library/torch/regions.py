"""Regions of a computation that are compiled or differentiated in a way of their own: checkpoints, nested regions."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
from typing import Any

import torch._compile
from torch.utils import checkpoint

from passes.targets.transforms import checkpointed
from tracer.code.decode import decode
from tracer.graph.subgraph import SubGraphBuilder
from tracer.guards.source import constant
from tracer.interpret.call import call
from tracer.interpret.library.torch.control_flow import call_body_operator, new_meta
from tracer.interpret.library.warnings import warn_at
from tracer.interpret.places import OutputPlace
from tracer.interpret.policy import interpret, lookaside, named_lookaside
from tracer.interpret.subtrace import SubTrace, add_body, close, operands_of, sub_trace, unflattened
from tracer.interpret.tensor_ops import in_optimizer
from tracer.interpret.trace import Trace
from tracer.reasons import EXPLICIT, HIGHER_ORDER, SKIPPED_FUNCTION
from tracer.values.base import Value
from tracer.values.concrete import concrete
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.tensors import TensorValue

CHOICES = ("preserve_rng_state", "determinism_check", "early_stop")
"""Keywords that say how a checkpointed function is run again in backward, beside `context_fn` and `debug`."""


interpret(checkpoint.checkpoint_sequential)


@named_lookaside("torch._higher_order_ops.invoke_subgraph", "invoke_subgraph_placeholder")
def _nested_region(trace: Trace, func: Item, *args: Item, **kwargs: Item) -> Item:
    """A region marked by torch.compiler.nested_compile_region: it is part of the graph."""
    return call(trace, func, args, kwargs)


@named_lookaside("torch.fx.traceback", "annotate")
def _annotate(trace: Trace, annotation: Item) -> Item:
    """A region whose nodes torch.fx would mark: nothing here reads the mark."""
    return call(trace, contextlib.nullcontext, [])


@lookaside(checkpoint.checkpoint)
def _checkpoint(trace: Trace, function: Item, *args: Item, use_reentrant: Item = None, **kwargs: Item) -> Item:
    """A checkpointed function: simply called without gradients, else a body that is run again in backward."""
    if use_reentrant is None:
        _warn_of_default(trace)
        use_reentrant = True
    context = kwargs.pop("context_fn", checkpoint.noop_context_fn)
    options = [("use_reentrant", use_reentrant)]
    options += [(name, kwargs.pop(name)) for name in CHOICES if name in kwargs]
    if (
        kwargs.pop("debug", False)
        or type(use_reentrant) is not bool
        or any(isinstance(one, Value) for _, one in options)
    ):
        trace.stop(SKIPPED_FUNCTION, "torch.utils.checkpoint.checkpoint to debug it")
    if use_reentrant and (kwargs or context is not checkpoint.noop_context_fn):
        trace.stop(SKIPPED_FUNCTION, "torch.utils.checkpoint.checkpoint, reentrant and with keywords")
    if use_reentrant and not any(isinstance(value, TensorValue) and value.meta.requires_grad for value in args):
        _warn_of_no_gradients(trace)
    if not trace.modes.grad:
        return call(trace, function, args, kwargs)
    if context is not checkpoint.noop_context_fn:
        options.append(("context_fn", _real(trace, context)))
    traced = sub_trace(trace, SubGraphBuilder(trace.graph), function, args, kwargs)
    values = traced.builder.values
    arguments = [value for value in args if isinstance(value, TensorValue)]
    if use_reentrant:
        _refuse_reentrant(trace, traced, arguments)
    inside = [leaf for leaf in traced.tensors if traced.builder.is_own(leaf.node)]
    close(trace, traced, inside)
    lifted = operands_of(traced)
    first = [node for node in lifted if values[node] in arguments]
    lifted = [*first, *(node for node in lifted if node not in first)]
    body = add_body(trace, "checkpointed_body", traced, lifted)
    metas = [leaf.meta for leaf in inside]
    tensors = call_body_operator(trace, checkpointed, (body, len(first), tuple(options), *lifted), metas)
    by_leaf = dict(zip(map(id, inside), tensors, strict=True))
    _note_views(trace, traced, inside, by_leaf)
    return unflattened(trace, [by_leaf.get(id(leaf), leaf) for leaf in traced.leaves], traced.structure)


def _warn_of_default(trace: Trace) -> None:
    """Warn, as `checkpoint` does when it is called without `use_reentrant`."""
    message = _default_warning()
    warn_at(trace, message, UserWarning, message, _place_of_disabled())


@functools.cache
def _default_warning() -> str:
    """The warning of `checkpoint` about `use_reentrant`, as its code has it."""
    texts = decode(inspect.unwrap(checkpoint.checkpoint).__code__).native.co_consts
    return next(text for text in texts if type(text) is str and "use_reentrant parameter should be passed" in text)


@functools.cache
def _place_of_disabled() -> OutputPlace:
    """The line of torch that calls functions which it keeps from TorchDynamo, such as `checkpoint`."""

    def caller() -> OutputPlace:
        frame: Any = sys._getframe(1)
        return _place(frame.f_globals, frame.f_code, frame.f_lineno)

    return torch._compile._disable_dynamo(caller)()


def _warn_of_no_gradients(trace: Trace) -> None:
    """Warn, as a reentrant checkpoint does when no argument needs gradients; break where the call would do so too."""
    if trace.modes.grad:
        trace.stop(
            SKIPPED_FUNCTION, "torch.utils.checkpoint.checkpoint, reentrant and with no argument that needs gradients"
        )
    message, place = _no_gradients_warning()
    warn_at(trace, message, UserWarning, message, place)


@functools.cache
def _no_gradients_warning() -> tuple[str, OutputPlace]:
    check, forward = checkpoint.check_backward_validity, checkpoint.CheckpointFunction.forward
    message = next(text for text in check.__code__.co_consts if type(text) is str)
    line = next(op.line for op in decode(forward.__code__).ops if op.operand == check.__name__)
    return message, _place(forward.__globals__, forward.__code__, line or 0)


def _place(namespace: dict[str, Any], code: types.CodeType, line: int) -> OutputPlace:
    """A line of a function of an imported module."""
    source = constant(sys.modules[namespace["__name__"]]).child("dict")
    return OutputPlace(namespace, source, code.co_filename, line, code.co_name)


def _real(trace: Trace, context: Item) -> Any:
    """The function that makes the contexts of a selective checkpoint, known by identity."""
    try:
        function = concrete(trace, context, instances=True)
    except NotConcrete:
        trace.stop(HIGHER_ORDER, "the context_fn of a checkpoint is made by the captured function")
    if isinstance(context, Value):
        if context.source is None:
            trace.stop(HIGHER_ORDER, "the context_fn of a checkpoint is made by the captured function")
        trace.guard(context.source, "same object", function)
    return function


def _refuse_reentrant(trace: Trace, traced: SubTrace, arguments: list[TensorValue]) -> None:
    """Break where a reentrant checkpoint gives other gradients than its function: it hands over new tensors, which
    need gradients if an argument does.
    """
    graded = any(value.meta.requires_grad for value in arguments)
    for leaf in traced.tensors:
        if (
            not traced.builder.is_own(leaf.base.node)
            or leaf.meta.requires_grad != new_meta(leaf.meta, graded).requires_grad
        ):
            trace.stop(HIGHER_ORDER, "a reentrant checkpoint decides which of its results need gradients")


def _note_views(trace: Trace, traced: SubTrace, inside: list[TensorValue], by_leaf: dict[int, TensorValue]) -> None:
    """Note which results are views: of tensors from outside, or of the first result that shares their memory."""
    owners: dict[int, TensorValue] = {}
    for leaf in inside:
        outer, base = by_leaf[id(leaf)], leaf.base
        if traced.builder.is_own(base.node):
            base = owners.setdefault(id(base), outer)
        if base is not outer:
            outer.viewed = base.base
            trace.views.setdefault(id(base.base), [base.base]).append(outer)


@named_lookaside("torch._dynamo.decorators", "graph_break")
@named_lookaside("torch._dynamo.decorators", "skip_frame")
@named_lookaside("torch._dynamo.decorators", "step_unsupported")
def _graph_break(trace: Trace, msg: Item = "") -> None:
    """torch's own calls for a break; not around a step of an optimizer, whose gradient mode the graph sets itself."""
    if not in_optimizer(trace):
        trace.stop(EXPLICIT, msg if type(msg) is str else "")


@named_lookaside("torch._dynamo.decorators", "maybe_mark_dynamic")
def _maybe_mark_dynamic(trace: Trace, tensor: Item, index: Item) -> None:
    return None  # for a tensor that the graph knows already
