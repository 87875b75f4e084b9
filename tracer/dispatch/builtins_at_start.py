"""The builtins as they were when the tracer was imported, and whether the program has replaced one since."""

from __future__ import annotations

import builtins
from typing import Final

NOT_CALLED_BY_US: Final = frozenset({"print", "open", "input", "breakpoint", "help", "exit", "quit", "_", "__doc__"})
"""Names of `builtins` that programs and tools often replace, and that no capture needs."""

BUILTINS: Final = {name: value for name, value in vars(builtins).items() if name not in NOT_CALLED_BY_US}
"""What the tracer itself calls, as it was when the tracer was imported."""


def replaced_builtin() -> str | None:
    """The name of a builtin that the program has replaced; None if there is none.

    While one is, frames run natively: a capture would call the program's function for purposes of its own.
    """
    now = vars(builtins)
    return next((name for name, value in BUILTINS.items() if now.get(name) is not value), None)
