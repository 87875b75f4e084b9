"""Conditions on data that the program takes to hold: torch._check, assert, and a test whose failure raises an error.

The graph asserts them. One that does not hold ends the graph, and the original runs and raises its own error. So a
branch of which one way only raises is no break, as long as nobody in the program waits for that error.
"""

from __future__ import annotations

import builtins
from typing import Any, Final

import torch

from passes.operators.data import is_read_from_data
from tracer.code.analyse import raising_ways
from tracer.code.decode import Op
from tracer.interpret import size_nodes
from tracer.interpret.frame import Frame
from tracer.interpret.size_nodes import assert_condition, number_node
from tracer.interpret.tensor_ops import ASSERTION, tensor_op
from tracer.interpret.trace import Trace
from tracer.values.base import MISSING
from tracer.values.item import Item
from tracer.values.number_symbols import BoolSymbol
from tracer.values.protocols.truth import truth
from tracer.values.tensors import TensorValue

NOT_AS_CHECKED: Final = "Expected cond to be True, but got False."
"""Begins what torch._check says if it is given no message."""

ANSWERS: Final = (AttributeError, LookupError, StopIteration, StopAsyncIteration)
"""Exceptions that C code takes for an answer, such as the end of a loop."""


def branch(frame: Frame, op: Op, condition: Item) -> bool:
    """The truth of a condition that the jump `op` tests; one on data is asserted, if what else it does is to raise."""
    kind = type(condition)
    if kind is TensorValue or kind is BoolSymbol or kind is torch.SymBool:
        expected = _expected(frame, op)
        if expected is not None and kind is TensorValue:
            return _assert_tensor(frame, condition, expected)
        if expected:
            return assumed(frame.trace, condition)
        if expected is False and kind is torch.SymBool:
            return not assumed(frame.trace, torch.sym_not(condition))
    return truth(frame.trace, condition)


def _expected(frame: Frame, op: Op) -> bool | None:
    """What the condition of a jump is where the other way only raises an error that nobody waits for."""
    trace = frame.trace
    way = raising_ways(frame.code).get(op.index)
    if way is None or trace.graph.is_inner or frame.protected or frame.handled_here:
        return None
    if trace.lasting is not None or trace.effects.cached_calls or trace.options.donate is not None:
        return None  # the graph could not be left
    classes = [_global(frame, name) for name in way.names]
    errors = [cls for cls in classes if isinstance(cls, type) and issubclass(cls, Exception)]
    if not errors or any(issubclass(cls, ANSWERS) for cls in errors):
        return None
    return way.truth


def _global(frame: Frame, name: str) -> Any:
    return frame.globals.get(name, vars(builtins).get(name, MISSING))


def _assert_tensor(frame: Frame, condition: TensorValue, expected: bool) -> bool:
    trace = frame.trace
    holds = condition if expected else tensor_op(trace, torch.logical_not, (condition,))
    tensor_op(trace, ASSERTION, (holds, f"{trace.location} raises an error"))
    trace.assertions.append(trace.graph.last)
    return expected


def assumed(trace: Trace, fact: Item) -> bool:
    """Whether a condition holds. One on data is taken to hold from here on, and asserted by the graph."""
    if trace.graph.is_inner:
        return truth(trace, fact)
    if type(fact) is BoolSymbol and trace.shapes is not None:
        trace.shapes.asserted.add(fact)
        node = number_node(trace, fact)
        arguments = (node, NOT_AS_CHECKED)
        trace.graph.call(size_nodes.ASSERTION, arguments, None, None, trace.location, True, trace.modes)
        return True
    if type(fact) is not torch.SymBool or not is_read_from_data(fact):
        return truth(trace, fact)
    condition = fact.node.expr
    if not fact.node.expect_true("", 0):
        return False
    assert_condition(trace, condition, NOT_AS_CHECKED)
    return True
