"""What a call leaves behind as it is when the call ends: afterwards its caller may change the result."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from tracer.interpret.templates.signature import AGAIN, NoTemplate, Token, is_plain_tensor
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING, Lazy, Value
from tracer.values.dicts import DictValue
from tracer.values.item import Item
from tracer.values.lists import ListValue
from tracer.values.tensors import TensorValue
from tracer.values.tuples import TupleValue


class Remains(NamedTuple):
    """What a call returned, in which copies stand for what was born in it; which of those, by their identity, are views
    that a write to their root is told to; and which tensors from outside were asked what they are.
    """

    result: Item
    views: frozenset[int]
    touched: frozenset[int]


def remains(trace: Trace, known_before: int, tokens: Iterable[Token], result: Item) -> Remains:
    """What is left behind by a call with these arguments that has just ended. Raises NoTemplate."""
    arguments: list[Any] = [token.item for token in tokens if token.kind != AGAIN]
    copier = _Copier(trace, frozenset(map(id, arguments)))
    copied = copier.copy(result)
    met = [*islice(trace.known.values(), known_before, None), *arguments]
    touched = frozenset(id(value) for value in met if type(value) is TensorValue and value.touched)
    return Remains(copied, frozenset(copier.views), touched)


class _Copier:
    """Copies what was born in the trace; arguments of the call and objects from outside stay what they are."""

    def __init__(self, trace: Trace, arguments: frozenset[int]) -> None:
        self.trace = trace
        self.arguments = arguments
        self.copies: dict[int, Any] = {}
        self.views: list[int] = []

    def copy(self, item: Item) -> Any:
        """The item itself, or what stands for it. Raises NoTemplate for what no template makes."""
        if type(item) is Lazy and item.known is not MISSING and id(item) not in self.arguments:
            item = item.known
        if not isinstance(item, Value):
            return tuple(map(self.copy, item)) if type(item) is tuple else item
        if id(item) in self.arguments or item.source is not None or type(item) is Lazy:
            return item
        copy = self.copies.get(id(item))
        if copy is not None:
            return copy
        return self._tensor(item) if isinstance(item, TensorValue) else self._container(item)

    def _tensor(self, value: TensorValue) -> TensorValue:
        if not is_plain_tensor(value):
            raise NoTemplate
        other = self.copies[id(value)] = TensorValue(value.cls, value.node, value.meta)
        if value.viewed is not None:
            other.viewed = self.copy(value.viewed)
        if value.root is not value:
            other.root = self.copy(value.root)
            if any(view is value for view in self.trace.views.get(id(value.root), ())):
                self.views.append(id(other))
        return other

    def _container(self, value: Any) -> Any:
        kind = type(value)
        if kind not in (TupleValue, ListValue, DictValue) or value.attributes or value.fields:
            raise NoTemplate
        other: Any = kind(value.cls)
        self.copies[id(value)] = other
        if kind is DictValue:
            other.items.update((key, self.copy(part)) for key, part in value.items.items())
        else:
            other.items.extend(map(self.copy, value.items))
        return other
