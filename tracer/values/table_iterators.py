"""Iterators over dicts and sets."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from tracer.reasons import UNSUPPORTED_ITERATOR
from tracer.values.context import Context
from tracer.values.dict_views import VIEW_TYPES
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.iterators import END, IteratorValue, iterator_kind, skip
from tracer.values.kinds import register
from tracer.values.raising import throw
from tracer.values.rebuilding import Emitter, Fragment, Unrebuildable, fragment, named_class
from tracer.values.sets import SetValue
from tracer.values.tuples import make_tuple


class TableIterator(IteratorValue):
    """Over a dict (its keys, values or items), forwards or backwards, or over a set.

    Complains, as CPython's does, when what it is over changes its size, or an OrderedDict its keys.
    """

    __slots__ = ("backwards", "index", "keys", "kind", "size", "state", "table")

    def __init__(self, context: Context, table: DictValue | SetValue, kind: str, backwards: bool = False) -> None:
        super().__init__(context, _iterator_type(table, kind, backwards))
        self.table: DictValue | SetValue | None = table
        self.kind = kind
        self.backwards = backwards
        self.keys = table.in_order(context) if isinstance(table, SetValue) else list(table.all(context))
        if backwards:
            self.keys.reverse()
        self.size = len(self.keys)
        self.state = _state(table)
        self.index = 0

    def next(self, context: Context) -> Item:
        table = self.table
        if table is None:
            return END
        payload = table.all(context)
        if self._is_finished(context, table, len(payload)):
            self.table = None
            return END
        key = self.keys[self.index]
        if key not in payload:
            context.stop(UNSUPPORTED_ITERATOR, f"a {table.cls.__name__} whose keys changed during iteration")
        self.index += 1
        if self.kind == "values":
            return payload[key]
        return make_tuple((key, payload[key])) if self.kind == "items" else key

    def _is_finished(self, context: Context, table: DictValue | SetValue, size: int) -> bool:
        """Whether no element is left; only an OrderedDict does not mind, then, that it has changed."""
        is_ordered = issubclass(table.cls, OrderedDict)
        is_at_end = self.index == len(self.keys)
        if is_ordered and is_at_end:
            return True
        if self.state != _state(table):
            self.table = None
            throw(context, RuntimeError, "OrderedDict mutated during iteration")
        if size != self.size:
            self.size = -1
            what = "Set" if isinstance(table, SetValue) else "OrderedDict" if is_ordered else "dictionary"
            throw(context, RuntimeError, f"{what} changed size during iteration")
        return is_at_end


def _state(table: DictValue | SetValue) -> int:
    """What must not change while an OrderedDict is iterated; of other tables nothing."""
    return table.state if isinstance(table, DictValue) and issubclass(table.cls, OrderedDict) else 0


FORWARDS: dict[str, type] = {name: type(iter(getattr({}, name)())) for name in VIEW_TYPES} | {
    "elements": type(iter(set()))
}
BACKWARDS: dict[str, type] = {name: type(reversed(getattr({}, name)())) for name in VIEW_TYPES}
ORDERED: type = type(iter(OrderedDict[Any, Any]()))
TABLE_ITERATORS = (*FORWARDS.values(), *BACKWARDS.values(), ORDERED)
"""Classes of iterators over dicts and sets."""


def _iterator_type(table: DictValue | SetValue, kind: str, backwards: bool) -> type:
    if issubclass(table.cls, OrderedDict):
        return ORDERED
    return BACKWARDS[kind] if backwards else FORWARDS[kind]


def _rebuild(emitter: Emitter, value: TableIterator) -> Fragment:
    if value.table is None:
        return _exhausted(emitter, value)
    if value.state != _state(value.table) or (value.table.source is not None and _has_other_keys(value.table)):
        raise Unrebuildable("an iterator of a dict or set that has changed", value.birth)
    name = emitter.assign("iterator", _begun_anew(emitter, value, value.table))
    if value.index:
        skip(emitter, name, value.index)
    return name


def _has_other_keys(table: DictValue | SetValue) -> bool:
    """Whether a table from outside has lost or got keys: the iterator is made before the program does that."""
    if not table.changed:
        return False
    before = table.before if isinstance(table, DictValue) else set.__iter__(table.object)  # type: ignore[arg-type]
    return list(before) != list(table.items)


def _exhausted(emitter: Emitter, value: TableIterator) -> Fragment:
    """An iterator of the same class that has nothing left."""
    if value.cls is ORDERED:
        return emitter.assign("iterator", fragment("iter({}())", named_class(emitter, OrderedDict)))
    empty = "set()" if value.kind == "elements" else f"{{}}.{value.kind}()"
    return emitter.assign("iterator", Fragment(f"{'reversed' if value.backwards else 'iter'}({empty})"))


def _begun_anew(emitter: Emitter, value: TableIterator, table: DictValue | SetValue) -> Fragment:
    """An iterator over the storage of `table`: what its class makes of iteration is not asked."""
    kind: Any = next(kind for kind in (OrderedDict, dict, set, frozenset) if issubclass(table.cls, kind))
    owner, expression = named_class(emitter, kind), emitter.expression(table)
    if value.kind in ("values", "items"):
        maker = Fragment("reversed" if value.backwards else "iter")
        return fragment("{}({}.{}({}))", maker, owner, Fragment(value.kind), expression)
    return fragment("{}.{}({})", owner, Fragment("__reversed__" if value.backwards else "__iter__"), expression)


register(iterator_kind(_rebuild), TableIterator)
