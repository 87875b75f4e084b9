"""Weak references of ours, by whose class they are told from those of the program.

A program that refers to an object weakly can see when it dies. Our own references must not be taken for that.
"""

from __future__ import annotations

import weakref
from typing import TypeVar

Target = TypeVar("Target")


class OwnReference(weakref.ref[Target]):
    """A weak reference to an object of the program that does nothing when the object dies."""

    __slots__ = ()
