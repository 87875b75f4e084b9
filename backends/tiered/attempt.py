"""Runs code that may fail in any way: a compiler written by others, and the programs it makes."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class GuardedAttempt:
    """`with GuardedAttempt() as attempt:` ends the block if it raises; `attempt.words` then describes the exception.

    Exceptions that are no `Exception` (KeyboardInterrupt, SystemExit) pass through, unless `everything` is caught: in a
    thread of our own nobody is there to be interrupted, or to exit. `apart_from` passes through in any case.
    """

    def __init__(self, everything: bool = False, apart_from: tuple[type[BaseException], ...] = ()) -> None:
        self.words = ""
        self._caught = BaseException if everything else Exception
        self._apart_from = apart_from

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        caught = isinstance(error, self._caught) and not isinstance(error, self._apart_from)
        if caught:
            self.words = f"{type(error).__name__}: {error}"
        return caught
