"""The user's call stack at the moment of a capture, noted in the capture's event while a report is being made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Final

from tracer.events import Event
from tracer.interpret.location import is_user_file

RUNNER: Final = "<frozen runpy>"
"""The file of the frames that run a script or module: what lies below is not the program's."""

STACK: Final = "stack"
"""The detail of a capture's event: (function, file, line) of each frame of the user's, the outermost first."""


def with_stacks(add: Callable[[Event], None], bottom: FrameType) -> Callable[[Event], None]:
    """A subscriber that adds the stack to events of captures and gives every event to `add`.

    `bottom` is the frame that is to run the program; it and those below it are not the program's.
    """
    lowest = id(bottom)

    def hear(event: Event) -> None:
        if event.kind == "capture":
            event = replace(event, details={**event.details, STACK: _stack(sys._getframe(1), lowest)})
        add(event)

    return hear


def _stack(frame: FrameType | None, lowest: int) -> list[tuple[str, str, int]]:
    frames: list[tuple[str, str, int]] = []
    while frame is not None and id(frame) != lowest and frame.f_code.co_filename != RUNNER:
        code = frame.f_code
        if is_user_file(code.co_filename) and not code.co_filename.startswith("<"):
            frames.append((code.co_qualname, code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return frames[::-1]
