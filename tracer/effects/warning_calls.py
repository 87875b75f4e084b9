"""Warnings that a residual program issues after its graph: whether that is the same, and the call itself.

A warning shows only outside of the program, unless a filter makes it an error, or code of the program shows it.
"""

from __future__ import annotations

import re
import sys
import types
import warnings
from typing import Any

from tracer.effects.streams import is_plain

QUIET_ACTIONS = frozenset({"ignore", "always", "default", "module", "once"})
PATTERNS = (type(None), str, re.Pattern)
"""What a filter may hold to compare a text with, so that no code of the program is asked."""

REGISTRY = "__warningregistry__"


def module_name(namespace: dict[str, Any]) -> str:
    """The module that a warning from a frame with these globals is attributed to, as `_warnings.c` names it."""
    return namespace.get("__name__", "<string>")


def can_warn(category: type, text: str, namespace: dict[str, Any], line: int, *lists: Any) -> bool:
    """Whether a warning attributed to a line of the module with this namespace shows in no other way when it is late.

    `lists` are those that the program looks into, which must not be what records warnings.
    """
    name, registry = namespace.get("__name__", ""), namespace.get(REGISTRY)
    if type(name) is not str or not (registry is None or type(registry) is dict):
        return False
    action = _action(category, text, module_name(namespace), line)
    return action == "ignore" or (action in QUIET_ACTIONS and _is_shown_by_python(lists))


def _action(category: type, text: str, module: str, line: int) -> str:
    """What the filters do with a warning; "" where code of the program would have to be asked."""
    for row in warnings.filters:
        if type(row) is not tuple or len(row) != 5 or any(type(row[place]) not in PATTERNS for place in (1, 3)):
            return ""
        action, message, kind, place, lineno = row
        is_meant = issubclass(category, kind) and lineno in (0, line)
        if is_meant and _matches(message, text) and _matches(place, module):
            return action
    return getattr(warnings, "defaultaction", "default")


def _matches(pattern: Any, text: str) -> bool:
    if type(pattern) is re.Pattern:
        return pattern.match(text) is not None
    return pattern is None or pattern == text


def _is_shown_by_python(lists: tuple[Any, ...]) -> bool:
    """Whether the functions that show a warning are those of the standard library, or record it in another list."""
    names = ("_showwarnmsg", "showwarning", "formatwarning", "_formatwarnmsg")
    if not all(_is_of_warnings(getattr(warnings, name, None)) for name in names):
        return False
    show: Any = getattr(warnings, "_showwarnmsg_impl", None)
    if _is_of_warnings(show):
        return is_plain(sys.stderr)
    recorded = getattr(show, "__self__", None)
    records = isinstance(show, types.BuiltinFunctionType) and type(recorded) is list and show.__name__ == "append"
    return records and all(recorded is not other for other in lists)


def _is_of_warnings(function: Any) -> bool:
    return isinstance(function, types.FunctionType) and function.__code__.co_filename == warnings.__file__


def issue_warning(message: Any, category: type, namespace: dict[str, Any], filename: str, line: int) -> None:
    """Issue a warning as `warnings.warn` does from a line of the module with this namespace."""
    registry = namespace.setdefault(REGISTRY, {})
    warnings.warn_explicit(message, category, filename, line, module_name(namespace), registry)
