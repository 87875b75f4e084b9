"""Sources: the part of a Python module that an operator or a compiler needs, as text for a script.

The top level of a module is read as a list of statements; those that define a name, register something with it, or
define what these use, are kept in order. Nothing is run.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch._library.custom_ops import OPDEFS
from torch.fx import GraphModule

from backends.crosscheck.calls import ConcreteCall
from backends.crosscheck.candidates import CompilerCandidate
from backends.crosscheck.gradients import CallAndBackward


def definitions(call: ConcreteCall, candidate: CompilerCandidate) -> str:
    """The source text that a script needs before it can make the call with the candidate; may be empty."""
    roots: dict[ModuleType, set[str]] = {}
    loose: list[str] = []
    for target in _targets(call):
        _add(target, roots, loose)
    if not isinstance(candidate.source, str):
        _add(candidate.source, roots, loose)
    parts = [slice_of(module, names) for module, names in roots.items()]
    return "".join(f"\n{part.strip()}\n" for part in (*loose, *parts) if part.strip())


def _targets(call: ConcreteCall) -> Iterator[Any]:
    target = call.target.target if isinstance(call.target, CallAndBackward) else call.target
    if isinstance(target, GraphModule):
        yield from (node.target for node in target.graph.nodes if node.op == "call_function")
    else:
        yield target


def _add(target: Any, roots: dict[ModuleType, set[str]], loose: list[str]) -> None:
    """Record where `target` is defined, if that is Python outside of torch."""
    if isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        _add_operator(target, roots, loose)
        return
    function = target if isinstance(target, FunctionType) else None
    module = sys.modules.get(getattr(function, "__module__", "") or "")
    if function is None or module is None or module.__name__.split(".")[0] in ("torch", "passes"):
        return
    if "<" in function.__qualname__:  # defined inside of a function
        loose.append(textwrap.dedent(inspect.getsource(function)))
        roots.setdefault(module, set()).update(set(function.__code__.co_names) & set(vars(module)))
    else:
        roots.setdefault(module, set()).add(function.__name__)


def _add_operator(target: Any, roots: dict[ModuleType, set[str]], loose: list[str]) -> None:
    qualified = getattr(target, "_qualified_op_name", None) or target.overloadpacket._qualified_op_name
    namespace = qualified.split("::")[0]
    definition = OPDEFS.get(qualified)
    if definition is not None:
        module = sys.modules[definition._init_fn.__module__]
        names = {name for name, value in vars(module).items() if value is definition}
        roots.setdefault(module, set()).update(names or {definition._init_fn.__name__})
        return
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if isinstance(value, torch.library.Library) and value.ns == namespace and not _is_torch(module):
                roots.setdefault(module, set()).add(name)
                return
    if namespace not in ("aten", "prims", "prim"):
        loose.extend(f"torch.ops.load_library({path!r})" for path in sorted(torch.ops.loaded_libraries))


def _is_torch(module: ModuleType) -> bool:
    return module.__name__.split(".")[0] == "torch"


def slice_of(module: ModuleType, names: Iterable[str]) -> str:
    """The statements of a module that define `names`, register something with them, or are needed by those."""
    try:
        text = inspect.getsource(module)
    except (OSError, TypeError):
        text = _typed(module)
    statements = ast.parse(text).body
    wanted = set(names)
    defines = [_defined(statement) for statement in statements]
    kept = {
        index
        for index, statement in enumerate(statements)
        if defines[index] & wanted or _mentioned_at_top(statement) & wanted
    }
    waiting = list(kept)
    while waiting:
        for name in _used(statements[waiting.pop()]):
            for index, defined in enumerate(defines):
                if name in defined and index not in kept:
                    kept.add(index)
                    waiting.append(index)
    lines = text.splitlines()
    pieces = [_text(statements[index], lines) for index in sorted(kept) if not _imports_torch(statements[index])]
    return "\n\n".join(pieces)


def _typed(module: ModuleType) -> str:
    """Everything typed into a notebook or IPython so far, for a module without a file; otherwise ""."""
    cells: Iterable[str] = vars(module).get("In", ())
    return "\n".join(cell for cell in dict.fromkeys(cells) if _is_python(cell))


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _text(statement: ast.stmt, lines: list[str]) -> str:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[first - 1 : statement.end_lineno])


def _imports_torch(statement: ast.stmt) -> bool:
    """Whether a statement is `import torch`, which a script has already, or only serves type checkers or __future__."""
    if isinstance(statement, ast.Import):
        return all(alias.name == "torch" and alias.asname is None for alias in statement.names)
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {
        node.id for target in targets if target is not None for node in ast.walk(target) if isinstance(node, ast.Name)
    }


def _mentioned_at_top(statement: ast.stmt) -> set[str]:
    """Names that a registration uses: in a bare call, or in a decorator."""
    if isinstance(statement, ast.Expr):
        return _used(statement)
    names: set[str] = set()
    for decorator in getattr(statement, "decorator_list", []):
        names |= _used(decorator)
    return names


def _used(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
