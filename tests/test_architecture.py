"""The rules of docs/architecture.md that can be read off the source: who imports whom, what is nowhere to be edge."""

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.imports import PACKAGES, ROOT, Import, imports_of, module_name, nodes, parsed, sources

# Lowest first. A module belongs to the longest name that it starts with.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("passes.meta", "passes.errors", "passes.places", "passes"),
    ("passes.operators",),
    ("passes.rules",),
    ("passes.reuse",),
    ("passes.rewrite", "passes.propagate", "passes.autodiff", "passes.diagnose"),
    ("passes.network",),
    ("passes.record",),
    ("passes.infer",),
    ("backends",),
    (
        *("tracer.reasons", "tracer.options", "tracer.events", "tracer.pauses", "tracer.source_text", "tracer.version"),
        "tracer.mark_tables",
    ),
    ("tracer.code",),
    ("tracer.guards", "tracer._native", "tracer.extension"),
    ("tracer.graph", "tracer.effects"),
    ("tracer.values",),
    ("tracer.interpret",),
    ("tracer.output",),
    ("tracer.breaks",),
    ("tracer.entry",),
    ("tracer.frame_capture",),
    ("tracer.rewriting",),
    ("tracer.store",),
    ("tracer.dispatch",),
    ("tracer.stacks",),
    ("tracer.page",),
    ("tracer.api", "tracer.captured", "tracer.report", "tracer.__main__", "tracer"),
)
NEVER_IMPORTED_BY = {"passes": ("backends", "tracer"), "backends": ("tracer",)}
GRAPH_PASSES = ("reuse", "rewrite", "propagate", "autodiff", "diagnose", "network")
RECORDER_AND_LEARNER = ("passes.record", "passes.infer")
LAZY = (
    *("torch._dynamo", "torch._inductor", "torch._functorch", "torch.testing", "sympy", "networkx"),
    *("torch.fx.experimental.symbolic_shapes", "torch._guards", "pyarrow", "duckdb", "rich", "matplotlib"),
    "torch._numpy",  # for programs that use numpy
    "tracer.output.memory",  # with passes/reuse behind it
    "tracer.page.facts",  # with passes/reuse behind it
    "tracer.page.render",  # with jinja2 behind it
    "tracer.rewriting",  # with passes/rewrite behind it
    "backends.tiered.backend",  # with threads and processes behind it
    "tracer.interpret.rulebook",  # with passes/rules behind it
    "backends.crosscheck.backend",  # with gradients, scripts and shrinking behind it
    "safetensors",  # an extra: for stored cases only
)
AT_FIRST_USE = ("tracer.captured",)
"""What `import tracer` leaves for later, with the engine and the interpreter behind it."""

VERSION_TESTS = ("tracer/code/native.py",)
LAYOUTS = {"tracer/dispatch/native/frame_layout.h", "tracer/dispatch/native/dict_layout.h"}
EVAL_FRAME = "tracer/dispatch/hook.py"
MAX_LINES = 600
MAX_LINES_OF_A_FUNCTION = 60  # its signature apart: that of a command is a table of options
CPP = (".cpp", ".h")


MODULES = {module_name(path): path for path in sources()}


