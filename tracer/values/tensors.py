"""A tensor during the trace: a graph node and a meta, never data.

Its attributes are facts of the meta, or views that are operators, and the rest break.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch

from passes.meta import TensorMeta, meta_of
from passes.targets.memory_moves import move_data
from tracer.guards.aliasing import any_written_overlap
from tracer.guards.checks import tensor_facts
from tracer.guards.source import Source
from tracer.reasons import GRADIENT_STATE, TENSOR_ATTRIBUTE, TENSOR_LAYOUT, TENSOR_STORAGE
from tracer.values.base import MISSING, realise
from tracer.values.class_attributes import METHOD_DESCRIPTORS, SLOT_DESCRIPTORS
from tracer.values.context import Context
from tracer.values.graph_arguments import GraphArgument, GraphArguments
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_constant, register, remember
from tracer.values.methods import BoundMethod
from tracer.values.objects import ObjectValue, object_parts
from tracer.values.rebuilding import Emitter, Fragment, fragment
from tracer.values.shapes import anew
from tracer.values.tuples import TupleValue

FACTS: dict[str, Callable[[TensorMeta], Any]] = {
    "shape": lambda meta: torch.Size(meta.shape),  # pyright: ignore[reportArgumentType]
    "dtype": lambda meta: meta.dtype,
    "device": lambda meta: meta.device,
    "layout": lambda meta: meta.layout,
    "ndim": lambda meta: len(meta.shape),
    "requires_grad": lambda meta: meta.requires_grad,
    "is_leaf": lambda meta: meta.is_leaf,
    "itemsize": lambda meta: meta.dtype.itemsize,
    "nbytes": lambda meta: meta.dtype.itemsize * meta.element_count,
    "is_cpu": lambda meta: meta.device.type == "cpu",
    "is_cuda": lambda meta: meta.device.type == "cuda",
    "is_meta": lambda meta: meta.device.type == "meta",
    "is_mps": lambda meta: meta.device.type == "mps",
    "is_xpu": lambda meta: meta.device.type == "xpu",
    "is_xla": lambda meta: meta.device.type == "xla",
    "is_mkldnn": lambda meta: False,
    "is_sparse": lambda meta: False,
    "is_sparse_csr": lambda meta: False,
    "is_quantized": lambda meta: False,
    "is_nested": lambda meta: False,
    "is_vulkan": lambda meta: False,
    "is_ipu": lambda meta: False,
    "is_maia": lambda meta: False,
    "names": lambda meta: (None,) * len(meta.shape),
}
"""Attributes that follow from the meta."""

PLAIN = (torch.Tensor, torch.nn.Parameter)
"""Classes that have no attributes of the program's."""

VIEWS = frozenset({"T", "mT", "H", "mH", "real", "imag", "data"})
"""Attributes that are operators."""


