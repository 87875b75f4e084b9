"""Lines of the program's source, for people to read.

The standard library's `linecache` reads files by `tokenize.open`, which a program may have replaced. It is asked only
for what it holds, such as the lines of a notebook's cell.
"""

from __future__ import annotations

import io
import linecache
import tokenize
from functools import lru_cache
from typing import Final

_open, _encoding_of = io.open, tokenize.detect_encoding
"""As they were when this was imported."""

KEPT_FILES: Final = 200


def source_line(file: str, number: int) -> str:
    """A line of a file, counted from 1, without its end; "" where there is none."""
    held = linecache.cache.get(file)
    lines = tuple(held[2]) if held is not None and len(held) > 2 else _lines_of(file)
    return lines[number - 1].rstrip("\n") if 0 < number <= len(lines) else ""


@lru_cache(KEPT_FILES)
def _lines_of(file: str) -> tuple[str, ...]:
    try:
        with _open(file, "rb") as source:
            encoding, _ = _encoding_of(source.readline)
            source.seek(0)
            text = source.read().decode(encoding, errors="replace")
    except (OSError, SyntaxError, ValueError, LookupError):
        return ()
    return tuple(line.rstrip("\r") for line in text.split("\n"))
