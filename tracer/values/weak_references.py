"""Weak references, of the class `weakref.ref` itself, to objects that are there when the call begins.

One to an object born in the trace is none of these: only CPython's dies with what it refers to. Those of subclasses are
instances like any other.
"""

from __future__ import annotations

import weakref
from typing import Any

from tracer.guards.source import Source
from tracer.values.base import UNREAD
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.kinds import Kind, Wraps, no_graph_argument, register, remember
from tracer.values.objects import ObjectValue, object_constant
from tracer.values.rebuilding import Emitter, Fragment, fragment, listed, named_class


class WeakReference(ObjectValue):
    """`weakref.ref(referent, callback)`. `referent` is None where the real object is gone.

    As a key it is what it refers to, which must be known by its identity (`values/keys.py`). `held` is a real reference
    without a callback: while there is one the end of the referent shows, so that the trace breaks where the program
    loses it. `birth` is the step that made it, None for one from outside; `is_made` says that a residual program makes
    it.
    """

    __slots__ = ("birth", "callback", "held", "is_made", "referent")

    def __init__(self, referent: Item, callback: Item, held: weakref.ref[Any], birth: int | None = None) -> None:
        super().__init__(weakref.ref)
        self.referent = referent
        self.callback = callback
        self.held = held
        self.birth = birth
        self.is_made = False

    def member(self, context: Context, name: str) -> Item:
        """`__callback__` of one that the program has made."""
        return self.callback if name == "__callback__" and self.born else UNREAD

    def __hash__(self) -> int:
        return hash((WeakReference, id(self.referent)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WeakReference) or self.referent is None:
            return self is other
        return self.referent is other.referent


def reference_to(context: Context, referent: Item, real: Any, callback: Item) -> WeakReference:
    """A reference that the program makes to the object `real`, whose item is `referent`.

    All references to one object without a callback are one object, as long as it lives.
    """
    held = weakref.ref(real)
    if callback is None and id(held) in context.references:
        return context.references[id(held)]
    value = WeakReference(referent, callback, held, context.step)
    context.references[id(held) if callback is None else id(value)] = value
    return value


def _wrap(context: Context, obj: weakref.ref[Any], source: Source) -> Item:
    context.guard(source, "type", weakref.ref)
    callback = obj.__callback__
    context.guard(source.child("getattr", "__callback__"), "type", type(callback))
    referent = context.wrap(obj(), source.child("call"))
    value = context.references.get(id(obj))
    if value is None:
        value = WeakReference(referent, UNREAD if callback is not None else None, obj)
        context.references[id(obj)] = value
    value.source, value.object = source, obj
    return remember(context, value)


def _parts(value: WeakReference) -> list[Item]:
    return [value.referent, value.callback]


def _rebuild(emitter: Emitter, value: WeakReference) -> Fragment:
    parts = [emitter.expression(value.referent)]
    if value.callback is not None:
        parts.append(emitter.expression(value.callback))
    value.is_made = True
    return emitter.assign("reference", fragment("{}({})", named_class(emitter, weakref.ref), listed(parts)))


register(
    Kind(
        wraps=Wraps(exactly={weakref.ref: _wrap}),
        parts=_parts,
        constant=object_constant,
        graph_argument=no_graph_argument,
        rebuild=_rebuild,
    ),
    WeakReference,
)
