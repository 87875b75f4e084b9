"""What the user allows and provides for the memory of a frame's graph. What is made of it: tracer/output/memory.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from passes.reuse.allocation import Allocate
    from tracer.guards.source import Source


@dataclass(frozen=True, slots=True)
class Intents:
    """The choices for one frame: paths whose tensors may be overwritten (None: nothing is to be), and `allocate`."""

    donated: tuple[Source, ...] | None = None
    allocate: Allocate | None = None

    def __bool__(self) -> bool:
        return self.donated is not None or self.allocate is not None


NO_INTENTS = Intents()
