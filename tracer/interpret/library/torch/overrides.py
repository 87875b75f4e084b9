"""Subclasses of torch.Tensor with `__torch_function__`: asking them, what the default does, and making instances."""

from __future__ import annotations

from collections.abc import Callable
from types import GetSetDescriptorType, MethodWrapperType
from typing import Any

import torch
from torch.overrides import get_default_nowrap_functions

from tracer.interpret.call import call
from tracer.interpret.mode_calls import mode_answer
from tracer.interpret.policy import lookaside
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.tensor_overrides import ask, overriding
from tracer.interpret.trace import Trace
from tracer.interpret.wrapper_ops import wrapper_op
from tracer.reasons import TENSOR_SUBCLASS
from tracer.values.base import Lazy, Value, class_of, realise
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_graph_argument, no_parts, register
from tracer.values.lists import ListValue
from tracer.values.protocols.iteration import unpack
from tracer.values.protocols.truth import truth
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, named_class
from tracer.values.tensor_subclasses import SubclassTensor, is_overridable
from tracer.values.tensors import PLAIN, TensorValue
from tracer.values.tuples import TupleValue, make_tuple
from tracer.values.wrapper_tensors import WrapperTensor

DISABLERS = (torch._C.DisableTorchFunctionSubclass, torch._C.DisableTorchFunction)
DEFAULT: Any = vars(torch.Tensor)["__torch_function__"].__func__

KEPT_BY_AUTOGRAD = frozenset(
    {"is_leaf", "grad", "_grad", "grad_fn", "_grad_fn", "_base", "_version", "_backward_hooks", "output_nr"}
)
"""Attributes of a tensor from outside that one with the same memory does not share."""


# Asking ----------------------------------------------------------------------------------------------


@lookaside(torch.overrides.has_torch_function, lazy=True)
def _has_torch_function(trace: Trace, arguments: Item) -> bool:
    items = realise(trace, arguments)
    return _has_torch_function_variadic(trace, *(items if type(items) is tuple else (items,)))


@lookaside(torch.overrides.has_torch_function_unary, torch.overrides.has_torch_function_variadic, lazy=True)
def _has_torch_function_variadic(trace: Trace, *arguments: Item) -> bool:
    if trace.function_modes:
        return True
    for argument in arguments:
        kind = type(argument)
        if kind in NEVER_ASKED or (kind is Lazy and argument.cls in PLAIN):
            continue
        if any(True for _ in overriding(trace, (argument,))):
            return True
    return False


NEVER_OVERRIDING = frozenset({torch.nn.Parameter, torch.nn.Buffer})
"""Subclasses of torch.Tensor that have its `__torch_function__` disabled."""

NEVER_ASKED = frozenset({TensorValue, type(None), bool, int, float, str})
"""Kinds of arguments that override nothing: nearly all of those of torch's own functions."""


@lookaside(torch.overrides.handle_torch_function)
def _handle_torch_function(trace: Trace, function: Item, relevant: Item, *args: Item, **kwargs: Item) -> Item:
    if trace.function_modes:
        classes = dict.fromkeys(class_of(realise(trace, item)) for item in unpack(trace, relevant))
        asked = tuple(cls for cls in classes if issubclass(cls, torch.Tensor) and cls not in NEVER_OVERRIDING)
        if any(cls is not torch.Tensor for cls in asked):
            trace.stop(TENSOR_SUBCLASS, "a mode is asked about a tensor of a subclass")
        return mode_answer(trace, function, asked, args, kwargs)
    return ask(trace, function, [relevant], args, kwargs)


# The default -----------------------------------------------------------------------------------------


@lookaside(DEFAULT)
def _default(trace: Trace, cls: Item, func: Item, types: Item, args: Item = (), kwargs: Item = None) -> Item:
    """Call the function past overrides, and give what it returns the class."""
    classes = unpack(trace, types)
    if not isinstance(cls, type) or not all(isinstance(part, type) and issubclass(cls, part) for part in classes):
        return NotImplemented
    keywords: Any = {} if kwargs is None else kwargs.all(trace) if isinstance(kwargs, DictValue) else None
    if keywords is None:
        trace.stop(TENSOR_SUBCLASS, "__torch_function__ is given no dict of keywords")
    result = _past_overrides(trace, lambda: call(trace, func, unpack(trace, args), keywords))
    is_kept = type(func) is MethodWrapperType and func in get_default_nowrap_functions()
    return result if is_kept else _converted(trace, result, cls)


def _past_overrides(trace: Trace, compute: Callable[[], Item]) -> Item:
    """What is computed while overrides are disabled."""
    before, trace.overrides = trace.overrides, False
    try:
        return compute()
    finally:
        trace.overrides = before


def _converted(trace: Trace, result: Item, cls: type) -> Item:
    """`result` with its tensors as instances of `cls`, as torch converts it."""
    if cls is torch.Tensor:
        return result
    result = realise(trace, result)
    kind = type(result)
    if kind is TensorValue or (kind is SubclassTensor and not issubclass(result.cls, cls)):
        return _with_class(trace, result, cls)
    if kind is tuple:
        return make_tuple([_converted(trace, part, cls) for part in result])
    if kind is TupleValue:
        return TupleValue(result.cls, [_converted(trace, part, cls) for part in result.all(trace)])
    if kind is ListValue and result.cls is list:
        return ListValue(list, [_converted(trace, part, cls) for part in result.all(trace)])
    return result


