"""Iterators whose position the trace knows, so that loops unroll and breaks can rebuild them.

The kinds of iterators have files of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tracer.reasons import UNSUPPORTED_ITERATOR
from tracer.values.base import MISSING, Lazy, Missing, Value, class_of
from tracer.values.class_attributes import METHOD_DESCRIPTORS, class_name, special
from tracer.values.context import Context
from tracer.values.exceptions import arguments_of
from tracer.values.graph_arguments import GraphArgument, GraphArguments, sequence_argument
from tracer.values.item import Item
from tracer.values.kinds import BORN, Kind, no_constant, no_parts
from tracer.values.protocols.special_methods import bind_special
from tracer.values.raising import Raised, throw
from tracer.values.rebuilding import Emitter, Fragment, fragment, literal

END = Missing()
"""What `next` answers when an iterator is exhausted."""


class IteratorValue(Value):
    """An iterator born in the trace; `birth` is the root step that made it."""

    __slots__ = ("birth",)

    def __init__(self, context: Context, cls: type) -> None:
        super().__init__(cls)
        self.birth = context.step

    def next(self, context: Context) -> Item:
        """The next item, or END."""
        raise NotImplementedError


def next_item(context: Context, iterator: Item) -> Item:
    """The iterator's next item or END, by its own `next` or by the program's `__next__`."""
    if isinstance(iterator, IteratorValue):
        return iterator.next(context)
    return next_by_method(context, iterator)


def next_by_method(context: Context, iterator: Item) -> Item:
    """`next(iterator)` through the program's own `__next__`; END when it raises StopIteration."""
    iterator = iterator.realise(context) if type(iterator) is Lazy else iterator
    if isinstance(iterator, IteratorValue):
        return iterator.next(context)
    method = special(context, iterator, "__next__")
    if method is MISSING:
        throw(context, TypeError, f"'{class_name(iterator)}' object is not an iterator")
    if class_of(method) in METHOD_DESCRIPTORS:
        context.stop(UNSUPPORTED_ITERATOR, class_name(iterator))
    return call_until_stop(context, bind_special(context, method, iterator, "__next__"), [])


def call_until_stop(context: Context, method: Item, args: Sequence[Item]) -> Item:
    """Call a method that may raise StopIteration: END then, and what that carried is in `context.stop_value`."""
    try:
        return context.machine.call(context, method, args)
    except Raised as raised:
        if not issubclass(raised.value.cls, StopIteration):
            raise
        arguments = arguments_of(raised.value)
        context.stop_value = arguments[0] if arguments else None
        return END


def iterator_graph_argument(arguments: GraphArguments, value: IteratorValue) -> GraphArgument:
    """All items that are left, as CPython's argument parser takes them."""
    items: list[Item] = []
    while (item := value.next(arguments.context)) is not END:
        items.append(item)
    return sequence_argument(arguments, items, tuple)


def advance(iterator: Iterator[Any], count: int) -> None:
    """Skip what the trace has taken from an iterator already, its end included."""
    for _ in range(count):
        next(iterator, None)


def skip(emitter: Emitter, iterator: Fragment, count: int) -> None:
    """Emit the statement that skips what the trace has taken already."""
    emitter.say(fragment("{}({}, {})", emitter.constant(advance), iterator, literal(count)))


def iterator_kind(rebuild: Callable[[Emitter, Any], Fragment]) -> Kind:
    """The kind of an iterator. It has no parts: a position means nothing in what is not complete yet."""
    return Kind(BORN, no_parts, no_constant, iterator_graph_argument, rebuild)
