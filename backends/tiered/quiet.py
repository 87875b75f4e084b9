"""Tracing in one thread without changing what others run.

While torch.fx traces, `torch.nn.Module.__call__` is another function, for every thread: models that run
elsewhere meanwhile fail in it. Our graphs call no module that would have to be seen, so a thread that
compiles them does without. Only this file knows how torch.fx changes classes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.fx import _symbolic_trace as theirs


class _Patcher(theirs._Patcher):
    """Changes anything but `torch.nn.Module`."""

    def patch_method(self, cls: type, name: str, new_fn: Callable[..., Any], deduplicate: bool = True) -> None:
        if cls is not torch.nn.Module:
            super().patch_method(cls, name, new_fn, deduplicate)


@contextmanager
def modules_untouched() -> Iterator[None]:
    """Inside, graphs that this thread traces leave `torch.nn.Module` as it is; other threads trace as ever."""
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
