"""Objects as source text: an expression for a function, a constant or an object, and the definitions that it needs.

What a module defines is sliced out of the module (sources.py). What a function made (a closure, a lambda, a class or an
instance) is rebuilt: its source inside of a function that holds the variables it closes over. Nothing is run.
"""

from __future__ import annotations

import ast
import functools
import inspect
import keyword
import sys
import textwrap
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import torch
from torch import Tensor

from backends.crosscheck.calls import is_plain
from backends.crosscheck.sources import Slices, is_installed, used_names
from backends.crosscheck.text import CannotWrite, memory_text, name_text, text_of
from passes.operators.targets import UnknownTarget, target_name

REBUILT: Final = '''def instance(kind, state):
    """An instance with these attributes."""
    result = kind.__new__(kind)
    result.__dict__.update(state)
    return result
'''


class ObjectTexts:
    """Expressions for objects, and the definitions that a script needs before it can evaluate them."""

    def __init__(self) -> None:
        self.slices = Slices()
        self._made: list[str] = []
        self._names: dict[int, str] = {}
        self._open: set[int] = set()
        self._kept: list[Any] = []  # so that no id is given to another object

    def definitions(self) -> str:
        """The source text that defines what the expressions name; may be empty."""
        return "".join(f"\n{part.strip()}\n" for part in (*self.slices.texts(), *self._made) if part.strip())

    def expression(self, value: Any) -> str:
        """An expression for an object. Raises CannotWrite for one that has no source text."""
        if id(value) in self._names:
            return self._names[id(value)]
        if id(value) in self._open:
            raise CannotWrite(f"{_described(value)} refers to itself")
        self._open.add(id(value))
        self._kept.append(value)
        try:
            return self._expression(value)
        finally:
            self._open.discard(id(value))

    def _expression(self, value: Any) -> str:
        ways = [self._constant, self._operator, self._global, self._made_of]
        if isinstance(value, FunctionType | type) and "<" in value.__qualname__:  # a variable may hold it by chance
            ways = [self._made_of]
        for way in ways:
            text = way(value)
            if text is not None:
                return text
        raise CannotWrite(f"{_described(value)} has no source text")

    # What has a text or a name already -----------------------------------------------------------------

    def _constant(self, value: Any) -> str | None:
        if type(value) in (list, tuple, set, frozenset):
            parts = [self.expression(part) for part in value]
            inner = ", ".join(parts)
            if type(value) is tuple:
                return f"({inner},)" if len(parts) == 1 else f"({inner})"
            return f"[{inner}]" if type(value) is list else f"{type(value).__name__}([{inner}])"
        if type(value) is dict:
            pairs = (f"{self.expression(key)}: {self.expression(part)}" for key, part in value.items())
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, Tensor):
            if not is_plain(value):
                raise CannotWrite("a tensor that is not plain memory with strides")
            flat = value.detach().contiguous().clone()
            text = f"{memory_text(flat, [flat])}.reshape({tuple(value.shape)})"
            if isinstance(value, torch.nn.Parameter):
                return f"torch.nn.Parameter({text}, {value.requires_grad})"
            return f"{text}.requires_grad_()" if value.requires_grad else text
        try:
            return text_of(value)
        except CannotWrite:
            return None

    def _operator(self, value: Any) -> str | None:
        """The name of an operator of torch or of Python; an operator that others registered is defined."""
        if isinstance(value, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            self.slices.add_operator(value)
            return f"torch.ops.{name_text(str(value))}"
        if not callable(value) or not getattr(value, "__hash__", None):
            return None
        try:
            name = target_name("call_function", value)
        except UnknownTarget:
            return None
        if name.startswith("passes."):
            self.slices.add(sys.modules[value.__module__], value.__name__)
            return value.__name__
        if name.startswith("operator."):
            self.slices.imports.add("import operator")
        return name.removeprefix("builtins.")

    def _global(self, value: Any) -> str | None:
        """The name of what a module defines."""
        if isinstance(value, ModuleType):
            name = name_text(value.__name__)
            self.slices.imports.add(f"import {name}")
            return name
        for module in _modules_of(value):
            path = _path_in(module, value)
            if path is None:
                continue
            path = name_text(path)
            if module.__name__ == "builtins":
                return path
            if is_installed(module):
                self.slices.imports.add(f"import {name_text(module.__name__)}")
                return f"{module.__name__}.{path}"
            self.slices.add(module, path.split(".")[0])
            return path
        return None

    # What a function made ------------------------------------------------------------------------------

    def _made_of(self, value: Any) -> str | None:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, MethodType | BuiltinFunctionType) and value.__self__ is not None:
            return f"{self.expression(value.__self__)}.{name_text(value.__name__)}"
        if isinstance(value, functools.partial):
            self.slices.imports.add("import functools")
            words = [self.expression(value.func), *map(self.expression, value.args)]
            words += [f"{name_text(name)}={self.expression(part)}" for name, part in value.keywords.items()]
            return f"functools.partial({', '.join(words)})"
        kind = type(value)
        if getattr(value, "__dict__", None) is None or kind.__new__ is not object.__new__ or _is_builtin(kind):
            return None
        if REBUILT not in self._made:
            self._made.append(REBUILT)
        return f"instance({self.expression(kind)}, {self.expression(dict(vars(value)))})"

    def _function(self, function: FunctionType) -> str:
        node, text = _function_node(function)
        names, cells = function.__code__.co_freevars, function.__closure__ or ()
        if isinstance(node, ast.Lambda):
            body = "return " + ast.unparse(self._with_defaults(node, function))
        elif any(map(_is_computed, (*node.args.defaults, *node.args.kw_defaults))):
            body = f"{ast.unparse(self._with_defaults(node, function))}\nreturn {node.name}"
        else:
            body = f"{textwrap.dedent(text)}\nreturn {node.name}"
        self._add_globals(node, function.__globals__, names)
        return self._define(function, function.__name__, body, dict(zip(names, cells, strict=True)))

    def _with_defaults(self, node: Any, function: FunctionType) -> ast.AST:
        """The function with the values of its defaults, which were computed where it was made."""
        values = [self._tree(value) for value in function.__defaults__ or ()]
        keywords: Mapping[str, Any] = function.__kwdefaults__ or {}
        node.args.defaults = values
        node.args.kw_defaults = [
            self._tree(keywords[argument.arg]) if argument.arg in keywords else None
            for argument in node.args.kwonlyargs
        ]
        return node

    def _tree(self, value: Any) -> ast.expr:
        return ast.parse(self.expression(value), mode="eval").body

    def _class(self, kind: type) -> str | None:
        if "<locals>" not in kind.__qualname__:
            return None
        try:
            text = textwrap.dedent(inspect.getsource(kind))
        except (OSError, TypeError):
            return None
        cells: dict[str, CellType] = {}
        functions = [function for member in vars(kind).values() for function in _functions_in(member)]
        for function in functions:
            cells.update(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        module = sys.modules[kind.__module__]
        self._add_globals(ast.parse(text), vars(module), tuple(cells))
        return self._define(kind, kind.__name__, f"{text}\nreturn {name_text(kind.__name__)}", cells)

    def _add_globals(self, node: ast.AST, namespace: Mapping[str, Any], local: tuple[str, ...]) -> None:
        """Have the module's definitions of what a function reads of it."""
        module = sys.modules.get(namespace.get("__name__", ""))
        for name in sorted(used_names(node)):
            if module is not None and name in namespace and name not in local:
                self.slices.add(module, name)

    def _define(self, value: Any, name: str, body: str, cells: Mapping[str, CellType]) -> str:
        """Rebuild a function or a class inside of a function that holds what it closes over; return its new name."""
        lines = []
        for variable, cell in cells.items():
            if variable == "__class__" or _content(cell) is value:
                continue
            lines.append(f"{name_text(variable)} = {self.expression(_content(cell))}")
        plain = name if name.isidentifier() and not keyword.iskeyword(name) else "function"
        new = f"{plain}_{len(self._names) + 1}"
        text = textwrap.indent("\n".join([*lines, body.strip("\n")]), "    ")
        self._made.append(f"def make_{new}():\n{text}\n\n\n{new} = make_{new}()\n")
        self._names[id(value)] = new
        return new


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        raise CannotWrite("a function closes over a variable that has no value") from None


def _described(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    return f"{name}, a {type(value).__name__}," if name else f"a {type(value).__name__}"


def _modules_of(value: Any) -> Iterator[ModuleType]:
    """The modules that may define an object: its own or its class's, and the script that runs."""
    for owner in (value, type(value)):
        module = sys.modules.get(getattr(owner, "__module__", None) or "")
        if module is not None:
            yield module
    if "__main__" in sys.modules:
        yield sys.modules["__main__"]


def _path_in(module: ModuleType, value: Any) -> str | None:
    """The name by which a module has this very object."""
    path = getattr(value, "__qualname__", None)
    if isinstance(path, str) and "<" not in path and not isinstance(value, MethodType | BuiltinFunctionType):
        place: Any = module
        for name in path.split("."):
            place = getattr(place, name, None)
        if place is value:
            return path
    return next((name for name, part in list(vars(module).items()) if part is value), None)


def _is_builtin(kind: type) -> bool:
    return kind.__module__ == "builtins"


def _is_computed(default: ast.expr | None) -> bool:
    return default is not None and not isinstance(default, ast.Constant)


def _functions_in(member: Any) -> Iterator[FunctionType]:
    """The functions of a member of a class: methods, class methods, static methods, properties."""
    if isinstance(member, FunctionType):
        yield member
    elif isinstance(member, staticmethod | classmethod):
        yield from _functions_in(member.__func__)
    elif isinstance(member, property):
        for part in (member.fget, member.fset, member.fdel):
            yield from _functions_in(part)


def _function_node(function: FunctionType) -> tuple[Any, str]:
    """The definition of a function or a lambda as a tree and as text. Raises CannotWrite if there is no source.

    Without its decorators: a function object is what they were given, whatever they made of it.
    """
    code = function.__code__
    try:
        lines, _ = inspect.findsource(code)
    except (OSError, TypeError):
        raise CannotWrite(f"{_described(function)} has no source text") from None
    text = "".join(lines)
    nodes: list[Any] = [node for node in ast.walk(_parsed(text)) if _is_definition(node, code)]
    if len(nodes) != 1:
        raise CannotWrite(f"{_described(function)} is not alone in its line")
    node = nodes[0]
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = []
    return node, "".join(lines[node.lineno - 1 : node.end_lineno])


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        raise CannotWrite("a function's source is not Python") from None


def _is_definition(node: ast.AST, code: CodeType) -> bool:
    """Whether a node is what this code was compiled from."""
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return node.name == code.co_name and first == code.co_firstlineno
    if not isinstance(node, ast.Lambda) or code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
        return False
    body = node.body
    whole = (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset)
    return whole in set(code.co_positions())
