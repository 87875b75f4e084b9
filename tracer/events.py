"""Structured events: the facts from which logs, reports and counters are made.

Events are rare (captures, breaks, misses; never a cache hit), so emitting may take a lock. Nothing
here knows what an event means beyond the table KINDS, and nothing is printed unless someone subscribes.
"""

import json
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

KINDS: dict[str, str] = {
    "capture": "a frame was captured (code, file, line, entry, why, seconds, stages)",
    "graph": "a graph was handed to the backend (code, file, line, ops; its source, with detail)",
    "guards": "the guards of a capture, if they are logged (code, file, line, their number; in words, with detail)",
    "break": "a graph ended before its frame did (reason, detail, message, code, file, line)",
    "restart": "a trace was discarded and the frame traced again (code, until)",
    "loaded": "an entry was read from the folder of captures (code, file, line, entry, path, saved, seconds)",
    "stored": "an entry was written to the folder of captures (code, file, line, entry, path)",
    "not stored": "an entry was not written, as it holds what is not written as data (code, file, line, why, detail)",
    "file refused": "a file in the folder of captures is not used (path, why)",
    "miss": "no cached entry fits a call (code, file, line, why)",
    "skip": "a frame is not captured: its original function runs (code, file, line, why)",
    "recompile limit": "a code object has reached its limit of entries (code, file, line, limit, guard, why, hint)",
    "bug": "an internal error occurred and the original function ran instead (code, file, line, error)",
    "stage": "time spent in one stage of a capture (code, stage, seconds)",
    "rewrite": "passes rewrote a graph (code, calls before and after, fired)",
    "tier": "a graph of the tiered backend changed its state (code, state, reason, seconds)",
    "quarantine": "a rule predicted wrongly and is no longer used (rule, found)",
    "rules refused": "a rulebook, or a file of it, cannot be read: operators are evaluated by trials (why)",
}

RING_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: a kind from KINDS, details as plain Python objects, seconds since the epoch."""

    kind: str
    details: Mapping[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no event kind {self.kind!r}; the kinds are {', '.join(KINDS)}")

    def to_json(self) -> str:
        """The event as one line of JSON; details that JSON cannot hold are written as their `str`."""
        return json.dumps({"kind": self.kind, "time": self.time, **self.details}, default=str)


@dataclass(slots=True)
class Counters:
    """Totals since the last reset. `hits` are counted by the native caches; tracer.counters() fills them in."""

    graphs: int = 0
    ops: int = 0
    breaks: Counter[str] = field(default_factory=Counter)
    captures: int = 0
    hits: int = 0
    misses: int = 0
    restarts: int = 0
    skips: int = 0
    tracer_bugs: int = 0


def _count_graph(counters: Counters, details: Mapping[str, Any]) -> None:
    counters.graphs += 1
    counters.ops += details.get("ops", 0)


def _count_break(counters: Counters, details: Mapping[str, Any]) -> None:
    counters.breaks[details["reason"]] += 1


def _count_one(name: str) -> Callable[[Counters, Mapping[str, Any]], None]:
    def count(counters: Counters, details: Mapping[str, Any]) -> None:
        setattr(counters, name, getattr(counters, name) + 1)

    return count


_COUNTING: dict[str, Callable[[Counters, Mapping[str, Any]], None]] = {
    "graph": _count_graph,
    "break": _count_break,
    "capture": _count_one("captures"),
    "miss": _count_one("misses"),
    "restart": _count_one("restarts"),
    "skip": _count_one("skips"),
    "bug": _count_one("tracer_bugs"),
}

Subscriber = Callable[[Event], None]


class EventLog:
    """The latest events, counters over all of them, and the subscribers that are called with each."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self._lock = threading.RLock()
        self._ring: deque[Event] = deque(maxlen=size)
        self._counters = Counters()
        self._subscribers: list[Subscriber] = []
        self.detailed: frozenset[str] = frozenset()
        """Kinds whose events are to have all detail, as the details of others are not worth their time."""

    def renew_lock(self) -> None:
        """In a forked process, forget who held the lock: no other thread is left that would release it."""
        self._lock = threading.RLock()

    def emit(self, event: Event) -> None:
        """Add an event, count it, and call every subscriber with it."""
        with self._lock:
            self._ring.append(event)
            count = _COUNTING.get(event.kind)
            if count is not None:
                count(self._counters, event.details)
            subscribers = tuple(self._subscribers)
        for subscriber in subscribers:
            subscriber(event)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every later event, until the function that is returned is called."""
        with self._lock:
            self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            with self._lock:
                if subscriber in self._subscribers:
                    self._subscribers.remove(subscriber)

        return unsubscribe

    def recent(self, kind: str | None = None) -> list[Event]:
        """The latest events of one kind, or of all kinds, oldest first."""
        with self._lock:
            return [event for event in self._ring if kind is None or event.kind == kind]

    def counters(self) -> Counters:
        """A copy of the counters."""
        with self._lock:
            return replace(self._counters, breaks=Counter(self._counters.breaks))

    def clear(self) -> None:
        """Forget events and counters; subscribers stay."""
        with self._lock:
            self._ring.clear()
            self._counters = Counters()


def json_lines(stream: TextIO) -> Subscriber:
    """A subscriber that writes each event to `stream` as one line of JSON."""

    def write(event: Event) -> None:
        stream.write(event.to_json() + "\n")

    return write


LOG = EventLog()
os.register_at_fork(after_in_child=LOG.renew_lock)
"""The log of the process: frames are captured on any thread, and people ask about all of them at once."""


def emit(event: Event) -> None:
    """Add one event to the process's log."""
    LOG.emit(event)
