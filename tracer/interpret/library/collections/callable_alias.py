"""collections.abc: `Callable[...]`, which never changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tracer.interpret.policy import lookaside
from tracer.interpret.trace import Trace
from tracer.reasons import UNSUPPORTED_CALL
from tracer.values.concrete import concrete
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete

ALIAS: Final[Any] = type(Callable[[], None])
"""The class of `Callable[...]`: Python's, though it only takes its arguments apart."""


@lookaside(ALIAS)
def _callable_alias(trace: Trace, origin: Item, args: Item) -> Item:
    try:
        return host(trace, ALIAS, concrete(trace, origin), concrete(trace, args))
    except NotConcrete:
        trace.stop(UNSUPPORTED_CALL, "Callable[...] of a traced value")
