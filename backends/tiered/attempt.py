"""Runs code that may fail in any way: a compiler written by others, and the programs it makes."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class GuardedAttempt:
    """`with GuardedAttempt() as attempt:` ends the block if it raises; `attempt.words` then describes the exception.

    Exceptions that are no `Exception` (KeyboardInterrupt, SystemExit) pass through.
    """

    def __init__(self) -> None:
        self.words = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.words = f"{type(error).__name__}: {error}"
        return isinstance(error, Exception)
