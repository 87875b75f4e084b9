"""weakref: references to objects from outside, made in the captured function or before, and what they refer to."""

from __future__ import annotations

import types
import weakref
from typing import Any

from tracer.interpret.policy import lookaside, polyfill
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING, Value, class_of
from tracer.values.class_attributes import class_name
from tracer.values.item import Item
from tracer.values.objects import ObjectValue
from tracer.values.raising import throw
from tracer.values.tensors import TensorValue
from tracer.values.weak_references import WeakReference, reference_to


@lookaside(weakref.ref)
def _reference(trace: Trace, target: Item, callback: Item = None, /) -> Item:
    if not class_of(target).__weakrefoffset__:
        throw(trace, TypeError, f"cannot create weak reference to '{class_name(target)}' object")
    return reference_to(trace, target, _real(trace, target), callback)


def _real(trace: Trace, target: Item) -> Any:
    """The object from outside that an item stands for: one that is there in every call, or that its path leads to."""
    if isinstance(target, (ObjectValue, TensorValue)) and target.source is not None and target.object is not MISSING:
        return target.object
    if isinstance(target, (type, types.ModuleType)) and not isinstance(target, Value):
        return target
    trace.stop(UNSUPPORTED_CALL, f"a weak reference to a {class_name(target)} created in the captured function")


@lookaside(weakref.ReferenceType.__call__)
def _referent(trace: Trace, reference: Item) -> Item:
    if isinstance(reference, WeakReference):
        return reference.referent
    if not isinstance(reference, ObjectValue) or reference.object is MISSING or reference.source is None:
        trace.stop(UNSUPPORTED_CALL, f"a {class_name(reference)} created in the captured function")
    real: weakref.ReferenceType[object] = reference.object  # type: ignore[assignment]
    return trace.wrap(real(), reference.source.child("call", None))


@polyfill(weakref.ReferenceType.__eq__)
def equal_references(self: Any, other: Any, /) -> Any:
    if not isinstance(other, weakref.ReferenceType):
        return NotImplemented
    left, right = weakref.ReferenceType.__call__(self), weakref.ReferenceType.__call__(other)
    if left is None or right is None:
        return self is other
    return left == right


@polyfill(weakref.ReferenceType.__ne__)
def unequal_references(self: Any, other: Any, /) -> Any:
    if not isinstance(other, weakref.ReferenceType):
        return NotImplemented
    left, right = weakref.ReferenceType.__call__(self), weakref.ReferenceType.__call__(other)
    if left is None or right is None:
        return self is not other
    return left != right