class TensorValue(ObjectValue):
    """A tensor. `node` is None for an input of the frame that no operator has used yet.

    `base` is the value whose storage this one views (itself when it owns one), so that facts which
    spread over a storage can find every view; `root` is the value that autograd knows this one as a view of (itself,
    when it is none, as a detached tensor is), for what spreads over those only: that they require gradients after an
    in-place write. `owner` is the tensor of a subclass whose memory this one has. `is_stale` says that a tensor
    requires gradients since a write to another one of the same memory.
    """

    __slots__ = ("_root", "is_stale", "meta", "node", "owner", "touched", "viewed")

    def __init__(
        self,
        cls: type,
        node: torch.fx.Node | None,
        meta: TensorMeta,
        source: Source | None = None,
        obj: object = MISSING,
    ) -> None:
        super().__init__(cls, source, obj)
        self.node = node
        self.meta = meta
        self.touched = source is None
        self.viewed: TensorValue | None = None
        self._root: TensorValue | None = None
        self.owner: Any = None
        self.is_stale = False

    @property
    def base(self) -> TensorValue:
        """The tensor whose storage this one views: itself when it owns one."""
        return self.viewed or self

    @property
    def root(self) -> TensorValue:
        """The tensor that autograd knows this one as a view of: itself when it is no such view."""
        return self._root or self

    @root.setter
    def root(self, root: TensorValue) -> None:
        self._root = root

    def touch(self, context: Context) -> None:
        """Something now depends on what kind of tensor an input is: guard its facts."""
        if not self.touched:
            self.touched = True
            assert self.source is not None
            dynamic: tuple[int, ...] = ()
            real: Any = self.object
            if any(any_written_overlap([tensor, real], 1) for tensor in context.requiring):
                context.stop(GRADIENT_STATE, f"{self.source.text} shares memory with an input that now requires grad")
            if context.shapes is not None:
                self.meta, dynamic = context.shapes.symbolise(context.guard, self.source, real, self.meta)
            context.guard(self.source, "tensor", tensor_facts(real, self.meta, dynamic))

    def rows(self, context: Context) -> list[Item]:
        """The tensors along the first dimension."""
        rows = context.machine.tensor_op(context, torch.Tensor.unbind, (self, 0))
        return rows.all(context) if isinstance(rows, TupleValue) else list(rows)

    def get(self, context: Context, name: str, stored: Any) -> Item:
        """`tensor.name`; `stored` is what torch.Tensor stores under the name."""
        kind = type(stored)
        if kind is types.FunctionType or kind in METHOD_DESCRIPTORS:
            return BoundMethod(stored, self)
        if context.function_modes and kind in SLOT_DESCRIPTORS and name != "__class__":
            answer = context.machine.ask_modes(context, getattr, (self, name))
            if answer is not MISSING:
                return answer
        fact = FACTS.get(name)
        if fact is not None:
            self.touch(context)
            if name == "is_leaf":
                self.guard_leaf(context)
            return anew(fact(self.meta))
        if name in VIEWS:
            return context.machine.tensor_op(context, getattr, (self, name))
        if name == "__class__":
            return self.cls
        if name == "grad":
            return self._gradient(context)
        if name in ("grad_fn", "_grad_fn"):
            self.touch(context)
            self.guard_leaf(context)
            if self.meta.is_leaf:
                return None
            context.stop(GRADIENT_STATE, "grad_fn of a tensor that has one")
        if name == "_version" or name == "_base":
            context.stop(TENSOR_STORAGE, f"Tensor.{name}")
        if kind is property:
            return context.machine.call(context, stored.fget, [self])
        if kind in SLOT_DESCRIPTORS:
            if name in ("_backward_hooks", "_post_accumulate_grad_hooks") and self.source is None:
                return None
            context.stop(TENSOR_ATTRIBUTE, f"Tensor.{name}")
        if kind is staticmethod:
            return stored.__func__
        if kind is classmethod:
            return BoundMethod(stored.__func__, self.cls)
        return stored if self.cls in PLAIN else context.machine.bind(context, stored, self, self.cls, name)

    def set(self, context: Context, name: str, item: Item) -> None:
        """`tensor.name = item` where torch.Tensor has a descriptor of that name; MISSING as item deletes."""
        if name == "grad" and self.source is not None:
            gradient = None if item is MISSING else realise(context, item)
            if gradient is not None and not self._takes_gradient(context, gradient):
                context.stop(GRADIENT_STATE, "a gradient that torch may refuse is assigned")
            self.write(context, name, gradient)
            return
        if name == "requires_grad" and item is not MISSING:
            self.guard_leaf(context)
            if not self.meta.is_leaf or type(realise(context, item)) is not bool:
                context.stop(GRADIENT_STATE, "requires_grad of a tensor that is no leaf, or by no bool, is refused")
            context.machine.tensor_op(context, torch.Tensor.requires_grad_, (self, item))
            return
        if name == "data" and item is not MISSING:
            if not self._has_memory_of(context, item):
                context.machine.call(context, move_data, [self, item])
            return
        reason = GRADIENT_STATE if "grad" in name else TENSOR_ATTRIBUTE
        context.stop(reason, f"Tensor.{name} is set")

    def _takes_gradient(self, context: Context, gradient: Item) -> bool:
        """Whether torch lets an item be the gradient of this tensor: another tensor, of its shape, dtype and device."""
        if not isinstance(gradient, TensorValue) or gradient is self:
            return False
        self.touch(context)
        gradient.touch(context)
        meta, other = self.meta, gradient.meta
        return (meta.shape, meta.dtype, meta.device) == (other.shape, other.dtype, other.device)

    def _has_memory_of(self, context: Context, item: Item) -> bool:
        """Whether the tensor is all that `item` is but for gradients: `x.data -= y` gives it what it has already."""
        other = realise(context, item)
        if not isinstance(other, TensorValue) or other.base is not self.base or other.base.owner is not None:
            return False
        self.touch(context)
        gradients = {"requires_grad": self.meta.requires_grad, "is_leaf": self.meta.is_leaf}
        return self.meta.stride is not None and other.meta.replace(**gradients) == self.meta

    def guard_leaf(self, context: Context) -> None:
        """Whether an input is a leaf is guarded only when the program asks, or writes to it."""
        if self.source is not None:
            real: Any = self.object
            try:
                is_leaf = real.is_leaf
            except RuntimeError:  # the program's own instruction gets an error of its own
                context.stop(GRADIENT_STATE, f"torch refuses to make the history of {self.source.text} anew")
            context.guard(self.source.child("getattr", "is_leaf"), "equal", is_leaf)

    def _gradient(self, context: Context) -> Item:
        if self.source is None:
            if self.meta.is_leaf or not self.meta.requires_grad:
                return None
            context.stop(GRADIENT_STATE, "grad of a tensor that is not a leaf")
        real: Any = self.object
        self.touch(context)
        item = context.wrap(real.grad, self.source.child("getattr", "grad"))
        self.attributes["grad"] = item
        return item


def wrap_tensor(context: Context, obj: torch.Tensor, source: Source) -> Item:
    """A tensor from outside that operators take for a plain one."""
    if obj.layout is not torch.strided or obj.is_quantized or obj.is_nested:
        context.stop(TENSOR_LAYOUT, f"{source.text} has layout {obj.layout}")
    return remember(context, TensorValue(type(obj), None, meta_of(obj), source, obj))


def guard_untouched(context: Context) -> None:
    """Guard that the tensors that were read and never asked anything are there: the program may know them from nothing,
    as `hasattr(model, "mask")` does.
    """
    for value in context.known.values():
        if isinstance(value, TensorValue) and not value.touched:
            context.guard(value.source, "type", value.cls)


def _graph_argument(arguments: GraphArguments, value: TensorValue) -> GraphArgument:
    return arguments.tensor(value)


def _rebuild(emitter: Emitter, value: TensorValue) -> Fragment:
    name = emitter.output(value)
    for attribute, item in value.attributes.items():
        if item is not MISSING:
            emitter.say(fragment("{}.{} = {}", name, Fragment(attribute), emitter.expression(item)))
    return name


register(
    Kind(
        wraps=Wraps(
            exactly=dict.fromkeys(PLAIN, wrap_tensor),
        ),
        parts=object_parts,
        constant=no_constant,
        graph_argument=_graph_argument,
        rebuild=_rebuild,
    ),
    TensorValue,
)
