"""Binding: from a call as the tracer makes it to arguments by name, as rules take them.

`passes/record/naming.py` gave the names when the calls were recorded; here the same is done on metas, and the
schema that a kind of call follows is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch

from passes.meta import TensorMeta
from passes.outcome import Arguments, Keywords, ListArg, Target, leaves
from passes.record.naming import Named, chosen_schema, named_by, operator_name

LEVEL_OF_OVERLOADS: Final = "aten"
LEVEL_OF_FUNCTIONS: Final = "function"


def name_of(target: Target) -> tuple[str, str] | None:
    """The level and name under which calls of `target` are recorded; None for what is never recorded."""
    if isinstance(target, tuple):
        target = method_called(target)
        if target is None:
            return None
    if isinstance(target, torch._ops.OpOverload):
        return LEVEL_OF_OVERLOADS, operator_name(target)
    return LEVEL_OF_FUNCTIONS, operator_name(target)


def method_called(target: Any) -> Any:
    """The function that ("method", name) means."""
    return getattr(torch.Tensor, target[1], None) if target[0] == "method" else None


class Binder:
    """Names arguments; remembers for each kind of call which schema it follows."""

    def __init__(self) -> None:
        self._schemas: dict[Any, Any] = {}

    def bind(self, target: Target, args: Arguments, kwargs: Keywords) -> tuple[Named, dict[str, int]]:
        """Arguments by name in the schema's order, and for each the number of its first tensor in the call."""
        function = method_called(target) if isinstance(target, tuple) else target
        keywords = dict(kwargs)
        key = function, tuple(map(_kind, args)), tuple((name, _kind(value)) for name, value in kwargs)
        choice = self._schemas.get(key)
        if choice is None:
            choice = self._schemas[key] = chosen_schema(function, args, keywords)
        named = {name: _frozen(value) for name, value in named_by(choice, function, args, keywords).items()}
        return named, _places(named, args, keywords)


def _kind(value: Any) -> Any:
    kind = type(value)
    return (kind, *map(_kind, value)) if kind in (tuple, ListArg) else kind


def _frozen(value: Any) -> Any:
    """A list, which naming makes, as it is among arguments."""
    return ListArg(map(_frozen, value)) if type(value) in (list, torch.Size) else value


def _places(named: Mapping[str, Any], args: Arguments, keywords: Mapping[str, Any]) -> dict[str, int]:
    """Where each parameter's first tensor is among those of the call, positional before keyword ones."""
    if not keywords:
        places: dict[str, int] = {}
        count = 0
        for name, value in named.items():
            places[name] = count
            if type(value) is TensorMeta:
                count += 1
            elif isinstance(value, tuple):
                count += _tensors(value)
        return places
    count = 0
    by_identity: dict[int, int] = {}
    for value in (*args, *keywords.values()):
        by_identity.setdefault(id(value), count)
        count += _tensors((value,))
    places = {}
    positional = dict(zip(named, args, strict=False))
    for name in named:
        value = keywords.get(name, positional.get(name))
        places[name] = by_identity.get(id(value), 0)
    return places


def _tensors(value: Any) -> int:
    return sum(type(leaf) is TensorMeta for leaf in leaves((value,)))
