"""Graph nodes for symbols: operators on the sizes and floats that the program was given."""

from __future__ import annotations

import operator
from typing import Any, Final, cast

import torch

from passes.node_meta import SYMBOL
from tracer.guards.source import Source
from tracer.interpret.input_names import input_name
from tracer.interpret.trace import Trace
from tracer.values.number_symbols import ANY_NUMBER, FloatSymbol, NumberSymbol
from tracer.values.shapes import NotExpressible


def size_node(trace: Trace, size: Any) -> Any:
    """The graph's node for a symbol, as an argument of an operator: these are numbers of 64 bits."""
    node = expression_node(trace, size.node.expr)
    assert trace.shapes is not None
    trace.shapes.limited[size.node.expr] = None
    return trace.graph.reached(node) if isinstance(node, torch.fx.Node) else node


def expression_node(trace: Trace, expression: Any) -> Any:
    """The node for an expression of the algebra in the graph of the frame, where the sub-graphs of its operators lift
    it from; a constant is itself. Raises NotExpressible.
    """
    import sympy

    if isinstance(expression, sympy.Integer):
        return int(expression)
    if expression in (sympy.true, sympy.false):
        return bool(expression)
    shapes = trace.shapes
    assert shapes is not None
    node = shapes.nodes.get(expression)
    if node is None:
        if expression.is_symbol and expression not in shapes.sources:
            raise NotExpressible(f"{expression} was read by a call which is no longer in the graph")
        if expression in shapes.sources:
            node = _size_input(trace, shapes.sources[expression], shapes.symint(expression))
        else:
            function, parts = _operator(expression)
            node = expression_node(trace, parts[0])
            if len(parts) == 1:
                node = trace.graph.outermost.call(function, (node,), None, None, trace.location)
            for part in parts[1:]:
                operands = (node, expression_node(trace, part))
                node = trace.graph.outermost.call(function, operands, None, None, trace.location)
            if isinstance(node, torch.fx.Node) and not isinstance(expression, sympy.logic.boolalg.Boolean):
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
    "Equality": operator.eq,
    "Unequality": operator.ne,
    "StrictLessThan": operator.lt,
    "LessThan": operator.le,
    "StrictGreaterThan": operator.gt,
    "GreaterThan": operator.ge,
    "And": operator.and_,
    "Or": operator.or_,
    "Not": torch.sym_not,
}
"""By the name of sympy's class, or of torch's own, that an expression is of."""


def _operator(expression: Any) -> tuple[Any, tuple[Any, ...]]:
    """The operator of an expression, and its operands. Raises NotExpressible."""
    kind = type(expression).__name__
    if kind not in OPERATORS:
        raise NotExpressible(str(expression))
    return OPERATORS[kind], expression.args


def number_node(trace: Trace, number: Any) -> Any:
    """The node for a number that varies in the graph of the frame; a constant is itself."""
    if not isinstance(number, NumberSymbol):
        return number
    if number.fixed:
        return number.value
    if number.nodes and not number.nodes[0]._erased:
        return number.nodes[0]
    if number.source is not None:
        node = trace.graph.placeholder(input_name(number.source.text), ANY_NUMBER, number.source.text)
        trace.inputs.append((number.source, node, number.value))
    elif number.draw is not None:
        node = trace.graph.placeholder(input_name(number.draw.name), ANY_NUMBER, number.draw.name)
        trace.inputs.append((number.draw, node, ANY_NUMBER))
    elif number.first and number.function is not None:
        name, place = number.function.__name__, cast(Any, number)
        node = trace.graph.placeholder(input_name(name), ANY_NUMBER, name)
        trace.inputs.append((place, node, number.value))
    elif number.function is None:
        raise NotExpressible("a number that was read by a call which is no longer in the graph")
    else:
        operands = [number_node(trace, operand) for operand in number.operands]
        meta = ANY_NUMBER if type(number) is FloatSymbol else True
        node = trace.graph.outermost.call(number.function, operands, None, meta, trace.location)
    number.nodes[:] = [node]
    return node


ASSERTION: Final = torch.ops.aten._assert_scalar.default
"""Raises a RuntimeError with a message if it is given False; compilers keep it."""


def assert_condition(trace: Trace, condition: Any, message: str) -> None:
    """Have the graph raise if a condition of the algebra, on data, does not hold. Raises NotExpressible."""
    assert trace.shapes is not None
    trace.shapes.asserted.add(condition)
    node = expression_node(trace, condition)
    trace.graph.call(ASSERTION, (node, message), None, None, trace.location, True, trace.modes)


def assert_assumptions(trace: Trace) -> None:
    """Have the graph assert what was assumed of the data of tensors. Raises NotExpressible.

    The original runs if an assumption turns out wrong, for which the graph must not have changed anything.
    """
    assumptions = [] if trace.shapes is None else trace.shapes.assumptions()
    if assumptions and (trace.lasting or trace.effects.cached_calls or trace.options.donate is not None):
        raise NotExpressible("sizes are assumed, but the graph could not be left where they are others")
    for condition in assumptions:
        assert_condition(trace, condition, f"{condition}, which was assumed of data, does not hold")
