"""collections: deque, OrderedDict, defaultdict, Counter and namedtuple. Importing this package registers their rows."""

from tracer.interpret.library.collections import (
    counter,
    defaultdict,
    deque,
    namedtuple,
    ordered_dict,
)

__all__ = [
    "counter",
    "defaultdict",
    "deque",
    "namedtuple",
    "ordered_dict",
]
