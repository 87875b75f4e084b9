"""The tables of marks, and what they say of a callable: allowed in graphs or not, constant, or another instead.

`tracer/marks.py` has the decorators that fill them. Those of torch.compiler count alike; torch keeps its marks in
modules that take long to import, so it is asked only if they are there.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

CONSTANT_MARK: Final = "_dynamo_marked_constant"
"""Attribute by which torch.compiler.assume_constant_result, and ours, mark a function."""

NONSTRICT_MARK: Final = "_bytegraph_nonstrict"
"""Attribute by which our `nonstrict_trace` marks a function."""

COMPILED_MARK: Final = "_torchdynamo_wrapper_id"
"""The attribute by which torch knows what torch.compile has made: the identity of the function that has it."""

ALLOWED: Final[dict[int, Any]] = {}
"""Callables that `allow_in_graph` was given, by their ids."""

DISALLOWED: Final[dict[int, Any]] = {}
"""Callables that `disallow_in_graph` was given, by their ids."""


@dataclass(frozen=True, slots=True)
class Substitute:
    """What is interpreted instead of a function; `folds`: CPython runs the original if the arguments are constants."""

    original: Any
    body: Any
    folds: bool


SUBSTITUTES: Final[dict[int, Substitute]] = {}
"""What `substitute_in_graph` was given, by the id of the original."""

MARKS_OF_TORCH: Final = "torch._dynamo.decorators"
"""Where torch has its marks, and calls that end a graph."""

POLYFILLS_OF_TORCH: Final = "torch._dynamo.polyfills"
"""Where torch registers substitutes of its own, for builtins: ours are used for those."""


def is_allowed(function: Any) -> bool:
    """Whether a callable is an operator by a mark of its user."""
    return id(function) in ALLOWED or (_is_marked_for_torch("_allowed_callable_ids", function))


def is_disallowed(function: Any) -> bool:
    """Whether a callable ends the graph by a mark of its user; torch has marked its own calls for breaks."""
    if id(function) in DISALLOWED:
        return True
    return _is_marked_for_torch("_disallowed_callable_ids", function) and function.__module__ != MARKS_OF_TORCH


def is_nonstrict(function: Any) -> bool:
    """Whether a callable is left for the backend to trace by a mark of its user."""
    if isinstance(function, types.FunctionType) and function.__dict__.get(NONSTRICT_MARK):
        return True
    return _is_marked_for_torch("_nonstrict_trace_callable_ids", function)


def _is_marked_for_torch(name: str, function: Any) -> bool:
    rules = sys.modules.get("torch._dynamo.trace_rules")  # half of it, while another thread imports it
    return id(function) in getattr(rules, name, ())


def substitute_of(function: Any) -> Substitute | None:
    """What a user has registered to be interpreted instead of a callable."""
    substitute = SUBSTITUTES.get(id(function))
    if substitute is not None:
        return substitute
    variables = sys.modules.get("torch._dynamo.variables.functions")
    handlers: Callable[[], dict[Any, Any]] | None = getattr(
        getattr(variables, "PolyfilledFunctionVariable", None), "_get_polyfill_handlers", None
    )
    if handlers is None or not isinstance(function, (types.FunctionType, types.BuiltinFunctionType)):
        return None
    handler = handlers().get(function)
    body = getattr(handler, "__torch_dynamo_polyfill__", None)
    if not isinstance(body, types.FunctionType) or body.__module__.startswith(POLYFILLS_OF_TORCH):
        return None
    folds = getattr(handler, "__torch_dynamo_can_constant_fold_through__", False)
    return Substitute(getattr(handler, "__torch_dynamo_original__", function), body, folds)


def is_compiled_by_torch(function: Any) -> bool:
    """Whether torch.compile has made this function: what copies its attributes, as functools.wraps does, is another."""
    attributes = getattr(function, "__dict__", {})
    return attributes.get(COMPILED_MARK) == id(function) and not attributes.get("_torchdynamo_disable")
