"""Tensors of a subclass with `__torch_function__`: each is a plain tensor with the same memory, and what Python adds.

Operators never see one: the `__torch_function__` of its class is called, as torch calls it, and what that computes
while overrides are disabled is computed with the plain tensor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from passes.operators.wrapper_layouts import is_wrapper_class
from passes.subclasses import overrides_disabled, with_class
from tracer.guards.source import Source, constant
from tracer.reasons import TENSOR_LAYOUT, TENSOR_SUBCLASS
from tracer.values.base import MISSING
from tracer.values.class_attributes import class_attribute
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_constant, register, remember
from tracer.values.objects import ObjectValue, Overridden, own_attributes, setting
from tracer.values.rebuilding import Emitter, Fragment, fragment, named_class
from tracer.values.tensors import PLAIN, TensorValue, wrap_tensor
from tracer.values.wrapper_tensors import wrap_wrapper

NOT_OVERRIDDEN: Any = torch._C._disabled_torch_function_impl
"""The `__torch_function__` of classes whose instances operators take for plain tensors."""

TENSOR_BASE: Any = torch._C.TensorBase


class SubclassTensor(ObjectValue):
    """An instance of a subclass of torch.Tensor. `tensor` is the plain one; `birth` the step that made it."""

    __slots__ = ("birth", "tensor")

    def __init__(
        self, context: Context, cls: type, tensor: TensorValue, source: Source | None = None, obj: object = MISSING
    ) -> None:
        super().__init__(cls, source, obj)
        self.birth = context.step
        self.tensor = tensor
        tensor.owner = self


def is_overridable(cls: type) -> bool:
    """Whether instances of a subclass of torch.Tensor are such tensors: they run no code below operators."""
    dispatch = next(vars(base)[DISPATCH] for base in cls.__mro__ if DISPATCH in vars(base))
    is_native = dispatch is vars(torch.Tensor)[DISPATCH] and type(cls) in PLAIN_METACLASSES
    return is_native and not issubclass(cls, WITHOUT_DATA)


def only_adds(cls: type) -> bool:
    """Whether a class redefines nothing that a tensor has, so that tensors of it are like others in all they do."""
    below = cls.__mro__[: next(place for place, base in enumerate(cls.__mro__) if base in PLAIN)]
    names = {name for base in below for name in vars(base)}
    return not any(hasattr(torch.Tensor, name) for name in names - ALWAYS_THERE)


ALWAYS_THERE = frozenset({"__module__", "__doc__", "__dict__", "__weakref__", "__new__", "__init__", "__annotations__"})
"""What a class has, or may define without its instances being different."""

DISPATCH = "__torch_dispatch__"
WITHOUT_DATA = (UninitializedParameter, UninitializedBuffer)
"""Classes that their instances leave when they get data."""

PLAIN_METACLASSES = (type(torch.Tensor), type(torch.nn.Parameter))


def _wrap(context: Context, obj: torch.Tensor, source: Source) -> Item:
    cls = type(obj)
    if is_wrapper_class(cls):
        return wrap_wrapper(context, obj, source)
    if not is_overridable(cls):
        context.stop(TENSOR_SUBCLASS, f"{source.text} is a {cls.__name__}")
    if not torch._C._is_torch_function_enabled():
        context.stop(TENSOR_SUBCLASS, "while __torch_function__ is disabled")
    if class_attribute(context, cls, "__torch_function__") is NOT_OVERRIDDEN:
        if not only_adds(cls):
            context.stop(TENSOR_SUBCLASS, f"{source.text} is a {cls.__name__}, which redefines attributes of tensors")
        return wrap_tensor(context, obj, source)
    with overrides_disabled():
        if obj.layout is not torch.strided or obj.is_quantized or obj.is_nested:
            context.stop(TENSOR_LAYOUT, f"{source.text} has layout {obj.layout}")
        plain = obj.as_subclass(torch.Tensor)
    context.guard(constant(torch._C._is_torch_function_enabled).child("call"), "equal", True)
    context.guard(source, "type", cls)
    tensor = context.wrap(plain, source.child("memory"))
    tensor.touch(context)
    return remember(context, SubclassTensor(context, cls, tensor, source, obj))


def _parts(value: SubclassTensor) -> list[Item]:
    return [value.tensor, *value.attributes.values(), *(value.fields or {}).values()]


def _graph_argument(arguments: GraphArguments, value: SubclassTensor) -> GraphArgument:
    if not arguments.context.overrides:
        return arguments.tensor(value.tensor)
    raise Overridden(TENSOR_SUBCLASS, f"an operator is given a {value.cls.__name__}")


def _rebuild(emitter: Emitter, value: SubclassTensor) -> Fragment:
    new = fragment(
        "{}({}, {})",
        emitter.constant(with_class),
        emitter.expression(value.tensor),
        named_class(emitter, value.cls),
    )
    name = emitter.assign(value.cls.__name__.lower(), new)
    emitter.bind(value, name)
    for attribute, item in own_attributes(value):
        emitter.say(setting(name, value, attribute, emitter.expression(item)))
    return name


register(
    Kind(
        wraps=Wraps(subclasses={torch.Tensor: _wrap}),
        parts=_parts,
        constant=no_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    SubclassTensor,
)
