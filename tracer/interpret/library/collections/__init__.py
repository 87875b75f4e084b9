"""collections: deque, OrderedDict, defaultdict and Counter. Importing this package registers their rows."""

from tracer.interpret.library.collections import (
    counter,
    defaultdict,
    deque,
    ordered_dict,
)

__all__ = [
    "counter",
    "defaultdict",
    "deque",
    "ordered_dict",
]