def layer_of(module: str) -> int:
    fitting = [
        (len(name), level)
        for level, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    return max(fitting)[1]


@functools.cache
def all_imports() -> tuple[Import, ...]:
    """Every import statement of the tree. Read when a test asks, as each process of a run imports this file."""
    return tuple(edge for path in sources() for edge in imports_of(path))


@functools.cache
def internal_imports() -> tuple[Import, ...]:
    """Those of our own modules."""
    return tuple(edge for edge in all_imports() if edge.target.split(".")[0] in PACKAGES)


def is_inside(module: str, names: tuple[str, ...]) -> bool:
    """Whether a module, or one of its parents, is among `names`."""
    return any(module == name or module.startswith(name + ".") for name in names)


def is_lazy(target: str) -> bool:
    """Whether a module, or one of its parents, may be imported inside functions only."""
    return is_inside(target, LAZY)


def where(edge: Import) -> str:
    return f"{MODULES[edge.module].relative_to(ROOT)}:{edge.line} imports {edge.target}"


def test_imports_go_to_lower_layers():
    wrong = [where(edge) for edge in internal_imports() if layer_of(edge.target) > layer_of(edge.module)]
    assert not wrong, "\n".join(wrong)


def test_packages_keep_apart():
    wrong = [
        where(edge)
        for edge in internal_imports()
        if edge.target.split(".")[0] in NEVER_IMPORTED_BY.get(edge.module.split(".")[0], ())
    ]
    assert not wrong, "\n".join(wrong)


def test_rules_at_run_time_and_graph_passes_know_nothing_of_recorder_or_learner():
    """Whoever evaluates a rule or rewrites a graph never has to read how calls are recorded and rules are learned."""
    without_them = tuple(f"passes.{name}" for name in ("meta", "errors", "operators", "rules", *GRAPH_PASSES))
    wrong = [
        where(edge)
        for edge in internal_imports()
        if is_inside(edge.module, without_them) and is_inside(edge.target, RECORDER_AND_LEARNER)
    ]
    assert not wrong, "\n".join(wrong)


def test_recorder_and_learner_know_nothing_of_graph_passes():
    passes = tuple(f"passes.{name}" for name in GRAPH_PASSES)
    wrong = [
        where(edge)
        for edge in internal_imports()
        if is_inside(edge.module, RECORDER_AND_LEARNER) and is_inside(edge.target, passes)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_cycles():
    """Imports for type checkers count: a circle of annotations is a circle for the reader."""
    needs: dict[str, set[str]] = {module: set() for module in MODULES}
    for edge in internal_imports():
        if edge.target in MODULES and edge.target != edge.module:
            needs[edge.module].add(edge.target)
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join([*path[path.index(module) :], module])
        if module not in finished:
            for needed in needs[module]:
                visit(needed, (*path, module))
            finished.add(module)

    for module in MODULES:
        visit(module, ())


def test_no_imports_inside_functions():
    wrong = [
        where(edge) for edge in all_imports() if edge.in_function and not is_inside(edge.target, (*LAZY, *AT_FIRST_USE))
    ]
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_are_imported_when_needed_only():
    wrong = [
        where(edge) for edge in all_imports() if is_lazy(edge.target) and not edge.in_function and not edge.for_types
    ]
    assert not wrong, "\n".join(wrong)


def test_the_machine_imports_nothing_of_ours():
    """It is the way up to the call policy from below: an import of its own would close a circle."""
    imports = [where(edge) for edge in internal_imports() if edge.module == "tracer.values.machine"]
    assert "tracer.values.machine" in MODULES and not imports


def native_files() -> list[Path]:
    """The sources in C++."""
    return [file for folder in ("tracer", "passes") for file in (ROOT / folder).rglob("native/*") if file.suffix in CPP]


def test_no_switch_of_the_native_code_has_a_default():
    """The compiler names every switch in which a generated number has no case; a default would silence it."""
    files = native_files()
    wrong = [file.name for file in files if re.search(r"\bdefault\s*:", file.read_text())]
    assert any("switch" in file.read_text() for file in files) and not wrong
    assert "-Werror=switch" in (ROOT / "setup.py").read_text()


def test_nothing_is_pickled():
    """Nor is code read with `marshal`; what that writes of code is hashed."""
    wrong = [
        where(edge)
        for edge in all_imports()
        if edge.target.split(".")[0] in ("pickle", "cloudpickle", "dill", "marshal")
        and not imports_only_dumps(MODULES[edge.module], edge.line)
    ]
    assert not wrong, "\n".join(wrong)


def imports_only_dumps(path, line):
    return path.read_text().splitlines()[line - 1] == "from marshal import dumps"


def test_version_tests_are_where_they_belong():
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources()
        if "version_info" in path.read_text() and str(path.relative_to(ROOT)) not in VERSION_TESTS
    ]
    assert not wrong
    knowing = {str(file.relative_to(ROOT)) for file in native_files() if b"PY_VERSION_HEX" in file.read_bytes()}
    assert knowing == LAYOUTS


def test_one_file_knows_the_frame_hook():
    files = [str(path.relative_to(ROOT)) for path in sources() if "eval_frame" in path.read_text()]
    assert set(files) <= {EVAL_FRAME}


def test_a_class_name_stands_for_one_class():
    """The source that is pasted into emitted fake kernels has names of its own."""
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        if path.name != "prelude.py":
            for node in nodes(path):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(f"{module}, line {node.lineno}")
    repeated = {name: where for name, where in places.items() if len(where) > 1}
    assert not repeated, repeated


# Decorators that name the opcode or the C function that the decorated one stands for.
STANDS_FOR = ("handles", "polyfill", "lookaside")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@functools.cache
def classes() -> dict[str, ast.ClassDef]:
    """The classes of the tree by name, which a test below holds to be unique."""
    return {node.name: node for path in sources() for node in nodes(path) if isinstance(node, ast.ClassDef)}


def decorators(node: Definition) -> set[str]:
    """The last part of each decorator's name: `setter` for `@shape.setter`, `handles` for `@handles("POP_TOP")`."""
    names = (ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list)
    return {name.rpartition(".")[2] for name in names}


def is_documented_above(owner: ast.ClassDef, method: str) -> bool:
    """Whether a class from which `owner` inherits says what its method of this name does."""
    parents = (classes().get(ast.unparse(base).partition("[")[0].rpartition(".")[2]) for base in owner.bases)
    return any(
        any(
            isinstance(node, ast.FunctionDef) and node.name == method and ast.get_docstring(node)
            for node in parent.body
        )
        or is_documented_above(parent, method)
        for parent in parents
        if parent is not None
    )


def undocumented(body: list[ast.stmt], owner: ast.ClassDef | None = None) -> Iterator[str]:
    """The public functions, classes and methods in a body that say nothing, or nothing but their own name."""
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        text = ast.get_docstring(node) or ""
        place = f"line {node.lineno}: {node.name}"
        is_exempt = decorators(node) & {*STANDS_FOR, "overload", "setter"}
        if not text and not is_exempt and not (owner and is_documented_above(owner, node.name)):
            yield place
        if text and set(re.findall(r"[a-z]+", text.lower())) <= {*node.name.lower().split("_"), "a", "an", "the", "of"}:
            yield f"{place} ({text})"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, node)


