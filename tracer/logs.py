"""The log: events in words, on Python's `logging` under the name `bytegraph`, and as lines of JSON in a file.

Nothing is logged unless `set_log`, BYTEGRAPH_LOG or BYTEGRAPH_LOG_JSON asks for it, but for two warnings, each once for
a function: that it has reached its limit of captures, and that an internal error made it run natively. Calls that a
capture answers emit no event, so they cost the same with any log.
"""

from __future__ import annotations

import difflib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from passes.places import line_name
from passes.printable import printable
from tracer.events import KINDS, LOG, Event
from tracer.guards.words import first_of

LOGGER: Final = logging.getLogger("bytegraph")

TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "breaks": ("break",),
    "recaptures": ("miss", "recompile limit"),
    "guards": ("guards",),
    "graphs": ("graph", "rewrite", "tier"),
    "rules": ("quarantine", "rules refused"),
    "cache": ("capture", "restart", "skip", "bug", "loaded", "stored", "not stored", "file refused"),
}
"""The kinds of events of each topic."""

WARNINGS: Final = frozenset({"recompile limit", "bug", "rules refused"})
"""Kinds that are warnings; of the first two each function gets one, whatever is logged."""


def _place(details: Mapping[str, Any]) -> str:
    file = details.get("file")
    return f"{details['code']}, {line_name(file, details['line'])}" if file else str(details["code"])


def _reasons(details: Mapping[str, Any]) -> str:
    return first_of(details["why"], 3) or "first call"


LINES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "break": lambda event: f"graph break in {_place(event)}: {event['reason']} ({event['detail'] or 'no detail'})",
    "miss": lambda event: f"{_place(event)} is captured again: {_reasons(event)}",
    "recompile limit": lambda event: (
        f"{_place(event)} has {event['limit']} captures, its limit: the original runs where none of them fits. What "
        f"keeps changing: {event['guard'] or 'no one guard'} ({_reasons(event)}). {event['hint']}"
    ),
    "guards": lambda event: f"{_place(event)} has {event['guards']} guards",
    "graph": lambda event: f"graph of {_place(event)}: {event['ops']} operators",
    "capture": lambda event: f"captured {_place(event)} in {event['seconds'] * 1000:.1f} ms: {_reasons(event)}",
    "restart": lambda event: f"{_place(event)} is traced again, up to line {event['until']}",
    "skip": lambda event: f"{_place(event)} runs natively: {event['why'] or 'nothing to capture'}",
    "bug": lambda event: (
        f"an internal error of bytegraph: {_place(event)} runs natively ({event['error']}). Please report it; "
        f"BYTEGRAPH_RAISE_BUGS=1 raises it"
    ),
}
"""An event in one line; of other kinds, its details as they are."""

_topics: dict[str, bool] = {}
"""The topics that are logged, and whether with all detail."""

_warned: set[tuple[str, str]] = set()
_json_file: list[int] = []


class OnStandardError(logging.StreamHandler[Any]):
    """Writes to `sys.stderr` as long as the program has set up no logging of its own, which gets the records anyway."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless the root logger has handlers."""
        if not logging.root.handlers:
            self.stream = sys.stderr
            super().emit(record)


class PrintableFormatter(logging.Formatter):
    """Text of the program's (names, constants) gives a terminal no command."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record as lines that a terminal only shows."""
        return printable(super().formatMessage(record))


def topics_of(words: str | Iterable[str]) -> dict[str, bool]:
    """The topics that `words` name, such as `"breaks,+graphs"`, and whether with detail.

    Raises ValueError for a topic that there is not, and TypeError for what is no text.
    """
    if not isinstance(words, Iterable):
        raise TypeError(f"topics are words such as 'breaks,+graphs', not {words!r}")
    topics: dict[str, bool] = {}
    for word in words.split(",") if isinstance(words, str) else words:
        name = word.strip().strip("+")
        if name == "all":
            topics.update((topic, "+" in word) for topic in TOPICS)
        elif name in TOPICS:
            topics[name] = "+" in word
        elif name:
            near = difflib.get_close_matches(name, TOPICS, 1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(f"no topic of the log is named {name!r}{meant} The topics are {', '.join(TOPICS)} and all")
    return topics


def set_log(topics: str | Iterable[str] | None = None, *, json: str | os.PathLike[str] | None = None) -> None:
    """Log these topics from now on, and no others: `breaks`, `recaptures`, `guards`, `graphs`, `rules`, `cache`, `all`.

    `set_log("breaks,+graphs")` logs breaks in a line each, and graphs with their source. Records go to the logger
    `bytegraph` of Python's `logging`, and have the Event as their `event`; without handlers of the program's own they
    are written to stderr. `json` is a file to which every event is added as a line of JSON. `set_log()` turns all off.

    Raises ValueError for a topic that there is not, TypeError for what is no text, and OSError for a file that cannot
    be written.
    """
    chosen = topics_of(topics or ())
    file = None if json is None else os.open(json, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    _topics.clear()
    _topics.update(chosen)
    while _json_file:
        os.close(_json_file.pop())
    if file is not None:
        _json_file.append(file)
    for handler in [handler for handler in LOGGER.handlers if isinstance(handler, OnStandardError)]:
        LOGGER.removeHandler(handler)
    if chosen:
        handler = OnStandardError()
        handler.setFormatter(PrintableFormatter("bytegraph: %(message)s"))
        LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO if chosen else logging.NOTSET)
    detailed = {kind for topic, detail in chosen.items() if detail for kind in TOPICS[topic]}
    LOG.detailed = frozenset({*detailed, *(("guards",) if "guards" in chosen else ()), *(KINDS if _json_file else ())})


def _log(event: Event) -> None:
    """Write an event to the JSON file, and to the logger if its topic is logged or it is a warning."""
    if _json_file:
        os.write(_json_file[0], f"{event.to_json()}\n".encode())  # one call, which other threads do not cut in two
    detail = next((_topics[topic] for topic, kinds in TOPICS.items() if event.kind in kinds and topic in _topics), None)
    if detail is None and not _is_first_warning(event):
        return
    tell = LINES.get(event.kind, lambda details: f"{event.kind}: {dict(details)}")
    text = event.details.get("text") or event.details.get("message") if detail else None
    lines = [tell(event.details), *(str(text).splitlines() if text else ())]
    level = logging.WARNING if event.kind in WARNINGS else logging.INFO
    LOGGER.log(level, "%s", "\n  ".join(lines), extra={"event": event})


def _is_first_warning(event: Event) -> bool:
    if event.kind not in ("recompile limit", "bug"):
        return False
    key = event.kind, _place(event.details)
    if key in _warned:
        return False
    _warned.add(key)
    return True


def from_environment(environment: Mapping[str, str]) -> None:
    """Log what BYTEGRAPH_LOG and BYTEGRAPH_LOG_JSON ask for. A mistake in them is a warning, as nobody catches it."""
    topics, file = environment.get("BYTEGRAPH_LOG"), environment.get("BYTEGRAPH_LOG_JSON")
    try:
        if topics or file:
            set_log(topics, json=file)
    except (ValueError, OSError) as error:
        LOGGER.warning("BYTEGRAPH_LOG: %s", error)


LOG.subscribe(_log)
from_environment(os.environ)
