"""The type of everything that the interpreter's stack holds; imports nothing."""

from __future__ import annotations

from typing import Any, TypeAlias

Item: TypeAlias = Any
"""A raw object or a Value (tracer/values/base.py says which is which)."""
