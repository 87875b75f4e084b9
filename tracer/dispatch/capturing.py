"""What a capture changes of the process while it runs: who captures, the recursion limit, signal handlers.

One thread captures at a time. Nothing here knows what a capture is.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

FRAMES_PER_CALL: Final = 32
"""Frames of ours that following one nested call of the program may take, at the most."""

SHALLOW: Final = 1000
"""How deeply code may nest in `shallow_recursion`."""

_lock = threading.RLock()
"""Held by the thread that captures; the others run the original meanwhile."""

_threads: set[int] = set()

_restorations: list[Callable[[], None]] = []
"""What puts back the changes that the capture which is going on has made to the process."""


def capture_lock() -> Any:
    """The lock that a capture holds; a forked process has one of its own."""
    return _lock


def is_capturing() -> bool:
    """Whether this thread is tracing right now (inside a captured program the answer is True as well)."""
    return threading.get_ident() in _threads


def begin_capture() -> bool:
    """Make this thread the one that captures; False if one captures already, this thread included."""
    if is_capturing() or not _lock.acquire(blocking=False):
        return False
    _threads.add(threading.get_ident())
    return True


def end_capture() -> None:
    """Let other threads capture."""
    _threads.discard(threading.get_ident())
    _lock.release()


def _after_fork() -> None:
    """In a forked process no other thread is left that would end its capture, and put back what that has changed."""
    global _lock
    _lock = threading.RLock()
    _threads.intersection_update({threading.get_ident()})
    if _threads:
        _lock.acquire()
    else:
        while _restorations:
            _restorations.pop()()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def _restored(restoration: Callable[[], None]) -> Iterator[None]:
    """Run `restoration` at the end, or in a child that is forked meanwhile."""
    _restorations.append(restoration)
    try:
        yield
    finally:
        _restorations.remove(restoration)
        restoration()


# Recursion -------------------------------------------------------------------------------------------


def frames_left() -> int:
    """How many more frames the recursion limit allows this thread."""
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return sys.getrecursionlimit() - depth


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let Python code nest as deeply as following the nested calls of a program needs.

    The interpreter nests several frames for each that the program has. They are Python frames, which take no C stack.
    """
    usual = sys.getrecursionlimit()
    raised = usual * FRAMES_PER_CALL
    with _restored(partial(_restore_limit, usual, raised)):
        sys.setrecursionlimit(raised)
        yield


@contextmanager
def shallow_recursion() -> Iterator[None]:
    """Let code nest no deeper than a usual program, inside `deep_recursion`: what reads files from others may be made
    to nest without end, and C code that does has no stack for so much.
    """
    before = sys.getrecursionlimit()
    lowered = before - frames_left() + SHALLOW
    if lowered >= before:
        yield
        return
    with _restored(partial(_restore_limit, before, lowered)):
        sys.setrecursionlimit(lowered)
        yield


def _restore_limit(usual: int, raised: int) -> None:
    if sys.getrecursionlimit() == raised:  # not if the program has set another one
        sys.setrecursionlimit(usual)


# Signals ---------------------------------------------------------------------------------------------


class Interruption(BaseException):
    """Carries an exception of the user's signal handler past every handler of a capture."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let what the program's signal handlers raise leave the `with` block as an Interruption, whatever they interrupt.

    A timeout is an ordinary exception to the code that it interrupts, which would take it for an error of its own.
    """
    stand_ins = _stand_in_for_handlers() if threading.current_thread() is threading.main_thread() else {}
    with _restored(partial(_restore_handlers, stand_ins)):
        yield


def _restore_handlers(stand_ins: dict[int, tuple[Any, Any]]) -> None:
    for number, (handler, stand_in) in stand_ins.items():
        if signal.getsignal(number) is stand_in:  # not if a handler has set another one
            signal.signal(number, handler)


def _stand_in_for_handlers() -> dict[int, tuple[Any, Any]]:
    """Replace the handlers that the program has set: (handler, what stands in for it) of each signal."""
    stand_ins: dict[int, tuple[Any, Any]] = {}
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            stand_in = partial(_interrupt, handler)
            stand_ins[number] = handler, stand_in
            signal.signal(number, stand_in)
    return stand_ins


def _interrupt(handler: Callable[[int, Any], Any], number: int, frame: Any) -> None:
    handled = sys.exception()
    try:
        handler(number, frame)
    except BaseException as error:  # noqa: BLE001  (all of them are the program's)
        if error.__context__ is handled:
            error.__context__ = None  # that is a matter of the capture
        raise Interruption(error) from None
