"""Graph breaks: why and where a graph ended before its frame did, printed the way a compiler reports an error.

Nothing here knows how a trace is stopped or what runs after a break.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import path
from typing import Any

from passes.places import file_name, line_name
from tracer.interpret.location import Location
from tracer.reasons import Reason
from tracer.source_text import source_line


@dataclass(frozen=True, slots=True)
class Break:
    """One graph break. `location` is in the captured frame, `calls` are in functions that it was calling, inside first.

    `long` are the code objects of the functions, of those that the captured frame was calling, in which most of the
    trace was spent. `needs_number` says that the number of a symbol for the data of a tensor was asked for.
    """

    reason: Reason
    detail: str
    location: Location
    calls: tuple[Location, ...] = ()
    long: tuple[Any, ...] = ()
    needs_number: bool = False

    @property
    def place(self) -> Location:
        """The user's line that caused the break: the innermost one that is in no library, if there is one."""
        places = (place for place in (*self.calls, self.location) if not place.is_of_library)
        return next(places, self.location)

    @property
    def facts(self) -> dict[str, Any]:
        """The break as the details of an event."""
        place = {"file": self.place.file, "line": self.place.line}
        return {"reason": self.reason.id, "detail": self.detail, **place, "message": self.message}

    @property
    def message(self) -> str:
        """The reason, the place, the user's line with carets, an explanation and a hint."""
        chain, place = (*self.calls, self.location), self.place
        index = next(index for index, each in enumerate(chain) if each is place)
        lines = [f"graph break: {self.reason.id}", f"  {_place(place)}", *_pointed_line(place)]
        if index > 0:
            lines.append(f"  reached at {_place(chain[0])}")
            text = source_line(chain[0].file, chain[0].line).strip()
            lines += [f"      {text}"] if text else []
        lines += [f"  called at {_place(caller)}" for caller in chain[index + 1 :] if not caller.is_of_library]
        detail = f" ({self.detail})" if self.detail else ""
        lines.append(f"  {self.reason.what}{detail}")
        lines.append(f"  hint: {self.reason.hint}")
        return "\n".join(lines)


def _pointed_line(place: Location) -> list[str]:
    """A line of the program, and carets under the instruction's part of it."""
    position, text = place.positions, source_line(place.file, place.line)
    if not text:
        return []
    lines = [f"      {text.strip()}"]
    if position.line == place.line and position.column is not None:
        indent = len(text) - len(text.lstrip())
        begin = _characters(text, position.column)
        end = _characters(text, position.end_column) if position.end_line == position.line else len(text)
        lines.append(f"      {' ' * (begin - indent)}{'^' * max(1, end - begin)}")
    return lines


def _characters(text: str, column: int) -> int:
    """A column as characters; CPython counts the bytes of UTF-8."""
    return len(text.encode()[:column].decode(errors="ignore"))


def _place(location: Location) -> str:
    """`train.py:41 in step`, the file as seen from where Python runs."""
    file, line = location.file, location.line
    if file_name(file) == path.basename(file):
        relative = path.relpath(file) if path.isabs(file) else file
        return f"{file if relative.startswith('..') else relative}:{line} in {location.function}"
    return f"{line_name(file, line)} in {location.function}"
