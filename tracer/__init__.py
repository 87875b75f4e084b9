"""bytegraph: capture PyTorch programs from bytecode into graphs that can be read.

from tracer import capture

@capture
def step(model, x): ...
"""

from backends.registry import list_backends, register_backend
from tracer.api import capture, counters, disable, explain, graph_break, is_capturing, reset
from tracer.reasons import GraphBreakError, TracerBug

__all__ = [
    "GraphBreakError",
    "TracerBug",
    "capture",
    "counters",
    "disable",
    "explain",
    "graph_break",
    "is_capturing",
    "list_backends",
    "register_backend",
    "reset",
]
