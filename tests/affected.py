"""Run the test files that a change can affect: `make affected`, or

    python -m tests.affected [--base BASE] [pytest's arguments]

What changed is what differs from the point where this branch left BASE (main), with everything that is not committed.
A test file can be affected when it reaches a changed module: by imports, those inside functions among them, or by the
module's name in a string, as in `[sys.executable, "-m", "tracer"]`. Files that reach the change over fewer modules
run first. Other files than Python's have rules of their own, the table OTHER_FILES.
"""

import argparse
import ast
import functools
import itertools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.imports import NATIVE, ROOT, imports_of, module_name, nodes_below, parsed, sources

FOLDERS = ("tracer", "passes", "backends", "tests", "benchmarks", "notebooks")
EVERYTHING = "everything"
TEXTS = ("tests.test_architecture", "tests.test_citations", "tests.test_docs")
"""Test files that read the sources and pages of the whole tree."""

PINS = "tests/pins"

OTHER_FILES: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((folder, (module,)) for module, folder in NATIVE.items()),
    ("passes/native", tuple(NATIVE)),
    ("passes/record/hook", ("passes.record.children",)),
    ("passes/rules/books", ("passes.rules.book",)),
    ("tests/conformance", ("tests.conformance.catalogue",)),
    ("tests/cpython", ("tests.cpython",)),
    ("tests/stand_in_device", ("tests.stand_in_device",)),
    ("tests/conftest.py", (EVERYTHING,)),
    ("tests/costs.py", (EVERYTHING,)),
    ("tests/slow.txt", ("tests.costs",)),
    ("tests/graph_programs.py", (EVERYTHING,)),
    ("tests/snapshots", ("tests.test_snapshots",)),
    ("notebooks", ("tests.test_notebooks",)),
    ("docs", ("tests.test_snapshots",)),
    ("README.md", ("tests.test_snapshots",)),
    ("Makefile", (EVERYTHING,)),
    ("pyproject.toml", (EVERYTHING,)),
    ("setup.py", (EVERYTHING,)),
    ("bytegraph.py", ("tests.test_install",)),
    (".ci", (EVERYTHING,)),
)
"""How a path begins, and the modules that change with what lies there."""


def changed_paths(base: str) -> list[str]:
    """Paths that differ from the commit where this branch left `base`, those that git does not know yet among them."""
    commands = (
        ["diff", "--name-only", "--merge-base", base],
        ["ls-files", "--others", "--exclude-standard"],
    )
    lines: set[str] = set()
    for command in commands:
        process = subprocess.run(["git", "-C", str(ROOT), *command], check=True, stdout=subprocess.PIPE, text=True)
        lines.update(process.stdout.splitlines())
    return sorted(lines)


def changed_modules(paths: Iterable[str]) -> set[str]:
    """The modules that changed with these paths, or EVERYTHING."""
    modules: set[str] = set()
    for path in paths:
        modules.update(*(names for start, names in OTHER_FILES if f"{path}/".startswith(f"{start}/")))
        if path.startswith(f"{PINS}/"):
            modules.add(f"tests.{Path(path).stem}")  # the test file whose pins they are
        if path.endswith(".py") and path.split("/")[0] in FOLDERS:
            modules.add(module_name(ROOT / path))
    return modules


@functools.cache
def import_graph() -> dict[str, set[str]]:
    """The modules of this tree, and those that each of them reaches in one step when it runs.

    What a module imports when an attribute of it is asked for is reached by the files that name the attribute.
    """
    files = {module_name(path): path for path in sources(FOLDERS)}
    modules = {*files, *NATIVE}
    on_demand = {
        name: target for path in files.values() for name, target in _imported_on_demand(path) if target in modules
    }
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        words = set(re.findall(r"\w+", path.read_text()))
        strings = _strings(parsed(path)) - {target for _, target in _imported_on_demand(path)}
        targets = {statement.target for statement in imports_of(path) if not statement.for_types} | strings
        targets |= {f"{string}.__main__" for string in strings} if "-m" in strings else set()
        targets |= {target for name, target in on_demand.items() if name in words and _is_test(module)}
        graph[module] = {name for target in targets for name in _with_packages(target) if name in modules} - {module}
    return graph


def _strings(tree: ast.AST) -> set[str]:
    constants = [node.value for node in nodes_below(tree) if isinstance(node, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def _imported_on_demand(path: Path) -> Iterator[tuple[str, str]]:
    """Pairs of an attribute's name and the module that it comes from, in a module's own `__getattr__`.

    They are strings in that function, or rows of a table of the module that the function names.
    """
    body = parsed(path).body
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            yield from itertools.permutations(_strings(node), 2)
            names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
            for table in body:
                if isinstance(table, ast.Assign) and names & {ast.unparse(target) for target in table.targets}:
                    yield from _rows(table.value)


def _rows(table: ast.expr) -> Iterator[tuple[str, str]]:
    """The rows of a dictionary that is written out, those in which a string leads to a string."""
    if isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            match key, value:
                case ast.Constant(value=str(name)), ast.Constant(value=str(module)):
                    yield name, module


def _with_packages(module: str) -> Iterator[str]:
    """A module and the packages that it lies in, which are imported with it."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def affected(graph: dict[str, set[str]], changed: set[str]) -> dict[str, list[str]]:
    """The test modules that reach a changed one, nearest first, each with the modules on the way there."""
    importers: dict[str, set[str]] = {}
    for module, targets in graph.items():
        for target in targets:
            importers.setdefault(target, set()).add(module)
    routes = {module: [module] for module in sorted(changed)}
    border = list(routes)
    while border:
        nearer, border = border, []
        for module in nearer:
            for importer in sorted(importers.get(module, ())):
                if importer not in routes:
                    routes[importer] = [importer, *routes[module]]
                    border.append(importer)
    return {module: route for module, route in routes.items() if _is_test(module) and module in graph}


def _is_test(module: str) -> bool:
    return module.partition(".")[2].startswith("test_")


def selected(paths: list[str]) -> dict[str, str]:
    """The test files to run after a change of these paths, in that order, and why each of them is among them."""
    if not paths:
        return {}
    graph, changed = import_graph(), changed_modules(paths)
    reasons: dict[str, str] = {}
    for module, route in affected(graph, changed).items():
        reasons[module] = "changed" if len(route) == 1 else f"reaches {' > '.join(route[1:])}"
    for module in TEXTS:
        reasons.setdefault(module, "reads the whole tree")
    if EVERYTHING in changed:
        causes = [path for path in paths if EVERYTHING in changed_modules([path])]
        for module in filter(_is_test, sorted(graph)):
            reasons.setdefault(module, f"everything depends on {causes[0]}")
    return {f"{module.replace('.', '/')}.py": reason for module, reason in reasons.items()}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.affected", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--base", default="main", help="the branch or commit to compare with (main)")
    parser.add_argument("--list", action="store_true", help="print the files and run nothing")
    options, arguments = parser.parse_known_args(words)
    files = selected(changed_paths(options.base))
    for file, reason in files.items():
        print(f"{file:40} {reason}")
    if not files:
        print(f"nothing changed since {options.base}")
    if options.list or not files:
        return 0
    return subprocess.run([sys.executable, "-m", "pytest", *arguments, *files], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
