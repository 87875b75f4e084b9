"""The import graph of this tree, read from its sources: which module imports which, where and for whom.

tests/test_architecture.py holds the layers to it, and `make affected` selects test files by it (tests/affected.py).
"""

import ast
import functools
import gc
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("tracer", "passes", "backends")
NATIVE = {"tracer._native": "tracer/dispatch/native", "passes.record._facts": "passes/record/native"}
"""Modules that are built from C++, and the folders of their sources."""


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, whether inside a function, whether for type checkers only."""

    module: str
    target: str
    line: int
    in_function: bool
    for_types: bool


def sources(packages: tuple[str, ...] = PACKAGES) -> list[Path]:
    """The Python files of these packages."""
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_for_a_newer_python(path: Path) -> bool:
    """Whether this Python cannot read a file: programs in the syntax of a later one, such as since_3_12.py."""
    version = re.search(r"since_3_(\d+)$", path.stem)
    return version is not None and int(version[1]) > sys.version_info.minor


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, empty for one that this Python cannot read.

    It stays, and has thousands of objects: looking through them for garbage while they are made takes longer than that.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse("" if is_for_a_newer_python(path) else path.read_text())
    finally:
        if was_enabled:
            gc.enable()


def nodes_below(tree: ast.AST) -> list[ast.AST]:
    """All nodes of a syntax tree, each before those in it: `ast.walk`, but faster."""
    result = [tree]
    for node in result:
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                result.append(value)
            elif type(value) is list:
                result += [part for part in value if isinstance(part, ast.AST)]
    return result


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file's syntax tree, once for all tests."""
    return tuple(nodes_below(parsed(path)))


def imports_of(path: Path) -> Iterator[Import]:
    """Imports of a file; `from package import module` counts as an import of the module."""
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def visit(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, in_function, for_types)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(module, inner if _is_module(inner) else base, node.lineno, in_function, for_types)
        in_function |= isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for_types |= isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.expr):  # an expression imports nothing
                yield from visit(child, in_function, for_types)

    yield from visit(parsed(path), False, False)


@functools.cache
def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return name in NATIVE or path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
