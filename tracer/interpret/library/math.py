"""math: all of its functions are pure; those that apply to any number have Python equivalents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tracer.interpret.policy import (
    polyfill,
    pure_module,
)

pure_module("math")


@polyfill(math.prod, pure=True, returns_items=True)
def product_of(iterable: Iterable[Any], /, *, start: Any = 1) -> Any:
    total = start
    for item in iterable:
        total = total * item
    return total


@polyfill(math.floor, pure=True)
def floor(number: Any, /) -> Any:
    method = getattr(type(number), "__floor__", None)
    return (float(number) // 1).__int__() if method is None else method(number)


@polyfill(math.ceil, pure=True)
def ceil(number: Any, /) -> Any:
    method = getattr(type(number), "__ceil__", None)
    return -(-float(number) // 1).__int__() if method is None else method(number)


@polyfill(math.trunc, pure=True)
def trunc(number: Any, /) -> Any:
    method = getattr(type(number), "__trunc__", None)
    if method is None:
        raise TypeError(f"type {type(number).__name__} doesn't define __trunc__ method")
    return method(number)
