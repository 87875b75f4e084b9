"""The reference evaluator: it decides guards slowly, in Python, and puts a failed one into words.

Strict mode compares the native guard program with it. Nothing here runs when a call hits the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch

from passes.references import OwnReference
from tracer.guards.aliasing import Aliasing
from tracer.guards.checks import CHECKS, Expression, TensorFacts, facts_difference
from tracer.guards.guard_set import Guard
from tracer.guards.source import ACCESSORS, Absent, Source
from tracer.guards.state import State, read_again
from tracer.guards.words import shown

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
        """The call of `code` whose parameters, in `co_varnames` order, have these values."""
        return cls(function, dict(zip(code.co_varnames, values, strict=False)))

    def resolve(self, source: Source) -> Any:
        """The value that `source` leads to now. Raises one of UNREACHABLE if it leads nowhere."""
        resolved = self._resolved
        if source not in resolved:
            base = self if source.base is None else self.resolve(source.base)
            key = self.resolve(source.key) if source.accessor == "item of" else source.key
            resolved[source] = ACCESSORS[source.accessor].get(base, key)
        return resolved[source]

    def forget(self) -> None:
        """Let go of what was resolved."""
        self._resolved.clear()


class Difference(NamedTuple):
    """How a call differs from the one that was captured: `x: size(0) is 4`, and before, `with 2`, or nothing."""

    now: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.now}, captured {self.before}" if self.before else self.now


class FailedGuard(NamedTuple):
    """A guard that does not hold, the value at its source (or why there is none), and how they differ in words."""

    guard: Guard
    value: Any
    difference: Difference

    @property
    def words(self) -> str:
        """The difference as one text."""
        return str(self.difference)


def first_failure(guards: Iterable[Guard], call: CallFrame) -> FailedGuard | None:
    """The first of `guards` that does not hold for the call, or None if all hold."""
    for guard in guards:
        try:
            value = None if guard.source is None else call.resolve(guard.source)
            holds = CHECKS[guard.check].test(value, guard.expected, call)
        except UNREACHABLE as error:
            return FailedGuard(guard, error, Difference(_unreachable_words(guard, error)))
        if not holds:
            return FailedGuard(guard, value, difference_of(guard, value, call))
    return None


# Words -----------------------------------------------------------------------------------------------

TENSOR_NAMES = {torch.Tensor: "torch.Tensor", torch.nn.Parameter: "torch.nn.Parameter"}
"""The names under which users know these classes."""


def _name(target: Any) -> str:
    if isinstance(target, type):
        return target.__qualname__
    name = getattr(target, "__qualname__", None) if callable(target) else None
    text = name if isinstance(name, str) else shown(target) if _is_short(target) else type(target).__qualname__
    return text if len(text) <= 60 else text[:57] + "..."


def _is_short(target: Any) -> bool:
    return isinstance(target, int | float | complex | str | bytes | tuple | frozenset | type(None) | torch.dtype)


def expected_words(guard: Guard) -> str:
    """The expected value as a person reads it."""
    expected = guard.expected
    if guard.check in ("type", "same object"):
        target = expected()
        return "<gone>" if target is None and guard.check == "type" else _name(target)
    if guard.check == "unseen end":
        return "" if expected is None else f".{expected}"
    if guard.check == "keys":
        return shown(_keys(expected))
    if guard.check == "set order":
        return shown(list(_keys(expected[1:])))
    if guard.check in ("absent", "present"):
        return shown(*_keys((expected,)))
    if guard.check == "set items":
        return shown(frozenset(_keys(tuple(expected))))
    match expected:
        case TensorFacts():
            return f"{TENSOR_NAMES.get(expected.type, expected.type.__qualname__)} {expected.meta.words}"
        case Expression() | State() | Source() | Aliasing():
            return expected.text
        case _:
            return shown(expected)


def _keys(expected: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(key() if type(key) is OwnReference else _keys(key) if type(key) is tuple else key for key in expected)


def guard_words(guard: Guard) -> str:
    """What the guard says: `self.fc is a Linear`."""
    source = "" if guard.source is None else guard.source.text or "the global namespace"
    return CHECKS[guard.check].text.format(source=source, expected=expected_words(guard))


def subject(guard: Guard) -> str:
    """What of the program a guard reads: the text of its source or sources; "" for what belongs to no name."""
    sources = guard.expected.sources if guard.check == "expression" else [guard.source]
    return ", ".join(source.text for source in sources if source)


def difference_of(guard: Guard, value: Any, call: CallFrame) -> Difference:
    """How the value at the source of a failed guard differs: `x: size(0) is 4`, captured `with 2`."""
    text = "" if guard.source is None else guard.source.text
    expected = guard.expected
    match guard.check:
        case "tensor":
            difference = facts_difference(value, expected)
            assert difference is not None, "the tensor is what the failed guard expects"
            return Difference(f"{text}: {difference.kind} is {difference.actual}", f"with {difference.expected}")
        case "type":
            return Difference(f"{text} is a {_name(type(value))}", f"as a {expected_words(guard)}")
        case "state":
            now = read_again(expected)
            name = next(name for name in now._fields if getattr(now, name) != getattr(expected, name))
            return Difference(f"torch's setting {name} is {getattr(now, name)}", f"with {getattr(expected, name)}")
        case "expression":
            values = ", ".join(f"{source.text} = {shown(call.resolve(source))}" for source in expected.sources)
            return Difference(f"{expected.text} does not hold for {values}")
        case "aliasing":
            return Difference(f"it does not hold that {expected.text}")
        case "equal":
            return Difference(f"{text} is {_name(value)}", f"with {shown(expected)}")
        case "same object":
            return Difference(f"{text} is no longer {expected_words(guard)}")
        case _:
            return Difference(f"guard failed: {guard_words(guard)}")


def _unreachable_words(guard: Guard, error: BaseException) -> str:
    where = "a source" if guard.source is None else guard.source.text
    reason = error if isinstance(error, Absent) and error.args else f"{type(error).__name__}: {error}"
    return f"{where} cannot be reached any more ({reason})"
