"""Whether a program can see when an object dies.

An object with a finaliser, one with a weak reference to it, a generator that waits: what such an object does at its end
must happen where the program lets go of it, so CPython itself runs that instruction. Nothing here knows how.
"""

from __future__ import annotations

import types
import weakref
from collections import deque
from typing import Any, Final

import torch

MOST: Final = 64
"""Objects that are looked through, at the most, for one whose end shows."""

CONTAINERS: Final = (list, tuple, set, frozenset, deque)
LONG_LIVED: Final = (type, types.ModuleType, types.FunctionType, torch.nn.Module)
"""Kinds of objects whose own contents are not looked through: others hold on to them."""


def ends_visibly(obj: Any) -> bool:
    """Whether the end of an object, or of something that it holds, can be seen."""
    pending, seen = [obj], set[int]()
    while pending and len(seen) < MOST:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if _ends_visibly_itself(current):
            return True
        pending += _contents(current)
    return False


def _ends_visibly_itself(obj: Any) -> bool:
    cls: Any = type(obj)
    if issubclass(cls, types.GeneratorType):
        return obj.gi_suspended
    if issubclass(cls, memoryview) or hasattr(cls, "__del__"):
        return True
    return bool(cls.__weakrefoffset__) and any(map(_is_the_programs, weakref.getweakrefs(obj)))


def _is_the_programs(reference: Any) -> bool:
    """Whether a weak reference may be the program's own: torch keeps tables of its own with classes of references."""
    return not type(reference).__module__.startswith("torch.")


def _contents(obj: Any) -> list[Any]:
    cls: Any = type(obj)
    if issubclass(cls, LONG_LIVED):
        return []
    contents: list[Any] = []
    if issubclass(cls, dict):
        contents += [*dict.keys(obj), *dict.values(obj)][:MOST]
    elif issubclass(cls, CONTAINERS):
        contents += list(obj)[:MOST] if cls in CONTAINERS else []
    if cls.__dictoffset__ and not issubclass(cls, torch.Tensor):
        contents += object.__getattribute__(obj, "__dict__").values()
    return contents
