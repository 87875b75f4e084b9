"""Attributes of tensors: facts of the meta, views that are operators, and the rest, which break."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from passes.meta import TensorMeta
from tracer.interpret.tensor_ops import touch
from tracer.reasons import GRADIENT_STATE, TENSOR_ATTRIBUTE, TENSOR_STORAGE
from tracer.values.attributes import METHOD_DESCRIPTORS
from tracer.values.base import MISSING, Item
from tracer.values.functions import BoundMethod
from tracer.values.tensors import TensorValue

if TYPE_CHECKING:
    from tracer.interpret.trace import Trace

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

VIEWS = frozenset({"T", "mT", "H", "mH", "real", "imag", "data"})
"""Attributes that are operators."""


def read(trace: Trace, value: TensorValue, name: str, found: Any) -> Item:
    """`tensor.name`; `found` is what torch.Tensor stores under the name."""
    kind = type(found)
    if kind is types.FunctionType or kind in METHOD_DESCRIPTORS:
        return BoundMethod(found, value)
    fact = FACTS.get(name)
    if fact is not None:
        if not value.touched:
            touch(trace, value)
        if name == "is_leaf":
            _guard_leaf(trace, value)
        return fact(value.meta)
    if name in VIEWS:
        return trace.tensor_op(getattr, (value, name))
    if name == "__class__":
        return value.cls
    if name == "grad":
        return _gradient(trace, value)
    if name in ("grad_fn", "_grad_fn"):
        touch(trace, value)
        _guard_leaf(trace, value)
        if value.meta.is_leaf:
            return None
        trace.stop(GRADIENT_STATE, "grad_fn of a tensor that has one")
    if name == "_version" or name == "_base":
        trace.stop(TENSOR_STORAGE, f"Tensor.{name}")
    if kind is property:
        return trace.call(found.fget, [value])
    if kind in (types.GetSetDescriptorType, types.MemberDescriptorType):
        if name in ("_backward_hooks", "_post_accumulate_grad_hooks") and value.source is None:
            return None
        trace.stop(TENSOR_ATTRIBUTE, f"Tensor.{name}")
    if kind is staticmethod:
        return found.__func__
    if kind is classmethod:
        return BoundMethod(found.__func__, value.cls)
    return found


def _guard_leaf(trace: Trace, value: TensorValue) -> None:
    """Whether an input is a leaf is guarded only when the program asks."""
    if value.source is not None:
        real: Any = value.object
        trace.guard(value.source.child("getattr", "is_leaf"), "equal", real.is_leaf)


def _gradient(trace: Trace, value: TensorValue) -> Item:
    if value.source is None:
        if value.meta.is_leaf or not value.meta.requires_grad:
            return None
        trace.stop(GRADIENT_STATE, "grad of a tensor that is not a leaf")
    real: Any = value.object
    touch(trace, value)
    item = trace.wrap(real.grad, value.source.child("getattr", "grad"))
    value.attributes["grad"] = item
    return item


def write(trace: Trace, value: TensorValue, name: str, item: Item) -> None:
    """`tensor.name = item` where torch.Tensor has a descriptor of that name."""
    if name == "grad" and value.source is not None:
        value.write(trace, name, None if item is MISSING else item)
        return
    if name == "requires_grad" and item is not MISSING:
        trace.tensor_op(torch.Tensor.requires_grad_, (value, item))
        return
    reason = TENSOR_STORAGE if name == "data" else GRADIENT_STATE if "grad" in name else TENSOR_ATTRIBUTE
    trace.stop(reason, f"Tensor.{name} is set")
