"""Sources: the part of a Python module that an operator or a compiler needs, as text for a script.

The top level of a module is read as a list of statements; those that define a name, register something with it, or
define what these use, are kept in order. Statements that do anything else are left out: a script does not do again what
the program did that was checked. Nothing is run.
"""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

import torch
from torch._library.custom_ops import OPDEFS

from backends.crosscheck.text import CannotWrite

OURS: Final = ("tracer", "backends", "passes")  # cannot be imported by a script
INSTALLED: Final = tuple(
    path for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))
)


class Slices:
    """What a script needs of modules: names of theirs, operators by their qualified names, and plain imports."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self._loads: list[str] = []
        self._names: dict[ModuleType, set[str]] = {}
        self._operators: dict[ModuleType, set[str]] = {}

    def add(self, module: ModuleType, name: str) -> None:
        """Have the statements that define a name of a module."""
        self._names.setdefault(module, set()).add(name)

    def add_operator(self, target: Any) -> None:
        """Have what registers an operator that is not torch's own."""
        qualified = getattr(target, "_qualified_op_name", None) or target.overloadpacket._qualified_op_name
        namespace = qualified.split("::")[0]
        definition = OPDEFS.get(qualified)
        if definition is not None:
            module = sys.modules[definition._init_fn.__module__]
            names = {name for name, value in vars(module).items() if value is definition}
            self._names.setdefault(module, set()).update(names or {definition._init_fn.__name__})
            self._operators.setdefault(module, set()).add(qualified)
            return
        for module in list(sys.modules.values()):
            for name, value in list(getattr(module, "__dict__", {}).items()):
                if isinstance(value, torch.library.Library) and value.ns == namespace and not _is_torch(module):
                    self.add(module, name)
                    self._operators.setdefault(module, set()).add(qualified)
                    return
        if namespace not in ("aten", "prims", "prim"):
            loads = (f"torch.ops.load_library({path!r})" for path in sorted(torch.ops.loaded_libraries))
            self._loads += [load for load in loads if load not in self._loads]

    def texts(self) -> list[str]:
        """The source text: imports, libraries, then what was kept of each module. Raises CannotWrite."""
        texts: list[str] = []
        done: dict[ModuleType, set[str]] = {}
        while waiting := [module for module, names in self._names.items() if names - done.get(module, set())]:
            module = waiting[0]
            done[module] = set(self._names[module])
            self._slice(module)  # may ask for names of other modules
        # What others import comes first.
        texts = [self._slice(module) for module in reversed(self._names)]
        imports = sorted(self.imports - {"import torch"})
        return ["\n".join([*imports, *self._loads]), *texts]

    def _slice(self, module: ModuleType) -> str:
        statements, lines = _statements(module)
        kept = _kept(module, statements, self._names[module], self._operators.get(module, set()))
        pieces = []
        for index in sorted(kept):
            statement = statements[index]
            if isinstance(statement, ast.Import | ast.ImportFrom):
                pieces.append(self._import(module, statement, kept[index]))
            else:
                pieces.append(_text(statement, lines))
        return "\n\n".join(piece for piece in pieces if piece)

    def _import(self, module: ModuleType, statement: ast.Import | ast.ImportFrom, names: set[str]) -> str:
        """The part of an import that is needed. Functions of the user's other modules are copied like those of this."""
        aliases = [alias for alias in statement.names if (alias.asname or alias.name).split(".")[0] in names]
        if isinstance(statement, ast.Import):
            for alias in aliases:
                _require_installed(alias.name)
            words = [_alias_text(alias) for alias in aliases if (alias.name, alias.asname) != ("torch", None)]
            return f"import {', '.join(words)}" if words else ""
        if statement.module == "__future__":
            return ""
        name = _absolute_name(module, statement)
        if name.split(".")[0] not in OURS and is_installed(sys.modules.get(name)):
            return f"from {name} import {', '.join(map(_alias_text, aliases))}" if aliases else ""
        return "\n".join(filter(None, (self._copied(name, alias) for alias in aliases)))

    def _copied(self, name: str, alias: ast.alias) -> str:
        other = sys.modules.get(name)
        if name.split(".")[0] in OURS or other is None or isinstance(getattr(other, alias.name, None), ModuleType):
            raise CannotWrite(f"it uses {alias.name} of {name}, which a script cannot import")
        self.add(other, alias.name)
        return f"{alias.asname} = {alias.name}" if alias.asname else ""


def _alias_text(alias: ast.alias) -> str:
    return alias.name + (f" as {alias.asname}" if alias.asname else "")


