"""What `donate` and `allocate` allow for the memory of one frame's graph; tracer/output/memory.py acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from passes.reuse.allocation import Allocate
    from tracer.guards.source import Source


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """For one frame: the access paths whose tensors may be overwritten (None: no tensor may be), and `allocate`."""

    donated: tuple[Source, ...] | None = None
    allocate: Allocate | None = None

    def __bool__(self) -> bool:
        return self.donated is not None or self.allocate is not None


NO_MEMORY_OPTIONS = MemoryOptions()
