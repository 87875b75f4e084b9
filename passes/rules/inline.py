"""Expressions of rules as Python that calls little, since most of the time of an evaluation goes to calls.

Primitives are called under names that no parameter has (`_broadcast`); those that Python has operators for are
written out, and a view that is asked for twice is made once. What is asked stays the same, for arguments in the
rule's domain.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from passes.rules import syntax
from passes.rules.domain_check import is_meta
from passes.rules.rule import EVERYWHERE, Rule, identifier

# Primitives that Python has operators for, of one argument.
IN_PYTHON: Final[dict[str, Callable[[ast.expr], ast.expr]]] = {
    "_rank": lambda value: syntax.call("_len", value),
    "_is_none": syntax.is_none,
    "_is_tensor": is_meta,
    "_is_empty": lambda value: syntax.compared(syntax.constant(0), ast.In(), syntax.attribute(value, "shape")),
}
# Operators whose operands are looked at first (generate.py): Python repeats a list, and fills in a text.
GUARDED: Final[dict[type[ast.operator], str]] = {ast.Mult: "_times", ast.Mod: "_modulo"}
ANY_REQUIRES_GRAD: Final = "_any_requires_grad"
IS_VIEWABLE: Final = "_is_viewable"
VIEW: Final = "_view"
VIEWED: Final = "_viewed"  # the variable that has the view, or None where there is none
# Kinds of arguments that are a tensor, and of those that neither are nor hold one.
OF_TENSORS: Final = frozenset(("tensor", "conj", "neg"))
WITHOUT_TENSORS: Final = frozenset(
    ("none", "bool", "int", "float", "complex", "ints", "str", "dtype", "device", "layout", "memory_format")
)

Kinds = Mapping[str, frozenset[str]]


def kinds_of(rule: Rule) -> Kinds:
    """The kinds of arguments in the rule's domain, by the names that expressions have for them."""
    return {identifier(parameter): frozenset(kinds) for parameter, kinds in rule.domain.kinds.items()}


def in_python(expression: ast.expr, kinds: Kinds, shared: ast.expr | None = None, variable: str = "") -> ast.expr:
    """An expression of the language as Python, with `variable` wherever it has the call `shared`."""

    def replacement(node: Any) -> ast.expr | None:
        if isinstance(node, ast.BinOp) and (guarded := GUARDED.get(type(node.op))):
            return syntax.call(guarded, *(syntax.rewritten(each, replacement) for each in (node.left, node.right)))
        if type(node) is not ast.Call or not isinstance(node.func, ast.Name):
            return None
        if shared is not None and syntax.alike(node, shared):
            return syntax.name(variable)
        arguments = [syntax.rewritten(argument, replacement) for argument in node.args]
        return inlined(f"_{node.func.id}", arguments, kinds)

    return syntax.rewritten(expression, replacement)


def inlined(function: str, arguments: Sequence[ast.expr], kinds: Kinds) -> ast.expr:
    """A call of a primitive, written out where its arguments are names and parts of them."""
    if function in IN_PYTHON and len(arguments) == 1 and _is_simple(arguments[0]):
        return IN_PYTHON[function](arguments[0])
    if function == ANY_REQUIRES_GRAD and _are_simple(arguments):
        return _any_requires_grad(arguments, kinds)
    return syntax.call(function, *arguments)


def _are_simple(arguments: Sequence[ast.expr]) -> bool:
    named = all(isinstance(argument, ast.Name) for argument in arguments[1:])
    return bool(arguments) and _is_simple(arguments[0]) and named


def _is_simple(node: ast.expr) -> bool:
    """Whether an expression is a name, a fact of it or one of its items, which cost nothing to ask for twice."""
    match node:
        case ast.Attribute(value=inner):
            return _is_simple(inner)
        case ast.Subscript(value=inner, slice=index):
            return _is_simple(inner) and isinstance(index, ast.Name | ast.Constant)
        case _:
            return isinstance(node, ast.Name)


