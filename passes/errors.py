"""Errors that several folders of passes raise. Knows nothing of what they are about."""

from __future__ import annotations


class RuleError(ValueError):
    """A rule, a rulebook or a rewrite pattern that cannot be used; the message says which and why."""


def expect(value: object, kind: type, function: str, example: str) -> None:
    """Raise TypeError unless `value` is of a kind: `function` takes it, and `example` says how people get one."""
    if not isinstance(value, kind):
        raise TypeError(f"{function} takes a {kind.__module__}.{kind.__name__}, such as {example}, not {value!r}")
