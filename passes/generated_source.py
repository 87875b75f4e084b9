"""Source text of functions that a program has written: debuggers and tracebacks find it by the name of its file.

Nothing here knows what the functions do.
"""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import count
from types import FunctionType
from typing import Any

from passes.printable import printable

_numbers = count()


def unused_filename(name: str) -> str:
    """A name for the file of a function that no other function has, with `name` for people to read."""
    return f"<bytegraph {printable(name)} {next(_numbers)}>"


class Lines(Sequence[str]):
    """Lines of a text that is asked for when somebody looks: `linecache` itself asks nobody for a file `<...>`."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    @cached_property
    def _lines(self) -> list[str]:
        return self._read().splitlines(keepends=True)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        return self._lines[index]


def show_source(function: FunctionType, read: Callable[[], str]) -> None:
    """Have `linecache` show what `read` gives, with the lines of the function, as long as the function lives."""
    filename = function.__code__.co_filename
    linecache.cache[filename] = (1, None, Lines(read), filename)  # pyright: ignore[reportArgumentType]
    weakref.finalize(function, linecache.cache.pop, filename, None).atexit = False
