"""A background thread that does not slow down its process: it takes the interpreter briefly, then yields it to others.

Python threads share one interpreter lock, and a thread that never blocks gives it up only every five milliseconds. A
caller that runs tensor operators gives it up at each of them, and would wait that long each time. So this thread pauses
at the next function call after each slice of work, and sleeps for a multiple of the slice; longer while callers are
busy. Knows nothing of the work that it runs.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

SLICE: Final = 0.5e-3
"""Seconds that the thread works before it sleeps."""

BUSY_SHARE: Final = 0.1
"""The part of the time that it works while somebody calls."""

IDLE_SHARE: Final = 0.5
"""The part of the time that it works otherwise."""

QUIET_AFTER: Final = 0.1
"""Seconds after the last call from which on nobody is taken to be calling."""

PATIENCE: Final = 2.0
"""Seconds that the end of the process waits for the thread to stop."""


class ProcessEnds(BaseException):
    """Raised in the thread when the process ends."""


class BackgroundQueue:
    """A queue of work, done in order by a thread that lives as long as the queue is not empty."""

    def __init__(self) -> None:
        self.last_call = 0.0
        """When somebody called last, by `time.perf_counter`; whoever calls sets it."""
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._awake = 0.0
        self._hurried = False

    def add(self, work: Callable[[], None]) -> None:
        """Append work to the queue, and start the thread if it is not running."""
        with self._lock:
            self._queue.append(work)
            self._start()

    def stop(self) -> None:
        """Drop the queued work, and end the thread at its next function call."""
        with self._lock:
            self._stopping = True
            self._queue.clear()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(PATIENCE)

    def wait(self, seconds: float) -> bool:
        """Wait until the queue is empty; False if that takes longer than the timeout."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return self._thread is None

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """In the thread: work in this block holds a lock that others need, and gets the larger share of the time."""
        self._hurried = True
        try:
            yield
        finally:
            self._hurried = False

    def after_fork(self) -> None:
        """In a forked process: its thread and whoever held the lock are not there. What is queued waits for `add`."""
        self._lock = threading.Lock()
        self._thread = None
        self._hurried = False

    def _run(self) -> None:
        sys.settrace(self._give_way)
        try:
            while work := self._next():
                work()
                sys.settrace(self._give_way)  # a compiler may have set another one
        except ProcessEnds:
            pass
        finally:
            sys.settrace(None)
            self._hand_over()

    def _hand_over(self) -> None:
        """If work raised, have another thread do the rest: Python tells of the exception, and ends this one."""
        with self._lock:
            if self._thread is threading.current_thread():
                self._thread = None
                self._start()

    def _start(self) -> None:
        """Start the thread if there is work and none is running. The lock is held."""
        if self._queue and self._thread is None and not self._stopping:
            self._thread = threading.Thread(target=self._run, name="bytegraph tiered", daemon=True)
            self._thread.start()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if self._queue:
                return self._queue.popleft()
            self._thread = None
            return None

    def _give_way(self, frame: Any, event: str, argument: Any) -> None:
        """The trace function of the thread, called at every function call; returning None avoids line events."""
        now = time.perf_counter()
        if now - self._awake < SLICE:
            return
        if self._stopping:
            raise ProcessEnds
        busy = now - self.last_call < QUIET_AFTER and not self._hurried
        share = BUSY_SHARE if busy else IDLE_SHARE
        time.sleep(SLICE * (1 - share) / share)
        self._awake = time.perf_counter()


BACKGROUND: Final = BackgroundQueue()
atexit.register(BACKGROUND.stop)
os.register_at_fork(after_in_child=BACKGROUND.after_fork)
