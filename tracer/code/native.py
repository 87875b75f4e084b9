"""The dialect of the running interpreter."""

from __future__ import annotations

import sys
from typing import Final

from tracer.code import python311, python312, python313
from tracer.code.dialect import Dialect

DIALECTS: Final = {(3, 11): python311.DIALECT, (3, 12): python312.DIALECT, (3, 13): python313.DIALECT}
"""By version of CPython; 3.14 is not among them yet."""


def dialect_of(version: tuple[int, int]) -> Dialect:
    """How a version of CPython writes instructions. Raises ImportError for one that no file describes."""
    if version not in DIALECTS:
        *others, last = (f"{major}.{minor}" for major, minor in DIALECTS)
        names = f"{', '.join(others)} and {last}"
        raise ImportError(f"bytegraph knows the bytecode of Python {names}, not of {version[0]}.{version[1]}")
    return DIALECTS[version]


DIALECT: Final = dialect_of(sys.version_info[:2])
