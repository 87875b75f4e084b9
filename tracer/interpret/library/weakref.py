"""weakref: calling a weak reference that was created outside of the captured function."""

from __future__ import annotations

import weakref

from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.base import MISSING
from tracer.values.class_attributes import class_name
from tracer.values.item import Item
from tracer.values.objects import ObjectValue


@lookaside(weakref.ReferenceType.__call__)
def _referent(trace: Trace, reference: Item) -> Item:
    if not isinstance(reference, ObjectValue) or reference.object is MISSING or reference.source is None:
        trace.stop(UNSUPPORTED_CALL, f"a {class_name(reference)} created in the captured function")
    real: weakref.ReferenceType[object] = reference.object  # type: ignore[assignment]
    return trace.wrap(real(), reference.source.child("call", None))