def _with_class(trace: Trace, tensor: Item, cls: Any) -> Item:
    """`tensor.as_subclass(cls)`: an alias of it."""
    if not isinstance(tensor, (TensorValue, SubclassTensor)) or not isinstance(cls, type):
        trace.stop(TENSOR_SUBCLASS, "as_subclass without a tensor and a class")
    if cls is not torch.Tensor and not (issubclass(cls, torch.Tensor) and is_overridable(cls)):
        trace.stop(TENSOR_SUBCLASS, f"a {cls.__name__} is made")
    alias = _past_overrides(trace, lambda: tensor_op(trace, torch.ops.aten.alias.default, (tensor,)))
    assert isinstance(alias, TensorValue)
    return alias if cls is torch.Tensor else SubclassTensor(trace, cls, alias)


@lookaside(torch.Tensor.as_subclass)
def _as_subclass(trace: Trace, tensor: Item, cls: Item) -> Item:
    """torch asks no class about this one."""
    return _with_class(trace, tensor, cls)


@lookaside(torch.Tensor._make_subclass)
def _make_subclass(trace: Trace, cls: Item, data: Item, require_grad: Item = False) -> Item:
    """A tensor of a subclass with the memory of `data`, without its history."""
    if truth(trace, require_grad) or not isinstance(data, TensorValue):
        trace.stop(TENSOR_SUBCLASS, "_make_subclass of a leaf that requires gradients")
    return _with_class(trace, tensor_op(trace, torch.Tensor.detach, (data,)), cls)


@lookaside(torch.Tensor.__new__)
def _new(trace: Trace, cls: Item, *args: Item) -> Item:
    """`cls(...)`: an alias of a tensor, else a tensor that holds numbers, or has a size."""
    if len(args) == 1 and isinstance(tensor := realise(trace, args[0]), TensorValue | SubclassTensor):
        return _with_class(trace, tensor, cls)
    return _with_class(trace, call(trace, torch.Tensor, args), cls)


# Overrides disabled ----------------------------------------------------------------------------------


class Disabler(Value):
    """A context manager that disables overrides, or all of them, between its entry and its exit."""

    __slots__ = ("before", "birth", "is_entered")

    def __init__(self, trace: Trace, cls: type) -> None:
        super().__init__(cls)
        self.birth = trace.step
        self.before = trace.overrides, trace.function_modes
        self.is_entered = False


def _rebuild(emitter: Emitter, value: Disabler) -> Fragment:
    """One that was not entered. Where one is as the graph ends, the frame breaks where it was made."""
    if value.is_entered:
        raise Unrebuildable(f"{value.cls.__name__} that was entered", value.birth, TENSOR_SUBCLASS)
    return fragment("{}()", named_class(emitter, value.cls))


register(Kind(BORN, no_parts, no_constant, no_graph_argument, _rebuild), Disabler)


def _register(cls: Any) -> None:
    lookaside(cls)(lambda trace: Disabler(trace, cls))

    @lookaside(cls.__enter__)
    def _enter(trace: Trace, disabler: Item) -> None:
        frame: Any = trace.frame
        if not isinstance(disabler, Disabler) or disabler.is_entered:
            trace.stop(TENSOR_SUBCLASS, "overrides are disabled by what was made outside, or twice")
        if frame.caller is None and frame.op.name != "BEFORE_WITH":
            trace.stop(TENSOR_SUBCLASS, "overrides are disabled beyond the frame")
        disabler.before, disabler.is_entered = (trace.overrides, trace.function_modes), True
        trace.overrides = False
        if cls is torch._C.DisableTorchFunction:
            trace.function_modes = ()

    @lookaside(cls.__exit__)
    def _exit(trace: Trace, disabler: Item, *exception: Item) -> None:
        if not isinstance(disabler, Disabler):
            trace.stop(TENSOR_SUBCLASS, "overrides are enabled again")
        trace.overrides, trace.function_modes = disabler.before
        disabler.is_entered = False


for _cls in DISABLERS:
    _register(_cls)


# Attributes ------------------------------------------------------------------------------------------


@lookaside(GetSetDescriptorType.__get__)
def _get_of_c(trace: Trace, descriptor: Any, instance: Item, owner: Item = None) -> Item:
    """What a getter of C gives: of a tensor of a subclass, by `__torch_function__`."""
    name: str = descriptor.__name__
    if isinstance(instance, SubclassTensor) and descriptor.__objclass__ is torch._C.TensorBase:
        if trace.overrides:
            return ask(trace, descriptor.__get__, [instance], [instance], None)
        return _plain_attribute(trace, instance, name, descriptor)
    if isinstance(instance, WrapperTensor) and descriptor.__objclass__ is torch._C.TensorBase:
        return _wrapper_attribute(trace, instance, name)
    if isinstance(instance, TensorValue):
        return instance.get(trace, name, descriptor)
    return trace.machine.bind(trace, descriptor, instance, class_of(instance), name)


def _wrapper_attribute(trace: Trace, instance: WrapperTensor, name: str) -> Item:
    """An attribute that torch gives tensors, of one that holds others."""
    if name not in KEPT_BY_AUTOGRAD:
        return wrapper_op(trace, getattr, (instance, name))
    if name == "is_leaf":
        return instance.stand_in.is_leaf
    if name in ("grad_fn", "_grad_fn") and instance.stand_in.is_leaf:
        return None
    trace.stop(TENSOR_SUBCLASS, f"{instance.cls.__name__}.{name}")


def _plain_attribute(trace: Trace, instance: SubclassTensor, name: str, descriptor: Any) -> Item:
    if name in KEPT_BY_AUTOGRAD and (instance.source is not None or name in ("_base", "_version")):
        if name != "is_leaf" or instance.tensor.meta.requires_grad:
            trace.stop(TENSOR_SUBCLASS, f"{instance.cls.__name__}.{name}")
        return True
    return instance.tensor.get(trace, name, descriptor)
