"""Tracing in one thread without changing what other threads run.

While torch.fx traces, it replaces `torch.nn.Module.__call__` for every thread, and models that run elsewhere meanwhile
fail in it. Captured graphs call no module that tracing would have to see, so a thread that compiles them leaves the
class alone. Only this file knows how torch.fx changes classes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.fx import _symbolic_trace as theirs


class _Patcher(theirs._Patcher):
    """A patcher that changes anything but `torch.nn.Module`."""

    def patch_method(self, cls: type, name: str, new_fn: Callable[..., Any], deduplicate: bool = True) -> None:
        if cls is not torch.nn.Module:
            super().patch_method(cls, name, new_fn, deduplicate)


@contextmanager
def modules_untouched() -> Iterator[None]:
    """A context in which tracing in this thread leaves `torch.nn.Module` alone; other threads trace as usual."""
    thread, original = threading.get_ident(), theirs._new_patcher

    def new_patcher() -> AbstractContextManager[theirs._Patcher]:
        return _own_patcher() if threading.get_ident() == thread else original()

    theirs._new_patcher = new_patcher
    try:
        yield
    finally:
        theirs._new_patcher = original


@contextmanager
def _own_patcher() -> Iterator[theirs._Patcher]:
    before = theirs.CURRENT_PATCHER
    patcher = theirs.CURRENT_PATCHER = _Patcher()
    try:
        yield patcher
    finally:
        patcher.revert_all_patches()
        theirs.CURRENT_PATCHER = before
