"""The reference evaluator: guards decided slowly in Python, and a failed one put into words.

Strict mode compares the native guard program with it. Nothing here runs on a cache hit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch

from tracer.guards.checks import CHECKS, Expression, TensorFacts, tensor_differences
from tracer.guards.guard_set import Guard
from tracer.guards.source import ACCESSORS, Absent, Source
from tracer.guards.state import State, read_state

UNREACHABLE = (LookupError, AttributeError, TypeError, ValueError)


class CallFrame:
    """One call: the function object and its parameters' values, defaults filled in."""

    __slots__ = ("_resolved", "function", "locals")

    def __init__(self, function: Any, local_values: Mapping[str, Any]) -> None:
        self.function = function
        self.locals = dict(local_values)
        self._resolved: dict[Source, Any] = {}

    @classmethod
    def bound(cls, function: Any, code: Any, values: tuple[Any, ...]) -> CallFrame:
        """The frame of a call of `code` whose parameters, in `co_varnames` order, are `values`."""
        return cls(function, dict(zip(code.co_varnames, values, strict=False)))

    def resolve(self, source: Source) -> Any:
        """The value at `source` now. Raises one of UNREACHABLE if the path leads nowhere."""
        resolved = self._resolved
        if source not in resolved:
            base = self if source.base is None else self.resolve(source.base)
            key = self.resolve(source.key) if source.accessor == "item of" else source.key
            resolved[source] = ACCESSORS[source.accessor].get(base, key)
        return resolved[source]


class Failure(NamedTuple):
    """The first guard that does not hold, what was found there, and both in words."""

    guard: Guard
    found: Any
    words: str


def first_failure(guards: Iterable[Guard], frame: CallFrame) -> Failure | None:
    """The first of `guards` that does not hold for the call `frame`, or None if all hold."""
    for guard in guards:
        try:
            found = None if guard.source is None else frame.resolve(guard.source)
            holds = CHECKS[guard.check].test(found, guard.expected, frame)
        except UNREACHABLE as error:
            return Failure(guard, error, _unreachable_words(guard, error))
        if not holds:
            return Failure(guard, found, failure_words(guard, found, frame))
    return None


# Words -----------------------------------------------------------------------------------------------

TENSOR_NAMES = {torch.Tensor: "torch.Tensor", torch.nn.Parameter: "torch.nn.Parameter"}
"""Classes as users write them."""


def _name(target: Any) -> str:
    if isinstance(target, type):
        return target.__qualname__
    name = getattr(target, "__qualname__", None) if callable(target) else None
    text = name if isinstance(name, str) else f"{target!r}" if _is_short(target) else type(target).__qualname__
    return text if len(text) <= 60 else text[:57] + "..."


def _is_short(target: Any) -> bool:
    return isinstance(target, int | float | complex | str | bytes | tuple | frozenset | type(None) | torch.dtype)


def expected_words(guard: Guard) -> str:
    """The expected value as a person reads it."""
    expected = guard.expected
    if guard.check in ("type", "same object"):
        target = expected()
        return "<gone>" if target is None and guard.check == "type" else _name(target)
    match expected:
        case TensorFacts():
            return f"{TENSOR_NAMES.get(expected.type, expected.type.__qualname__)} {expected.meta.words}"
        case Expression() | State() | Source():
            return expected.text
        case _:
            return repr(expected)


def guard_words(guard: Guard) -> str:
    """What the guard asks: `self.fc is a Linear`."""
    source = "" if guard.source is None else guard.source.text
    return CHECKS[guard.check].text.format(source=source, expected=expected_words(guard))


def failure_words(guard: Guard, found: Any, frame: CallFrame) -> str:
    """What was found instead: `x.size(0) is 4, captured with 2`."""
    text = "" if guard.source is None else guard.source.text
    expected = guard.expected
    match guard.check:
        case "tensor":
            what, actual, wanted = next(iter(tensor_differences(found, expected)))
            return f"{text}: {what} is {actual}, captured with {wanted}"
        case "type":
            return f"{text} is a {_name(type(found))}, captured as a {expected_words(guard)}"
        case "state":
            now, then = read_state(threads=expected.threads is not None), expected
            name = next(name for name in now._fields if getattr(now, name) != getattr(then, name))
            return f"torch's setting {name} is {getattr(now, name)}, captured with {getattr(then, name)}"
        case "expression":
            values = ", ".join(f"{source.text} = {frame.resolve(source)}" for source in expected.sources)
            return f"{expected.text} does not hold for {values}"
        case "equal":
            return f"{text} is {_name(found)}, captured with {expected!r}"
        case "same object":
            return f"{text} is another object than {expected_words(guard)}"
        case _:
            return f"not so: {guard_words(guard)}"


def _unreachable_words(guard: Guard, error: BaseException) -> str:
    where = "a source" if guard.source is None else guard.source.text
    reason = error if isinstance(error, Absent) and error.args else f"{type(error).__name__}: {error}"
    return f"{where} cannot be reached any more ({reason})"
