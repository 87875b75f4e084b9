"""Built-in functions and classes that make containers or ask for their length."""

from __future__ import annotations

from tracer.interpret.call import call
from tracer.interpret.construct import elements
from tracer.interpret.policy import (
    immutable,
    lookaside,
    polyfill,
    pure,
)
from tracer.interpret.trace import Trace
from tracer.values.base import Value, realise
from tracer.values.dicts import DictValue
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.protocols.items import slice_bound
from tracer.values.protocols.iteration import iterate, listed
from tracer.values.protocols.length import index_of, length
from tracer.values.sets import SetValue
from tracer.values.tuples import TupleValue, make_tuple

immutable(tuple, frozenset, range, slice)
pure(range)

lookaside(len)(length)
lookaside(*(cls.__iter__ for cls in (str, bytes, range)))(iterate)


@lookaside(list)
def _list(trace: Trace, iterable: Item = ()) -> Item:
    return ListValue(list, listed(trace, iterable))


@lookaside(tuple)
def _tuple(trace: Trace, iterable: Item = ()) -> Item:
    iterable = realise(trace, iterable)
    if type(iterable) is TupleValue and iterable.cls is tuple:
        return iterable
    return make_tuple(listed(trace, iterable))


@lookaside(set)
def _set(trace: Trace, iterable: Item = ()) -> Item:
    keys = elements(trace, iterable)
    return SetValue(set, keys if type(keys) is list else host(trace, set, keys))


@lookaside(frozenset)
def _frozenset(trace: Trace, iterable: Item = ()) -> Item:
    result = host(trace, frozenset, elements(trace, iterable))
    return SetValue(frozenset, result) if any(isinstance(key, Value) for key in result) else result


@lookaside(dict)
def _dict(trace: Trace, *args: Item, **kwargs: Item) -> Item:
    result = DictValue(dict)
    call(trace, dict.update, [result, *args], kwargs)
    return result


@lookaside(slice.indices)
def _indices(trace: Trace, item: slice, length: Item) -> Item:
    bounds = [slice_bound(trace, bound) for bound in (item.start, item.stop, item.step)]
    return host(trace, slice.indices, slice(*bounds), index_of(trace, length))


polyfill(slice.__reduce__)(lambda self, /: (type(self), (self.start, self.stop, self.step)))


@lookaside(slice)
def _slice(trace: Trace, *bounds: Item) -> Item:
    if not 1 <= len(bounds) <= 3:
        host(trace, slice, *(None for _ in bounds))  # which CPython refuses
    return slice(*(realise(trace, bound) for bound in bounds))
