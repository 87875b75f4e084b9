"""Which test files `make affected` selects."""

import pytest

from tests.affected import EVERYTHING, FOLDERS, affected, changed_modules, import_graph, selected
from tests.imports import ROOT

pytestmark = pytest.mark.slow  # whichever runs first pays for the graph


@pytest.fixture
def graph():
    return import_graph()


def test_files_that_import_a_module_come_first(graph):
    files = list(affected(graph, {"passes.infer.study"}))
    direct = [file for file in files if "passes.infer.study" in graph[file]]
    assert "tests.test_learn" in direct and files[: len(direct)] == direct


def test_files_that_do_not_reach_a_module_are_left_out(graph):
    assert "tests.test_closures" not in affected(graph, {"passes.infer.study"})
    assert "tests.test_closures" in affected(graph, {"tracer.interpret.frame"})


def test_modules_reached_in_another_process_count(graph):
    """test_record_children runs `python -m tracer record`."""
    assert "tests.test_record_children" in affected(graph, {"tracer.commands.record"})


def test_an_attribute_imported_on_demand_counts_where_it_is_named(graph):
    files = affected(graph, {"passes.infer.fake_kernels.fake_kernel"})
    assert "tests.test_fake_kernel" in files and "tests.test_loops" not in files


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("tracer/guards/checks.py", "tracer.guards.checks"),
        ("tracer/dispatch/native/entry.h", "tracer._native"),
        ("passes/rules/books/torch-2.13-cpu/book.json", "passes.rules.book"),
        ("tests/snapshots/test_explanation.txt", "tests.test_snapshots"),
        ("notebooks/5_gemma_3_270m.ipynb", "tests.test_notebooks"),
        ("passes/native/boundary.h", "passes.record._facts"),
        ("tests/conformance/sorting.py", "tests.conformance.catalogue"),
        ("tests/pins/test_conformance.json", "tests.test_conformance"),
        ("Makefile", "everything"),
    ],
)
def test_module_that_changes_with_a_path(path, module):
    assert module in changed_modules([path])


# Files that people run, or that hold for tools only, and folders of them.
WITHOUT_TESTS = (
    "benchmarks/demo.py",
    "benchmarks/inductor.py",
    "benchmarks/zoo/",
    "tests/fuzz/__main__.py",
    "tests/sanitized.py",
    "tests/screenshots.py",
)
SUFFIXES = {".py", ".cpp", ".h", ".json", ".txt", ".ipynb"}


def test_every_file_has_a_test_that_a_change_of_it_runs(graph):
    paths = (path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    reached: dict[frozenset[str], bool] = {}
    wrong: list[str] = []
    for path in sorted(str(path) for path in paths if path.suffix in SUFFIXES and "results" not in path.parts):
        modules = frozenset(changed_modules([path]))
        if modules not in reached:
            reached[modules] = EVERYTHING in modules or bool(affected(graph, set(modules)))
        if not reached[modules] and not path.startswith(WITHOUT_TESTS):
            wrong.append(path)
    assert not wrong, "\n".join(wrong)


def test_reasons_say_how_a_change_is_reached():
    reasons = selected(["passes/infer/study.py", "tests/test_loops.py"])
    assert reasons["tests/test_loops.py"] == "changed"
    assert reasons["tests/test_learn.py"] == "reaches passes.infer.study"
    assert reasons["tests/test_citations.py"] == "reads the whole tree"
    assert selected([]) == {}
