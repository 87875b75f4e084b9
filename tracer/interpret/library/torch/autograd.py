"""Calling a `torch.autograd.Function`: `apply` itself becomes a node, and runs `forward` natively.

Whether that is sound is checked by tracing `forward` on the side: what it reads from outside is
guarded, and a forward that changes anything but tensors breaks the graph. The nodes of that trace are
dropped; the evaluator then gives the result of the call, as of any operator. A compiler runs `backward` only once:
there the graph ends in front of `apply`, unless nothing that `backward` reads can change.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

from torch.autograd import Function
from torch.autograd.function import FunctionCtx

from passes.node_meta import UNCHANGED
from passes.torch_facts import FUNCTION_APPLY, applies_like_torch
from tracer.interpret import tensor_ops
from tracer.interpret.backward import all_hold, check_backward
from tracer.interpret.call import call
from tracer.interpret.policy import lookaside
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import AUTOGRAD_FUNCTION
from tracer.values.base import LITERALS, Value, realise
from tracer.values.class_attributes import class_attribute
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.methods import BoundMethod
from tracer.values.objects import ObjectValue
from tracer.values.protocols.iteration import unpack
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue, make_tuple

NOTES = ("save_for_backward", "save_for_forward", "mark_dirty", "mark_non_differentiable", "set_materialize_grads")
"""Methods by which `forward` leaves notes on its context; they take effect when `apply` runs in the graph."""


def _note(trace: Trace, context: Item, /, *args: Item, **kwargs: Item) -> None:
    if not isinstance(context, ObjectValue) or not context.born:
        trace.stop(AUTOGRAD_FUNCTION, "the context of a forward that is running already")


for _name in NOTES:
    lookaside(getattr(FunctionCtx, _name))(_note)


@lookaside(FUNCTION_APPLY)
def _apply(trace: Trace, cls: Item, /, *args: Item, **kwargs: Item) -> Item:
    if not isinstance(cls, type) or not applies_like_torch(cls):
        trace.stop(AUTOGRAD_FUNCTION, f"{cls!r}")
    items = [realise(trace, arg) for arg in args]
    if cls.setup_context is not Function.setup_context:
        items, kwargs = _with_defaults(trace, cls, items, kwargs), {}
    context = _rehearse(trace, cls, items, kwargs)
    applying = _applying(cls)
    trace.applies_functions = True
    if trace.replays or not any(_needs_gradient(trace, item) for item in (*items, *kwargs.values())):
        return tensor_op(trace, applying, items, kwargs, remembered=False)
    fault, facts = check_backward(trace, cls, context)
    if fault:
        trace.stop(AUTOGRAD_FUNCTION, f"{cls.__qualname__}.backward {fault}")
    result = tensor_op(trace, applying, items, kwargs, remembered=False)
    node = trace.graph.last
    while node.target is not applying:  # results were taken out of a tuple
        node = node.prev
    node.meta[UNCHANGED] = partial(all_hold, facts)
    return result


@lru_cache(maxsize=1 << 10)
def _applying(cls: type[Function]) -> Callable[..., Any]:
    """`cls.apply` as a function with a name of its own, by which code generated from a graph can refer to it."""

    def apply(*args: Any, **kwargs: Any) -> Any:
        return cls.apply(*args, **kwargs)

    apply.__module__, apply.__qualname__ = cls.__module__, f"{cls.__qualname__}.apply"
    apply.__name__ = f"{cls.__name__}_apply"
    return apply


def _with_defaults(trace: Trace, cls: Any, args: list[Item], kwargs: dict[str, Item]) -> list[Item]:
    """The arguments in the form in which `setup_context` receives them: by position, defaults filled in."""
    signature = inspect.signature(_static(trace, cls, "forward"))
    bound = host(trace, signature.bind, *args, **kwargs)
    bound.apply_defaults()
    defaults = [default for default in bound.args[len(args) :] if type(default) not in LITERALS]
    if bound.kwargs or any(not isinstance(default, Value) for default in defaults):
        trace.stop(AUTOGRAD_FUNCTION, f"the arguments of {cls.__qualname__}.apply")
    return list(bound.args)


def _rehearse(trace: Trace, cls: Any, args: list[Item], kwargs: dict[str, Item]) -> ObjectValue:
    """Trace `forward` (and `setup_context`) for its guards alone; gives the context that it leaves."""
    stand_ins: dict[int, TensorValue] = {}
    copies = [_stand_in(trace, cls, arg, stand_ins) for arg in args]
    named = {name: _stand_in(trace, cls, arg, stand_ins) for name, arg in kwargs.items()}
    context = ObjectValue(FunctionCtx)
    context.keep_field("needs_input_grad", make_tuple([_needs_gradient(trace, arg) for arg in args]))
    last, effects, modes = trace.graph.last, len(trace.effects.changed), trace.modes
    trace.modes = modes._replace(grad=False)
    if cls.setup_context is Function.setup_context:
        call(trace, _static(trace, cls, "forward"), [context, *copies], named)
    else:
        result = call(trace, _static(trace, cls, "forward"), copies, named)
        call(trace, _static(trace, cls, "setup_context"), [context, make_tuple(copies), result])
    if len(trace.effects.changed) != effects or trace.modes != modes._replace(grad=False):
        trace.stop(AUTOGRAD_FUNCTION, f"{cls.__qualname__}.forward changes more than tensors")
    trace.modes = modes
    trace.graph.forget_calls(last)
    if trace.shapes is not None:
        trace.shapes.forget_erased()
    return context


def _static(trace: Trace, cls: type, name: str) -> Item:
    function = class_attribute(trace, cls, name)
    if not isinstance(function, (staticmethod, classmethod)):
        trace.stop(AUTOGRAD_FUNCTION, f"{cls.__qualname__}.{name} is not a static method")
    return BoundMethod(function.__func__, cls) if isinstance(function, classmethod) else function.__func__


def _needs_gradient(trace: Trace, item: Item) -> bool:
    return isinstance(item, TensorValue) and item.meta.requires_grad and trace.modes.grad


def _stand_in(trace: Trace, cls: type, item: Item, stand_ins: dict[int, TensorValue]) -> Item:
    """A copy of `item` that `forward` may change without changing `item`."""
    item = realise(trace, item)
    if type(item) in LITERALS:
        return item
    if isinstance(item, TensorValue):
        return stand_ins.setdefault(id(item), _same_tensor(trace, item))
    if isinstance(item, (tuple, TupleValue, ListValue)):
        parts: Iterable[Item] = [_stand_in(trace, cls, part, stand_ins) for part in unpack(trace, item)]
        return ListValue(list, list(parts)) if isinstance(item, ListValue) else make_tuple(list(parts))
    if not isinstance(item, (ObjectValue, BoundMethod)):
        return item
    trace.stop(AUTOGRAD_FUNCTION, f"{cls.__qualname__}.apply receives a {item.cls.__name__}")


def _same_tensor(trace: Trace, value: TensorValue) -> TensorValue:
    node = tensor_ops.node_of(trace, value)
    same = TensorValue(value.cls, node, value.meta, value.source, value.object)
    same.touched = True
    same.viewed = value.viewed
    same.attributes.update(value.attributes)
    same.fields = dict(value.fields) if value.fields else None
    return same
