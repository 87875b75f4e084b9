"""What torch.compile has made, when it is given to `capture`: it runs as such, and the user is told."""

from __future__ import annotations

import sys
import warnings
from typing import Any, Final

from tracer.mark_tables import is_compiled_by_torch

MAKER: Final = "torch._dynamo"
"""The module with the class of compiled modules; nothing was compiled in a process that has not imported it."""


def warn_of_compiled(fn: Any, stacklevel: int) -> None:
    """Issue a warning for a function, method or module that torch.compile has made: nothing of it is captured.

    `stacklevel` is that of `warnings.warn`, 1 for the caller of this.
    """
    original = _original(fn)
    if original is not None:
        warnings.warn(
            f"torch.compile has made what capture was given ({type(fn).__name__}), and it compiles itself: nothing is "
            f"captured. Give capture the original, {original}",
            stacklevel=stacklevel + 1,
        )


def _original(fn: Any) -> str | None:
    """How the program reaches what torch.compile was given; None for what it has not made."""
    maker = sys.modules.get(MAKER)  # half of it, while another thread imports it
    compiled_module = getattr(maker, "OptimizedModule", None)
    if compiled_module is None:
        return None
    if isinstance(fn, compiled_module):
        return "its `_orig_mod`"
    called = (getattr(fn, "__func__", fn), getattr(type(fn), "__call__", None))  # noqa: B004  (the function itself)
    return "its `_torchdynamo_orig_callable`" if any(map(is_compiled_by_torch, called)) else None
