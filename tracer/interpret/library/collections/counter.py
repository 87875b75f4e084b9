"""collections.Counter: the C function that it counts with."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

from tracer.interpret.policy import (
    polyfill,
)


@polyfill(collections._count_elements)  # type: ignore[attr-defined]
def count_elements(mapping: Any, iterable: Iterable[Any], /) -> None:
    """What Counter counts with."""
    for item in iterable:
        mapping[item] = mapping.get(item, 0) + 1