def test_public_definitions_say_what_they_are():
    """A method that a base class documents may leave it at that."""
    missing = [f"{path.relative_to(ROOT)}, {words}" for path in sources() for words in undocumented(parsed(path).body)]
    assert not missing, "\n".join(missing)


# Participles that hide what a variable holds; CONTRIBUTING.md asks for a noun (`layouts`, `difference`).
PARTICIPLES = ("found", "known", "given", "made", "own", "told", "said")


def bound_names(path: Path) -> Iterator[tuple[str, int]]:
    """The parameters and local variables in a file, with their lines; fields of classes are none of them."""
    bodies = [node.body for node in nodes(path) if isinstance(node, ast.ClassDef)]
    fields = {id(each.target) for body in bodies for each in body if isinstance(each, ast.AnnAssign)}
    for node in nodes(path):
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield node.id, node.lineno


def test_variables_are_named_by_nouns():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sources()
        for name, line in bound_names(path)
        if name in PARTICIPLES
    ]
    assert not wrong, "\n".join(wrong)


def places(path: Path, lines: Iterable[str]) -> list[str]:
    """Each of `lines` with the file that it is about."""
    return [f"{path.relative_to(ROOT)}: {line}" for line in lines]


def test_a_file_opens_with_a_paragraph_and_has_no_more_lines_than_a_person_reads():
    wrong: list[str] = []
    for path in sources():
        tree, length = parsed(path), len(path.read_text().splitlines())
        wrong += places(path, ["no opening paragraph"] if tree.body and not ast.get_docstring(tree) else [])
        wrong += places(path, [f"{length} lines"] if length > MAX_LINES else [])
    assert not wrong, "\n".join(wrong)


def test_functions_are_short():
    wrong: list[str] = []
    for path in sources():
        functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        lengths = [(node.name, (node.end_lineno or 0) - node.body[0].lineno + 1) for node in functions]
        longer = [f"{name} has {length} lines" for name, length in lengths if length > MAX_LINES_OF_A_FUNCTION]
        wrong += places(path, longer)
    assert not wrong, "\n".join(wrong)


def test_files_and_functions_of_the_native_code_are_short():
    """A function begins with a line at the margin that has a parenthesis, and ends with a brace at the margin."""
    wrong: list[str] = []
    for path in native_files():
        lines = path.read_text().splitlines()
        wrong += places(path, [f"{len(lines)} lines"] if len(lines) > MAX_LINES else [])
        start = 0
        for number, line in enumerate(lines):
            if re.match(r"[\w<>*&:, ]+\(", line) and line[0] != " ":
                start = number
            if line == "}":
                if number - start >= MAX_LINES_OF_A_FUNCTION:
                    wrong += places(path, [f"the function at line {start + 1} has {number - start + 1} lines"])
                start = number
    assert not wrong, "\n".join(wrong)


def is_blanket(handler: ast.ExceptHandler) -> bool:
    """Whether an `except` catches all exceptions and raises none."""
    names = [] if handler.type is None else [node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)]
    catches_all = handler.type is None or not {"Exception", "BaseException"}.isdisjoint(names)
    return catches_all and not any(isinstance(node, ast.Raise) for part in handler.body for node in ast.walk(part))


def test_no_except_is_a_blanket():
    wrong: list[str] = []
    for path in sources():
        handlers = [node for node in nodes(path) if isinstance(node, ast.ExceptHandler) and is_blanket(node)]
        wrong += places(path, (f"blanket except in line {node.lineno} that raises nothing" for node in handlers))
    assert not wrong, "\n".join(wrong)
