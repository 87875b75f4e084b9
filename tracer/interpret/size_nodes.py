"""Graph nodes for symbolic sizes: operators on the sizes that the program was given."""

from __future__ import annotations

import operator
from typing import Any, Final

import torch

from passes.node_meta import SYMBOL
from tracer.guards.source import Source
from tracer.interpret.input_names import input_name
from tracer.interpret.trace import Trace
from tracer.values.shapes import NotExpressible


def size_node(trace: Trace, size: Any) -> Any:
    """The graph's node for a symbol."""
    node = _expression_node(trace, size.node.expr)
    return trace.graph.reached(node) if isinstance(node, torch.fx.Node) else node


def _expression_node(trace: Trace, expression: Any) -> Any:
    """The node in the graph of the frame, where the sub-graphs of its operators lift it from."""
    import sympy

    if isinstance(expression, sympy.Integer):
        return int(expression)
    shapes = trace.shapes
    assert shapes is not None
    node = shapes.nodes.get(expression)
    if node is None:
        if expression in shapes.sources:
            node = _size_input(trace, shapes.sources[expression], shapes.symint(expression))
        else:
            function, parts = _operator(expression)
            node = _expression_node(trace, parts[0])
            for part in parts[1:]:
                operands = (node, _expression_node(trace, part))
                node = trace.graph.outermost.call(function, operands, None, None, trace.location)
            if isinstance(node, torch.fx.Node):
                node.meta[SYMBOL] = shapes.symint(expression)
        shapes.nodes[expression] = node
    return node


def _size_input(trace: Trace, source: Source, size: torch.SymInt) -> torch.fx.Node:
    """The graph input for a symbolic size."""
    node = trace.graph.placeholder(input_name(source.text), size, source.text)
    trace.inputs.append((source, node, int(size.node.hint)))
    return node


OPERATORS: Final[dict[str, Any]] = {
    "Add": operator.add,
    "Mul": operator.mul,
    "FloorDiv": operator.floordiv,
    "CleanDiv": operator.floordiv,
    "Mod": operator.mod,
    "PythonMod": operator.mod,
    "Pow": operator.pow,
    "PowByNatural": operator.pow,
    "Min": torch.sym_min,
    "Max": torch.sym_max,
}
"""By the name of sympy's class, or of torch's own, that an expression is of."""


def _operator(expression: Any) -> tuple[Any, tuple[Any, ...]]:
    """The operator of an expression, and its operands. Raises NotExpressible."""
    kind = type(expression).__name__
    if kind not in OPERATORS:
        raise NotExpressible(str(expression))
    return OPERATORS[kind], expression.args
