"""Which test files `make affected` selects."""

import pytest

from tests.affected import affected, changed_modules, import_graph, selected


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
        ("Makefile", "everything"),
    ],
)
def test_module_that_changes_with_a_path(path, module):
    assert module in changed_modules([path])


def test_reasons_say_how_a_change_is_reached():
    reasons = selected(["passes/infer/study.py", "tests/test_loops.py"])
    assert reasons["tests/test_loops.py"] == "changed"
    assert reasons["tests/test_learn.py"] == "reaches passes.infer.study"
    assert reasons["tests/test_citations.py"] == "reads the whole tree"
    assert selected([]) == {}
