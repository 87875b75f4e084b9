"""A program in two halves: what it prepares (its classes, above all), and the rest, which is interpreted.

An interpreter that leaves class definitions to CPython would otherwise see little of the programs that test classes.
Knows nothing of the interpreter: works on the source of a function.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from .catalogue import Program

REST = "rest"


def split(program: Program) -> Callable[..., Callable[[], Any]] | None:
    """`split(p)(*arguments)()` is `p(*arguments)`: the first call runs all up to the last class definition.

    None when the program defines no class, or nothing but a class.
    """
    lines, first = inspect.getsourcelines(program.function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    classes = [i for i, statement in enumerate(function.body) if isinstance(statement, ast.ClassDef)]
    if not classes or classes[-1] + 1 == len(function.body):
        return None
    prepared, rest = function.body[: classes[-1] + 1], function.body[classes[-1] + 1 :]
    parameters = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    shared = (bound_names(prepared) | parameters) & bound_names(rest)
    inner = ast.FunctionDef(
        name=REST,
        args=ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]),
        body=[ast.Nonlocal(sorted(shared)), *rest] if shared else rest,
        decorator_list=[],
    )
    function.decorator_list = []
    function.body = [*prepared, inner, ast.Return(ast.Name(REST, ast.Load()))]
    ast.fix_missing_locations(tree)
    code = compile(tree, inspect.getfile(program.function), "exec")
    namespace: dict[str, Any] = {}
    exec(code, vars(sys.modules[program.function.__module__]), namespace)
    return namespace[function.name]


def bound_names(statements: list[ast.stmt]) -> set[str]:
    """Names that the statements bind or delete in their own scope."""
    names: set[str] = set()
    waiting: list[ast.AST] = [*statements]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        if isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            names.add(node.name)
        if isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            # Targets of a comprehension are its own; only what a walrus binds is ours.
            waiting += [part for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
            continue
        waiting += ast.iter_child_nodes(node)
    return names
