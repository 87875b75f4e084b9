"""Lines that a residual program prints after its graph, and whether it may: not through code of the program."""

from __future__ import annotations

import sys
from typing import Any

from tracer.effects.streams import is_plain


def can_print(*streams: Any) -> bool:
    """Whether all of `streams`, or sys.stdout if there is none, take text without running code of the program."""
    return all(map(is_plain, streams or (sys.stdout,)))


def print_line(separator: str, end: str, flush: bool, stream: Any, *parts: Any) -> None:
    """`print` with its options first; None as `stream` is sys.stdout."""
    print(*parts, sep=separator, end=end, file=stream, flush=flush)
