"""What a look-up that finds nothing assumes of a key known by its identity. Knows nothing of dicts themselves."""

from __future__ import annotations

from collections.abc import Iterable

from tracer.guards.source import Source
from tracer.reasons import UNSUPPORTED_OPERATION
from tracer.values.base import Value
from tracer.values.context import Context
from tracer.values.item import Item
from tracer.values.weak_references import WeakReference

STORED_LIMIT = 256
"""Stored keys that a look-up may have to tell its own key from: one guard for each."""


def guard_missing(context: Context, key: Item, stored: Iterable[Item]) -> None:
    """Guard that `key` is none of the `stored` keys, of which each is another object today.

    The keys that a dict from outside has are guarded to be the objects that they are, and so need not be told apart
    from each other; that what the program brings from elsewhere is none of these is a fact about that.
    """
    key = identified(key)
    if not isinstance(key, Value) or key.source is None:
        return
    others = [other for other in map(identified, stored) if isinstance(other, Value) and _may_become(key, other)]
    if len(others) > STORED_LIMIT:
        context.stop(UNSUPPORTED_OPERATION, f"an object that is none of {len(others)} keys")
    for other in others:
        context.guard(key.source, "not same as", other.source)


def _may_become(key: Value, other: Value) -> bool:
    """Whether the two may be one object in another call, and nothing else guards that they are not."""
    if key.source is None or other.source is None or key.cls is not other.cls or key is other:
        return False
    return is_fixed(key.source) is not is_fixed(other.source)


def identified(key: Item) -> Item:
    """Whose identity decides what a key equals: of a weak reference that of what it refers to."""
    return key.referent if isinstance(key, WeakReference) else key


def is_fixed(source: Source) -> bool:
    """Whether a path leads to a key of a dict from outside, or to what such a one refers to weakly."""
    if source.accessor == "call" and source.base is not None:
        source = source.base
    return source.accessor == "key"
