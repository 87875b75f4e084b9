"""Running what may fail in any way: somebody else's compiler, and the programs it makes."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class GuardedAttempt:
    """`with Attempt() as attempt:` ends the block where it raises; `words` then says what was raised.

    What is no Exception (KeyboardInterrupt, SystemExit) passes through.
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
