"""bytegraph: capture PyTorch programs from bytecode into graphs that can be read.

    import bytegraph

    @bytegraph.capture
    def step(model, x): ...

The public functions of `tracer`, and those of `passes` and `backends`, under one name; `python -m bytegraph` is the
command line. `docs/api.md` says what each of them does.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import tracer

if os.path.dirname(os.path.abspath(str(tracer.__file__))) != os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "tracer"
):
    raise ImportError(f"{tracer.__file__} hides the package 'tracer' of bytegraph: rename it, or move it off sys.path")

from tracer import __version__ as __version__

globals().update({name: getattr(tracer, name) for name in tracer.__all__ if name not in tracer.WHEN_ASKED_FOR})

if TYPE_CHECKING:
    from backends.cases import replay_case, save_case
    from backends.gradients import check_gradients
    from passes.autodiff import linearize, partition, transpose
    from passes.meta import TensorMeta
    from passes.network.build import network_of
    from passes.propagate import propagate
    from passes.record import Corpus, record
    from passes.rewrite.pipeline import Pass
    from passes.rewrite.rules import FROZEN, STANDARD
    from tracer import *  # noqa: F403
    from tracer.diagnosis import diagnose
    from tracer.rewriting import check_rule, rewrite, rewrite_rule, rewriting

WHEN_ASKED_FOR = {
    **tracer.WHEN_ASKED_FOR,
    "FROZEN": "passes.rewrite.rules",
    "STANDARD": "passes.rewrite.rules",
    "Corpus": "passes.record",
    "Pass": "passes.rewrite.pipeline",
    "TensorMeta": "passes.meta",
    "check_gradients": "backends.gradients",
    "check_rule": "tracer.rewriting",
    "diagnose": "tracer.diagnosis",
    "linearize": "passes.autodiff",
    "network_of": "passes.network.build",
    "partition": "passes.autodiff",
    "propagate": "passes.propagate",
    "record": "passes.record",
    "replay_case": "backends.cases",
    "rewrite": "tracer.rewriting",
    "rewrite_rule": "tracer.rewriting",
    "rewriting": "tracer.rewriting",
    "save_case": "backends.cases",
    "transpose": "passes.autodiff",
}
"""Names by the module that has them: imported at their first use, so that `import bytegraph` is quick."""

__all__ = [
    "FROZEN",
    "STANDARD",
    "Corpus",
    "Pass",
    "TensorMeta",
    "check_gradients",
    "check_rule",
    "diagnose",
    "linearize",
    "network_of",
    "partition",
    "propagate",
    "record",
    "replay_case",
    "rewrite",
    "rewrite_rule",
    "rewriting",
    "save_case",
    "transpose",
]
__all__ += tracer.__all__


def __getattr__(name: str) -> Any:
    if name in WHEN_ASKED_FOR:
        return getattr(import_module(WHEN_ASKED_FOR[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if __name__ == "__main__":
    sys.exit(import_module("tracer.commands.application").main())
