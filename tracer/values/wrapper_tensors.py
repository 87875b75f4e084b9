"""Tensors that hold tensors: instances of wrapper subclasses, which answer operators by `__torch_dispatch__`.

In the graph each is one tensor, as for TorchDynamo: the class answers when the graph runs. While tracing, operators are
run on stand-ins, which the class makes of stand-ins for the tensors inside.
"""

from __future__ import annotations

from typing import Any

import torch

from passes.meta import TensorMeta, meta_of
from passes.operators.outcome import Unsupported
from passes.operators.stand_ins import FakeStandIns
from passes.operators.wrapper_layouts import (
    WrapperLayout,
    is_wrapper_class,
    layout_of,
    specialised,
    stand_in_of,
    storages,
)
from tracer.guards.source import Source, constant
from tracer.reasons import TENSOR_SUBCLASS, GraphBreak
from tracer.values.base import MISSING
from tracer.values.class_attributes import class_attribute
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, register, remember
from tracer.values.objects import ObjectValue, object_parts, own_attributes, setting
from tracer.values.quiet_classes import loud_place
from tracer.values.rebuilding import Emitter, Fragment
from tracer.values.shapes import shape_environment
from tracer.values.tensors import TensorValue


class WrapperTensor(ObjectValue):
    """A tensor that holds tensors. `node` is None for an input of the frame that no operator has used yet.

    `is_alias` says of one that the graph makes that it has memory of a tensor which was there before.
    """

    __slots__ = ("is_alias", "layout", "node", "stand_in")

    def __init__(
        self,
        stand_in: torch.Tensor,
        layout: WrapperLayout,
        node: torch.fx.Node | None = None,
        source: Source | None = None,
        obj: object = MISSING,
    ) -> None:
        super().__init__(type(stand_in), source, obj)
        self.stand_in = stand_in
        self.layout = layout
        self.node = node
        self.is_alias = False

    def instance_attribute(self, context: Context, name: str) -> Item:
        """The entry of the instance dictionary: of one that the graph makes, as its class sets it on the stand-in."""
        if self.object is MISSING and name not in self.attributes:
            if name not in vars(self.stand_in):
                return MISSING
            self.attributes[name] = context.machine.wrapper_op(context, getattr, (self, name))
        return super().instance_attribute(context, name)


class WrapperStandIns:
    """The stand-ins of one trace: for tensors that hold others, and for the plain ones that they meet."""

    def __init__(self) -> None:
        self.kind = FakeStandIns(shape_environment())
        """How they are made: in an environment, as the ragged size of a jagged tensor made in the trace is a symbol."""
        self._plain: dict[int, tuple[TensorValue, TensorMeta, torch.Tensor]] = {}
        self._inside: dict[int, tuple[Any, torch.Tensor, Source]] = {}
        self._values: dict[int, tuple[torch.Tensor, TensorValue | WrapperTensor]] = {}
        self._owners: dict[int, TensorValue | WrapperTensor] = {}

    def outside(self, context: Context, tensor: Any, source: Source) -> torch.Tensor:
        """A stand-in for a real tensor that holds others. One object inside two of them has one stand-in."""

        def part(name: str, inner: Any) -> torch.Tensor:
            place = source.child("getattr", name)
            if type(inner) is not torch.Tensor and is_wrapper_class(type(inner)):
                return self.outside(context, inner, place)
            entry = self._inside.get(id(inner))
            if entry is None:
                entry = self._inside[id(inner)] = inner, self.kind.make(meta_of(inner)), place
            else:
                context.guard(place, "same as", entry[2])
            return entry[1]

        return stand_in_of(tensor, part, self.kind.active)

    def of(self, value: TensorValue | WrapperTensor) -> torch.Tensor:
        """The stand-in for a tensor of the trace: of a plain one the same one as long as its meta is."""
        if isinstance(value, WrapperTensor):
            return value.stand_in
        entry = self._plain.get(id(value))
        if entry is not None and entry[1] is value.meta:
            return entry[2]
        inside = self._inside.get(id(value.object))
        stand_in = self.kind.make(specialised(value.meta)) if inside is None else inside[1]
        self.note(value, stand_in)
        return stand_in

    def note(self, value: TensorValue | WrapperTensor, stand_in: torch.Tensor) -> None:
        """Note what tensor of the trace a stand-in is, and whose memory it has unless that is known."""
        if isinstance(value, TensorValue):
            self._plain[id(value)] = value, value.meta, stand_in
        self._values[id(stand_in)] = stand_in, value
        for memory in storages(stand_in):
            self._owners.setdefault(memory, value if isinstance(value, WrapperTensor) else value.base)

    def value(self, stand_in: torch.Tensor) -> TensorValue | WrapperTensor | None:
        """The tensor of the trace that a stand-in is; None for one that was not there before."""
        entry = self._values.get(id(stand_in))
        return None if entry is None else entry[1]

    def owner(self, stand_in: torch.Tensor) -> TensorValue | WrapperTensor | None:
        """The tensor of the trace whose memory a stand-in has; None if that is its own."""
        return next((self._owners[memory] for memory in storages(stand_in) if memory in self._owners), None)


def stand_ins_of(context: Context) -> WrapperStandIns:
    """The stand-ins of a trace."""
    if context.wrappers is None:
        context.wrappers = WrapperStandIns()
    return context.wrappers


def wrap_wrapper(context: Context, obj: Any, source: Source) -> Item:
    """A tensor from outside that holds others."""
    cls = type(obj)
    name = f"{source.text} is a {cls.__name__}"
    if not torch._C._is_torch_function_enabled():
        context.stop(TENSOR_SUBCLASS, "while __torch_function__ is disabled")
    place = loud_place(context, cls)
    if place:
        context.stop(TENSOR_SUBCLASS, f"{name}, and {place} may change what lasts")
    try:
        layout = layout_of(obj)
        stand_in = stand_ins_of(context).outside(context, obj, source)
    except (Unsupported, NotImplementedError) as error:
        context.stop(TENSOR_SUBCLASS, f"{name}: {error}")
    except Exception as error:  # whatever the class raises is the program's to handle
        what = f"{type(error).__name__}: {error}"
        raise GraphBreak(TENSOR_SUBCLASS, f"{name}, which cannot be made of stand-ins: {what}") from error
    context.guard(constant(torch._C._is_torch_function_enabled).child("call"), "equal", True)
    context.guard(source, "type", cls)
    context.guard(source.child("layout"), "same object", layout)
    value = WrapperTensor(stand_in, layout, None, source, obj)
    stand_ins_of(context).note(value, stand_in)
    return remember(context, value)


def asks_python(context: Context, value: WrapperTensor) -> bool:
    """Whether torch asks the class for `__torch_function__`."""
    return class_attribute(context, value.cls, "__torch_function__") is not torch._C._disabled_torch_function_impl


def _graph_argument(arguments: GraphArguments, value: WrapperTensor) -> GraphArgument:
    return arguments.wrapper(value)


def _rebuild(emitter: Emitter, value: WrapperTensor) -> Fragment:
    name = emitter.output(value)
    for attribute, item in own_attributes(value):
        if attribute in value.written:
            emitter.say(setting(name, value, attribute, emitter.expression(item)))
    return name


register(Kind(BORN, object_parts, no_constant, _graph_argument, _rebuild), WrapperTensor)
