"""collections and collections.abc: the containers, and `Callable[...]`. Importing this package registers their rows."""

from tracer.interpret.library.collections import (
    callable_alias,
    counter,
    defaultdict,
    deque,
    namedtuple,
    ordered_dict,
)

__all__ = [
    "callable_alias",
    "counter",
    "defaultdict",
    "deque",
    "namedtuple",
    "ordered_dict",
]
