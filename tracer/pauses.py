"""Pauses: of garbage collection, for work that makes many objects and drops them at once, and of forks."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_pausing: set[int] = set()
"""Threads whose pause switched the collector off."""


@contextmanager
def no_collections() -> Iterator[None]:
    """Switch the garbage collector off inside the `with` block."""
    thread = threading.get_ident()
    pauses = gc.isenabled()
    if pauses:
        _pausing.add(thread)
        gc.disable()
    try:
        yield
    finally:
        if pauses:
            _pausing.discard(thread)
            gc.enable()


def _after_fork() -> None:
    """In a forked process, end the pauses of the threads that it does not have."""
    others = _pausing - {threading.get_ident()}
    _pausing.difference_update(others)
    if others:
        gc.enable()


os.register_at_fork(after_in_child=_after_fork)


no_forks: Final = threading.RLock()
"""Held while a capture imports modules that the program did not ask for, or torch logs for it. Forks wait for it.

In a child that is forked while another thread imports a module, that module stays locked for ever; so does a stream
that another thread was writing a log message to.
"""

os.register_at_fork(before=no_forks.acquire, after_in_parent=no_forks.release, after_in_child=no_forks.release)
