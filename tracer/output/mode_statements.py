"""A graph that computes nothing and only sets modes, as statements of the residual program.

Such a graph is what is left of a `with torch.no_grad()` around a break: it has nothing for a backend to compile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from passes.operators.modes import KERNEL_SETTERS, SETTERS, SETTINGS
from tracer.output.statements import Statement
from tracer.values.rebuilding import fragment, listed

if TYPE_CHECKING:
    from torch.fx import Node

    from tracer.interpret.trace import Trace
    from tracer.output.emitter import ProgramEmitter

OF_THREAD: Final = SETTERS - {*KERNEL_SETTERS, *SETTINGS}
"""Setters that cannot fail, so that no mode needs to be put back."""


def take_mode_statements(emitter: ProgramEmitter, trace: Trace) -> list[Statement]:
    """Take the calls out of a pruned graph without results that only sets modes: the statements that do it instead.

    A graph that does more keeps its calls.
    """
    calls = [node for node in trace.graph.graph.nodes if node.op not in ("placeholder", "output")]
    if trace.graph.inputs or not all(call.target in OF_THREAD for call in calls):
        return []
    statements = [_statement(emitter, call) for call in calls if not _is_superseded(call, calls)]
    for call in reversed(calls):
        trace.graph.graph.erase_node(call)
    return statements


def _is_superseded(call: Node, calls: list[Node]) -> bool:
    """Whether a later call sets anew whether gradients are recorded."""
    sets_gradients = [each for each in calls if each.target is torch._C._set_grad_enabled]
    return call in sets_gradients[:-1]


def _statement(emitter: ProgramEmitter, call: Node) -> Statement:
    setter = emitter.constant(call.target)
    text = fragment("{}({})", setter, listed(emitter.constant(argument) for argument in call.args))
    return Statement(text.text, text.reads)
