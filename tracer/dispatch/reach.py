"""Whether tensors can be reached from the arguments of a call, as far as a short look tells."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch

ITEMS = 16
"""How many items of a container are looked at."""

CONTAINERS: tuple[Any, ...] = (dict, list, tuple, set, frozenset, deque)
METHODS: tuple[type, ...] = (types.MethodType, types.BuiltinMethodType)
PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))
"""Types of objects that hold nothing."""

OBJECTS = 400
"""How many objects are looked at altogether."""


def reaches_tensor(values: Iterable[Any]) -> bool:
    """Whether a tensor, a module or an optimizer is among the values, in their containers or in their attributes.

    Code that is given none may still make tensors of its own. Nothing of the user's is called.
    """
    waiting = deque(values)
    seen: set[int] = set()
    while waiting and len(seen) < OBJECTS:
        value = waiting.popleft()
        if issubclass(type(value), (torch.Tensor, torch.nn.Module, torch.optim.Optimizer)):
            return True
        if id(value) not in seen:
            seen.add(id(value))
            waiting.extend(_parts(value))
    return False


def _parts(value: Any) -> list[Any]:
    """What a container or an instance holds directly."""
    parts: list[Any] = []
    cls = type(value)
    kind = next((kind for kind in CONTAINERS if issubclass(cls, kind)), None)
    if kind is not None:
        parts += islice(kind.values(value) if kind is dict else kind.__iter__(value), ITEMS)
    if not issubclass(cls, type) and cls.__dictoffset__:
        attributes = _attributes(value)
        if attributes is not None:
            parts += islice(attributes.values(), ITEMS)
    owner = value.__self__ if cls in METHODS else None
    return [part for part in (*parts, owner) if type(part) not in PLAIN]


def _attributes(value: Any) -> dict[str, Any] | None:
    """The dictionary of an instance, None where its class hides it behind something else."""
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return attributes if type(attributes) is dict else None
