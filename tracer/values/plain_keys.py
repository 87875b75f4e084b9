"""Which real objects CPython compares without running code of the program. Knows nothing of dicts and sets."""

from __future__ import annotations

import types
from collections.abc import Iterable

from tracer.values.base import LITERALS
from tracer.values.tuples import is_constant_tuple


def have_no_equality(keys: Iterable[object]) -> bool:
    """Whether no real object has an `__eq__` that is written in Python, or holds one that may."""
    kinds = set(map(type, keys)) - LITERALS
    if tuple in kinds and not all(is_constant_tuple(key) for key in keys if type(key) is tuple):
        return False
    equalities = (next(vars(base)["__eq__"] for base in cls.__mro__ if "__eq__" in vars(base)) for cls in kinds)
    return all(type(equality) is types.WrapperDescriptorType for equality in equalities)
