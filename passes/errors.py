"""Errors that several folders of passes raise. Knows nothing of what they are about."""

from __future__ import annotations


class RuleError(ValueError):
    """A rule, a rulebook or a rewrite pattern that cannot be used; the message says which and why."""