def _any_requires_grad(arguments: Sequence[ast.expr], kinds: Kinds) -> ast.expr:
    """Whether one of the arguments requires a gradient, asked of those only that can."""
    questions: list[ast.expr] = []
    names: list[str] = []
    for argument in arguments:
        name = argument.id if isinstance(argument, ast.Name) else ""
        if not name or name not in names:
            question = _requires_grad(argument, kinds.get(name, frozenset()))
            questions += [] if question is None else [question]
        names.append(name)
    return syntax.any_of(*questions)


def _requires_grad(argument: ast.expr, kinds: frozenset[str]) -> ast.expr | None:
    """The question whether an argument of these kinds requires a gradient; None where it cannot."""
    if not kinds or not kinds <= OF_TENSORS | WITHOUT_TENSORS:
        return syntax.call(ANY_REQUIRES_GRAD, argument)
    gradient = syntax.attribute(argument, "requires_grad")
    if kinds <= OF_TENSORS:
        return gradient
    if "tensor" not in kinds:
        return None
    there = syntax.is_not_none(argument) if kinds <= OF_TENSORS | {"none"} else is_meta(argument)
    return syntax.all_of(there, gradient)


def viewed_once(statements: Sequence[ast.stmt], kinds: Kinds) -> list[ast.stmt]:
    """Statements in which a view is made once, where it is asked first whether it can be made."""
    for number, statement in enumerate(statements):
        question = _first_question(statement)
        later = statements[number + 1 :]
        if question is None or not _names_of_parameters(question) or not _holds_view(later, question.args):
            continue
        view = syntax.assign(VIEWED, syntax.call("_view_if_any", *question.args))
        return [*statements[:number], view, *(_with_view(each, question.args, kinds) for each in statements[number:])]
    return list(statements)


def _first_question(statement: ast.stmt) -> ast.Call | None:
    """The question whether a view can be made, where a statement asks it first, whatever the arguments are."""
    if not isinstance(statement, ast.If):
        return None
    test = statement.test
    while isinstance(test, ast.BoolOp | ast.UnaryOp):
        test = test.values[0] if isinstance(test, ast.BoolOp) else test.operand
    return test if _is_call(test, IS_VIEWABLE) else None


def _is_call(node: Any, function: str) -> TypeGuard[ast.Call]:
    return type(node) is ast.Call and isinstance(node.func, ast.Name) and node.func.id == function


def _names_of_parameters(question: ast.Call) -> bool:
    """Whether a view is one of the operator's arguments, which stay what they are."""
    return all(isinstance(argument, ast.Name) and argument.id not in EVERYWHERE for argument in question.args)


def _holds_view(statements: Sequence[ast.stmt], arguments: Sequence[ast.expr]) -> bool:
    return any(
        _is_call(node, VIEW) and syntax.alike(node.args, list(arguments))
        for statement in statements
        for node in ast.walk(statement)
    )


def _with_view(statement: ast.stmt, arguments: Sequence[ast.expr], kinds: Kinds) -> ast.stmt:
    """A statement that asks the variable instead of making the view again."""
    viewed = syntax.name(VIEWED)

    def is_viewable(node: Any) -> bool:
        return _is_call(node, IS_VIEWABLE) and syntax.alike(node.args, list(arguments))

    def replacement(node: Any) -> ast.expr | None:
        if type(node) is ast.UnaryOp and isinstance(node.op, ast.Not) and is_viewable(node.operand):
            return syntax.is_none(viewed)
        if is_viewable(node):
            return syntax.is_not_none(viewed)
        if type(node) is not ast.Call or not isinstance(node.func, ast.Name):
            return None
        if node.func.id == VIEW and syntax.alike(node.args, list(arguments)):
            return viewed
        return inlined(node.func.id, [syntax.rewritten(argument, replacement) for argument in node.args], kinds)

    return syntax.rewritten(statement, replacement)
