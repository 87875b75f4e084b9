"""bytegraph: capture PyTorch programs from bytecode into graphs that can be read.

from tracer import capture

@capture
def step(model, x): ...
"""

from tracer import packages as packages  # before what may be hidden by a folder of the user's

# isort: split
from tracer import extension as extension  # before what needs the native part

# isort: split
from importlib import import_module
from typing import TYPE_CHECKING, Any

from backends.registry import list_backends, register_backend
from tracer.api import capture, counters, disable, explain, reset
from tracer.dispatch.capturing import is_capturing
from tracer.logs import set_log
from tracer.marks import (
    allow_in_graph,
    assume_constant_result,
    disallow_in_graph,
    graph_break,
    nonstrict_trace,
    substitute_in_graph,
)
from tracer.reasons import ExportError, GraphBreakError, TracerBug
from tracer.stances import stance
from tracer.version import VERSION

if TYPE_CHECKING:
    from passes.infer.fake_kernels.fake_kernel import fake_kernel
    from tracer.existing_captures import run
    from tracer.exporting import export, to_exported_program
    from tracer.interpret.evaluator import use_rulebook
    from tracer.interpret.explain_call import explain_call
    from tracer.saved_captures import load_captures, save_captures

__all__ = [
    "ExportError",
    "GraphBreakError",
    "TracerBug",
    "allow_in_graph",
    "assume_constant_result",
    "capture",
    "counters",
    "disable",
    "disallow_in_graph",
    "explain",
    "explain_call",
    "export",
    "fake_kernel",
    "graph_break",
    "is_capturing",
    "list_backends",
    "load_captures",
    "nonstrict_trace",
    "register_backend",
    "reset",
    "run",
    "save_captures",
    "set_log",
    "stance",
    "substitute_in_graph",
    "to_exported_program",
    "use_rulebook",
]

__version__ = VERSION

WHEN_ASKED_FOR = {
    "fake_kernel": "passes.infer.fake_kernels.fake_kernel",
    "explain_call": "tracer.interpret.explain_call",
    "export": "tracer.exporting",
    "load_captures": "tracer.saved_captures",
    "run": "tracer.existing_captures",
    "save_captures": "tracer.saved_captures",
    "to_exported_program": "tracer.exporting",
    "use_rulebook": "tracer.interpret.evaluator",
}
"""Functions that few programs need, by module: imported at their first use, so that `import tracer` is quick."""


def __getattr__(name: str) -> Any:
    if name in WHEN_ASKED_FOR:
        return getattr(import_module(WHEN_ASKED_FOR[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
