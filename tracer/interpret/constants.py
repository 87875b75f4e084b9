"""Results that CPython computes while tracing, because all that they depend on is constant."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from tracer.interpret.trace import Trace
from tracer.values.concrete import concrete
from tracer.values.from_host import from_host
from tracer.values.host import host
from tracer.values.item import Item


def computed(trace: Trace, function: Any, args: Sequence[Item], kwargs: Mapping[str, Item]) -> Item:
    """`function(*args, **kwargs)`, run by CPython. What it raises is raised in the program.

    Raises NotConcrete where an argument holds what only the trace knows.
    """
    real_args = [concrete(trace, arg) for arg in args]
    real_kwargs = {name: concrete(trace, arg) for name, arg in kwargs.items()}
    result = host(trace, function, *real_args, **real_kwargs)
    return result if isinstance(result, enum.Enum) else from_host(trace, result)
