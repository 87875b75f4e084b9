"""bytegraph: capture PyTorch programs from bytecode into graphs that can be read.

from tracer import capture

@capture
def step(model, x): ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backends.registry import list_backends, register_backend
from tracer.api import capture, counters, disable, explain, graph_break, is_capturing, reset
from tracer.interpret.evaluator import use_rulebook
from tracer.interpret.explain_call import explain_call
from tracer.reasons import GraphBreakError, TracerBug

if TYPE_CHECKING:
    from passes.infer.fake_kernels.fake_kernel import fake_kernel

__all__ = [
    "GraphBreakError",
    "TracerBug",
    "capture",
    "counters",
    "disable",
    "explain",
    "explain_call",
    "fake_kernel",
    "graph_break",
    "is_capturing",
    "list_backends",
    "register_backend",
    "reset",
    "use_rulebook",
]


def __getattr__(name: str) -> Any:
    """`fake_kernel` brings all of inference with it, which few programs need: it is imported when asked for."""
    if name == "fake_kernel":
        return import_module("passes.infer.fake_kernels.fake_kernel").fake_kernel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
