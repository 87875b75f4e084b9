"""Marks that users put on functions, to say what a capture does with a call of them: the decorators, and a call.

They fill the tables of `mark_tables.py`, which `interpret/deciders.py` asks about each callable; what is done
with a call of a marked one is in `interpret/marked_calls.py`.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

from tracer.mark_tables import (
    ALLOWED,
    CONSTANT_MARK,
    DISALLOWED,
    NONSTRICT_MARK,
    SUBSTITUTES,
    Substitute,
    is_allowed,
    is_nonstrict,
)

Function = TypeVar("Function", bound=Callable[..., Any])


def graph_break(msg: str = "") -> None:
    """Break the graph here, with `msg` in the report; does nothing in a function that is not captured."""


def allow_in_graph(fn: Any) -> Any:
    """Make a call of `fn` a node of the graph, instead of interpreting it. Also a decorator, and for several in a list.

    A compiler traces it; nothing checks that it depends on its arguments alone and changes nothing. Its result is of
    tensors in tuples, lists and dicts. Gives `fn`.
    """
    if isinstance(fn, (list, tuple)):
        return [allow_in_graph(one) for one in fn]
    _require_callable("allow_in_graph", fn)
    DISALLOWED.pop(id(fn), None)
    ALLOWED[id(fn)] = fn
    return fn


def disallow_in_graph(fn: Any) -> Any:
    """End the graph where `fn` is called, and run it natively; what it calls may be captured. Also a decorator.

    An operator of torch, or one of several in a list, or a function that was allowed. Gives `fn`.
    """
    if isinstance(fn, (list, tuple)):
        return [disallow_in_graph(one) for one in fn]
    _require_callable("disallow_in_graph", fn)
    ALLOWED.pop(id(fn), None)
    DISALLOWED[id(fn)] = fn
    return fn


def assume_constant_result(fn: Function) -> Function:
    """Run `fn` while tracing, and take its result for a constant of the graph. Also a decorator.

    It is given real objects, also for tensors that the graph computes. Nothing checks that a later call would give
    the same. Gives `fn`.
    """
    _require_callable("assume_constant_result", fn)
    function = fn.__func__ if isinstance(fn, types.MethodType) else fn
    setattr(function, CONSTANT_MARK, True)
    return fn  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def nonstrict_trace(fn: Function) -> Function:
    """A function like `fn` whose call is a node of the graph: `fn` runs as it is, or is traced by the compiler.

    Arguments and results may be anything that torch's pytrees are made of; modules may be passed, and their
    parameters have gradients. Tensors that `fn` reaches otherwise are constants to a compiler.
    """
    _require_callable("nonstrict_trace", fn)

    @functools.wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    setattr(traced, NONSTRICT_MARK, True)
    return traced  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def substitute_in_graph(
    original_fn: Callable[..., Any], *, can_constant_fold_through: bool = False, skip_signature_check: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Interpret the decorated function where the program calls `original_fn`, usually a function written in C.

    With `can_constant_fold_through` the original is run while tracing if its arguments are constants. The decorator
    gives a function that calls the original. Raises TypeError if one is no function or, unless `skip_signature_check`,
    their parameters differ, and ValueError if there is a substitute already.
    """
    if not isinstance(original_fn, (types.FunctionType, types.BuiltinFunctionType)):
        raise TypeError(f"substitute_in_graph expects a function but got {type(original_fn)!r}")

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        if not isinstance(body, types.FunctionType):
            raise TypeError(f"substitute_in_graph expects a function but got {type(body)!r}")
        if not skip_signature_check:
            _require_same_parameters(original_fn, body)
        if id(original_fn) in SUBSTITUTES:
            raise ValueError(f"{original_fn} has a substitute already")
        if is_allowed(original_fn) or is_nonstrict(original_fn):
            raise ValueError(f"{original_fn} is marked to be a node of the graph")

        @functools.wraps(body)
        def original(*args: Any, **kwargs: Any) -> Any:
            return original_fn(*args, **kwargs)

        for function in (original_fn, original):
            SUBSTITUTES[id(function)] = Substitute(function, body, can_constant_fold_through)
        return original

    return register


def _require_callable(name: str, fn: Any) -> None:
    if not callable(fn):
        raise TypeError(f"{name} takes a callable, not {fn!r}")


def _require_same_parameters(original: Callable[..., Any], body: Callable[..., Any]) -> None:
    """Raise TypeError if two functions differ in names, kinds or defaults of parameters. Some in C do not tell."""
    try:
        theirs = inspect.signature(original)
    except ValueError:
        return
    ours = inspect.signature(body)
    both = [
        [(one.name, one.kind, one.default) for one in signature.parameters.values()] for signature in (theirs, ours)
    ]
    if both[0] != both[1]:
        raise TypeError(f"{body.__name__}{ours} does not take what {original.__name__}{theirs} does")
