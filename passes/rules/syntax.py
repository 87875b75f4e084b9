"""Nodes of Python's syntax tree, built in few words, and a way to replace parts of a tree.

Every node says that it stands at the beginning of the first line: compiled rules have no source file. Trees are never
changed once they are built, so that they can share parts. Nothing here knows of rules.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

HERE: Final[dict[str, Any]] = {"lineno": 1, "col_offset": 0}
LOAD: Final = ast.Load()
STORE: Final = ast.Store()

Block = list[ast.stmt]


def name(identifier: str) -> ast.expr:
    """The expression `identifier`."""
    return ast.Name(identifier, LOAD, **HERE)


def constant(value: Any) -> ast.expr:
    """The expression of a constant."""
    return ast.Constant(value, **HERE)


def attribute(of: ast.expr, fact: str) -> ast.expr:
    """The expression `of.fact`."""
    return ast.Attribute(of, fact, LOAD, **HERE)


def item(of: ast.expr, key: ast.expr) -> ast.expr:
    """The expression `of[key]`."""
    return ast.Subscript(of, key, LOAD, **HERE)


def rest(of: ast.expr, start: int) -> ast.expr:
    """The expression `of[start:]`."""
    return item(of, ast.Slice(constant(start), None, None, **HERE))


def tuple_of(parts: Sequence[ast.expr]) -> ast.expr:
    """The expression of a tuple of these parts."""
    return ast.Tuple(list(parts), LOAD, **HERE)


def call(function: str, *arguments: ast.expr) -> ast.expr:
    """The expression `function(*arguments)`."""
    return ast.Call(name(function), list(arguments), [], **HERE)


def sum_of(left: ast.expr, right: ast.expr) -> ast.expr:
    """The expression `left + right`."""
    return ast.BinOp(left, ast.Add(), right, **HERE)


def compared(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> ast.expr:
    """The comparison of two expressions."""
    return ast.Compare(left, [operator], [right], **HERE)


def is_none(value: ast.expr) -> ast.expr:
    """The expression `value is None`."""
    return compared(value, ast.Is(), constant(None))


def is_not_none(value: ast.expr) -> ast.expr:
    """The expression `value is not None`."""
    return compared(value, ast.IsNot(), constant(None))


def negated(value: ast.expr) -> ast.expr:
    """The expression `not value`."""
    return ast.UnaryOp(ast.Not(), value, **HERE)


def all_of(*values: ast.expr) -> ast.expr:
    """`a and b and c`; the value itself where there is one only, True where there is none."""
    return _joined(ast.And(), values, True)


def any_of(*values: ast.expr) -> ast.expr:
    """`a or b or c`; the value itself where there is one only, False where there is none."""
    return _joined(ast.Or(), values, False)


def _joined(operator: ast.boolop, values: Sequence[ast.expr], of_none: bool) -> ast.expr:
    if len(values) < 2:
        return values[0] if values else constant(of_none)
    return ast.BoolOp(operator, list(values), **HERE)


def choice(test: ast.expr, then: ast.expr, otherwise: ast.expr) -> ast.expr:
    """The expression `then if test else otherwise`."""
    return ast.IfExp(test, then, otherwise, **HERE)


def dictionary() -> ast.expr:
    """The expression `{}`, an empty dictionary."""
    return ast.Dict([], [], **HERE)


def assign(variable: str, value: ast.expr) -> ast.stmt:
    """The statement `variable = value`."""
    return ast.Assign([ast.Name(variable, STORE, **HERE)], value, **HERE)


def assign_item(of: str, key: ast.expr, value: ast.expr) -> ast.stmt:
    """The statement `of[key] = value`."""
    return ast.Assign([ast.Subscript(name(of), key, STORE, **HERE)], value, **HERE)


def give(value: ast.expr) -> ast.stmt:
    """The statement `return value`."""
    return ast.Return(value, **HERE)


def when(test: ast.expr, then: Block, otherwise: Iterable[ast.stmt] = ()) -> ast.stmt:
    """The statement `if test:`, with an `else:` if there is anything for it."""
    return ast.If(test, then, list(otherwise), **HERE)


def repeat(variable: str, over: ast.expr, body: Block) -> ast.stmt:
    """The statement `for variable in over:`."""
    return ast.For(ast.Name(variable, STORE, **HERE), over, body, [], **HERE)


def function(name: str, parameters: Sequence[str], body: Block, optional: str = "") -> ast.Module:
    """A module with one function; its parameter `optional`, if there is one, is False where it is not given."""
    names = [*parameters, *([optional] if optional else [])]
    defaults = [constant(False)] if optional else []
    arguments = ast.arguments([], [ast.arg(each, **HERE) for each in names], None, [], [], None, defaults)
    definition = ast.FunctionDef(name=name, args=arguments, body=body, decorator_list=[], **HERE)
    definition.type_params = []  # type: ignore[attr-defined]  # which Python 3.12 requires
    return ast.Module([definition], [])


def defined(tree: ast.Module, name: str, file: str, namespace: dict[str, Any]) -> Any:
    """The function called `name` that a tree defines over the names of `namespace`."""
    exec(compile(tree, file, "exec"), namespace)  # built here, of nodes that the language of rules has
    return namespace[name]


def rewritten(tree: Any, replacement: Callable[[Any], Any]) -> Any:
    """A tree with `replacement(node)` in the place of every node of which it is not None, outer nodes first.

    What is replaced is not looked into. The tree itself stays as it is, and shares what did not change.
    """
    instead = replacement(tree)
    if instead is not None:
        return instead
    changes: dict[str, Any] = {}
    for field in tree._fields:
        part = getattr(tree, field)
        if isinstance(part, list):
            new: Any = [rewritten(each, replacement) for each in part]  # pyright: ignore[reportUnknownVariableType]
            if any(left is not right for left, right in zip(new, part, strict=True)):
                changes[field] = new
        elif isinstance(part, ast.expr | ast.stmt):
            new = rewritten(part, replacement)
            if new is not part:
                changes[field] = new
    if not changes:
        return tree
    kept = {field: getattr(tree, field) for field in tree._fields if hasattr(tree, field)}
    return type(tree)(**(kept | changes), **HERE)


def alike(left: Any, right: Any) -> bool:
    """Whether two trees are the same expression."""
    if type(left) is not type(right):
        return False
    if isinstance(left, ast.AST):
        return all(alike(getattr(left, field), getattr(right, field)) for field in left._fields if field != "ctx")
    if isinstance(left, list):
        return len(left) == len(right) and all(map(alike, left, right))
    return left == right
