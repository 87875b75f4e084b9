"""repr of the built-in containers when they hold traced values."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from tracer.interpret.policy import polyfill
from tracer.values.dict_views import VIEW_TYPES

Active = tuple[Any, ...]


def represent(item: Any, active: Active) -> str:
    """`repr(item)`, with `...` for a container that is being represented already."""
    row = REPRESENTATIONS.get(type(item).__repr__)
    if row is None:
        return repr(item)
    for container in active:
        if container is item:
            return row[1](item)
    return row[0](item, (*active, item))


def join(items: Iterable[Any], active: Active) -> str:
    """The representations of items, separated by commas."""
    return ", ".join([represent(item, active) for item in items])


def pairs(item: Any, active: Active) -> str:
    """The keys and values of a dictionary as its representation lists them."""
    keys = OrderedDict.__iter__(item) if isinstance(item, OrderedDict) else dict.__iter__(item)
    return ", ".join([f"{represent(key, active)}: {represent(dict.__getitem__(item, key), active)}" for key in keys])


def represent_list(item: Any, active: Active) -> str:
    """`list.__repr__`."""
    return f"[{join(list.__iter__(item), active)}]"


def represent_tuple(item: Any, active: Active) -> str:
    """`tuple.__repr__`."""
    return f"({join(tuple.__iter__(item), active)}{',' if tuple.__len__(item) == 1 else ''})"


def represent_dict(item: Any, active: Active) -> str:
    """`dict.__repr__`."""
    return f"{{{pairs(item, active)}}}"


def represent_set(item: Any, active: Active) -> str:
    """`set.__repr__` and `frozenset.__repr__`."""
    name = type(item).__name__
    if not len(item):
        return f"{name}()"
    body = f"{{{join([*item], active)}}}"
    return body if type(item) is set else f"{name}({body})"


def represent_deque(item: Any, active: Active) -> str:
    """`deque.__repr__`."""
    limit = "" if item.maxlen is None else f", maxlen={item.maxlen}"
    return f"{type(item).__name__}([{join(deque.__iter__(item), active)}]{limit})"


def represent_ordered(item: Any, active: Active) -> str:
    """`OrderedDict.__repr__`."""
    name = type(item).__name__
    if not len(item):
        return f"{name}()"
    return f"{name}({represent_dict(item, active)})" if SHOWN_AS_DICT else f"{name}([{join(item.items(), active)}])"


SHOWN_AS_DICT: Final = repr(OrderedDict(a=1)) == "OrderedDict({'a': 1})"
"""Whether an OrderedDict shows a dict of its items, as from 3.12 on, or a list of pairs."""


def represent_defaultdict(item: Any, active: Active) -> str:
    """`defaultdict.__repr__`."""
    return f"{type(item).__name__}({represent(item.default_factory, active)}, {represent_dict(item, active)})"


def represent_view(item: Any, active: Active) -> str:
    """A view of a dict, named by its class."""
    return f"{type(item).__name__}([{join(item, active)}])"


REPRESENTATIONS: dict[Any, tuple[Callable[[Any, Active], str], Callable[[Any], str]]] = {
    list.__repr__: (represent_list, lambda item: "[...]"),
    tuple.__repr__: (represent_tuple, lambda item: "(...)"),
    dict.__repr__: (represent_dict, lambda item: "{...}"),
    set.__repr__: (represent_set, lambda item: f"{type(item).__name__}(...)"),
    frozenset.__repr__: (represent_set, lambda item: f"{type(item).__name__}(...)"),
    deque.__repr__: (represent_deque, lambda item: "[...]"),
    OrderedDict.__repr__: (represent_ordered, lambda item: "..."),
    defaultdict.__repr__: (represent_defaultdict, lambda item: "{...}"),
    **{view.__repr__: (represent_view, lambda item: "...") for view in VIEW_TYPES.values()},
}
"""`__repr__` of a type to what represents an instance, and an instance inside itself."""

polyfill(list.__repr__, of_literals=True)(lambda self, /: represent_list(self, (self,)))
polyfill(tuple.__repr__, pure=True)(lambda self, /: represent_tuple(self, (self,)))
polyfill(dict.__repr__, of_literals=True)(lambda self, /: represent_dict(self, (self,)))
polyfill(set.__repr__)(lambda self, /: represent_set(self, (self,)))
polyfill(frozenset.__repr__, pure=True)(lambda self, /: represent_set(self, (self,)))
