"""The table of polyfills, and how a Python function is put into it.

Nothing here knows about the interpreter: keys are CPython's own functions, values are plain functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

POLYFILLS: dict[object, Callable[..., Any]] = {}
"""C function, class or method descriptor (or the name of a protocol) to the Python function that does the same."""


HELPERS: set[Callable[..., Any]] = set()
"""Functions of this package that the tracer runs as they are: their arguments and results are constants."""


def helper(function: Function) -> Function:
    """Register the decorated function as one to run, not to interpret."""
    HELPERS.add(function)
    return function


def replaces(*originals: object) -> Callable[[Function], Function]:
    """Register the decorated function as the Python equivalent of each of `originals`."""

    def register(function: Function) -> Function:
        put(dict.fromkeys(originals, function))
        return function

    return register


def put(rows: dict[Any, Callable[..., Any]]) -> None:
    """Register a table of polyfills; an original may have only one."""
    for original, function in rows.items():
        assert original not in POLYFILLS, f"{original} has two polyfills"
        POLYFILLS[original] = function