def _absolute_name(module: ModuleType, statement: ast.ImportFrom) -> str:
    """The name of the module that a `from ... import` statement names, which may begin with dots."""
    if not statement.level:
        return statement.module or ""
    package = (getattr(module, "__package__", None) or "").split(".")
    return ".".join([*package[: len(package) - statement.level + 1], *filter(None, [statement.module])])


def _require_installed(name: str) -> None:
    if name.split(".")[0] in OURS or not is_installed(sys.modules.get(name)):
        raise CannotWrite(f"it uses the module {name}, which a script cannot import")


def is_installed(module: ModuleType | None) -> bool:
    """Whether a script can import a module, wherever the script is run."""
    if module is None or module.__name__ == "__main__":
        return False
    file = getattr(module, "__file__", None)
    return file is None or any(Path(file).is_relative_to(place) for place in INSTALLED)


def _is_torch(module: ModuleType) -> bool:
    return module.__name__.split(".")[0] == "torch"


def _statements(module: ModuleType) -> tuple[list[ast.stmt], list[str]]:
    """The statements at the top level of a module, and in its `if __name__ == "__main__"`; and its lines."""
    try:
        text = inspect.getsource(module)
    except (OSError, TypeError):
        text = _typed(module)
    statements: list[ast.stmt] = []
    for statement in ast.parse(text).body:
        is_main = isinstance(statement, ast.If) and "__name__" in used_names(statement.test)
        statements += statement.body if isinstance(statement, ast.If) and is_main else [statement]
    return statements, text.splitlines()


def _kept(
    module: ModuleType, statements: list[ast.stmt], names: Iterable[str], operators: set[str]
) -> dict[int, set[str]]:
    """The statements to keep, by number, and which of the names that they define are needed."""
    wanted = set(names)
    defines = [_defined(statement) for statement in statements]
    kept: dict[int, set[str]] = {}
    for index, statement in enumerate(statements):
        if defines[index] & wanted or _registers(module, statement, wanted, operators):
            kept[index] = defines[index] & wanted
    waiting = list(kept)
    while waiting:
        index = waiting.pop()
        if isinstance(statements[index], ast.Import | ast.ImportFrom):
            continue
        for name in used_names(statements[index]):
            for other, defined in enumerate(defines):
                if name in defined and name not in kept.get(other, set()):
                    if other not in kept:
                        waiting.append(other)
                    kept.setdefault(other, set()).add(name)
    return kept


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
    return textwrap.dedent("\n".join(lines[first - 1 : statement.end_lineno]))


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.If | ast.Try):
        bodies = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        bodies += [handler.body for handler in getattr(statement, "handlers", [])]
        return {name for body in bodies for inner in body for name in _defined(inner)}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {
        node.id for target in targets if target is not None for node in ast.walk(target) if isinstance(node, ast.Name)
    }


def _registers(module: ModuleType, statement: ast.stmt, wanted: set[str], operators: set[str]) -> bool:
    """Whether a statement registers something: by a method of a wanted object, by a function of torch's for it, or by
    one of the module's own that is given the schema of an operator.
    """
    calls: list[ast.expr] = list(getattr(statement, "decorator_list", []))
    if isinstance(statement, ast.Expr):
        calls.append(statement.value)
    for call in calls:
        function = call.func if isinstance(call, ast.Call) else call
        root = function
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            continue
        if root.id in wanted and root is not function:
            return True
        value = _value_of(module, function)
        if isinstance(call, ast.Call) and isinstance(value, FunctionType) and _names_schema(call, operators):
            return True
        if (getattr(value, "__module__", None) or "").split(".")[0] == "torch" and isinstance(call, ast.Call):
            constants = {node.value for node in ast.walk(call) if isinstance(node, ast.Constant)}
            if used_names(call) & wanted or constants & operators:
                return True
    return False


def _names_schema(call: ast.Call, operators: set[str]) -> bool:
    """Whether an argument is a schema, `name(Tensor x) -> Tensor`, of one of the operators."""
    texts = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    schemas = {text.split("(")[0].split("::")[-1] for text in texts if "->" in text}
    return any(operator.split("::")[-1] in schemas for operator in operators)


def _value_of(module: ModuleType, expression: ast.expr) -> Any:
    """What a dotted name stands for in a module; None for what has none."""
    if isinstance(expression, ast.Name):
        return getattr(module, expression.id, None)
    if isinstance(expression, ast.Attribute):
        owner = _value_of(module, expression.value)
        return getattr(owner, expression.attr, None) if isinstance(owner, ModuleType) else None
    return None


def used_names(node: ast.AST) -> set[str]:
    """The names that a piece of source reads or binds."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
