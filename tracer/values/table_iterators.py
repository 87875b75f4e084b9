"""Iterators over dicts and sets."""

from __future__ import annotations

from tracer.reasons import UNSUPPORTED_ITERATOR
from tracer.values.context import Context
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_kind, skip
from tracer.values.kinds import register
from tracer.values.raising import throw
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment
from tracer.values.sets import SetValue
from tracer.values.tuples import make_tuple


class TableIterator(IteratorValue):
    """Over a dict (its keys, values or items) or a set; complains, as CPython's does, when that changes its size."""

    __slots__ = ("index", "keys", "kind", "size", "table")

    def __init__(self, context: Context, table: DictValue | SetValue, kind: str) -> None:
        super().__init__(context, TABLE_ITERATORS[kind])
        self.table: DictValue | SetValue | None = table
        self.kind = kind
        self.keys = table.in_order(context) if isinstance(table, SetValue) else list(table.all(context))
        self.size = len(self.keys)
        self.index = 0

    def next(self, context: Context) -> Item:
        table = self.table
        if table is None:
            return END
        payload = table.all(context)
        if len(payload) != self.size:
            self.size = -1
            what = "Set" if self.kind == "elements" else "dictionary"
            throw(context, RuntimeError, f"{what} changed size during iteration")
        if self.index == self.size:
            self.table = None
            return END
        key = self.keys[self.index]
        if key not in payload:
            context.stop(UNSUPPORTED_ITERATOR, f"a {table.cls.__name__} whose keys changed during iteration")
        self.index += 1
        if self.kind == "values":
            return payload[key]
        return make_tuple((key, payload[key])) if self.kind == "items" else key


TABLE_ITERATORS: dict[str, type] = {
    "keys": type(iter({}.keys())),
    "values": type(iter({}.values())),
    "items": type(iter({}.items())),
    "elements": type(iter(set())),
}


def _rebuild(emitter: Emitter, value: TableIterator) -> Fragment:
    method = "" if value.kind in ("keys", "elements") else f".{value.kind}()"
    if value.table is None:
        return emitter.assign(
            "iterator", Fragment("iter(set())" if value.kind == "elements" else f"iter({{}}{method})")
        )
    payload = value.table.items
    if value.table.source is not None and value.table.changed and list(payload) != value.keys:
        raise Unrebuildable("an iterator of a dict or set that has changed", value.birth)
    name = emitter.assign("iterator", fragment("iter({}{})", emitter.expression(value.table), Fragment(method)))
    if value.index:
        skip(emitter, name, value.index)
    return name


register(iterator_kind(_rebuild), TableIterator)
