"""Lines of a notebook are named by their cells, wherever messages name lines."""

import sys
import types

import pytest
import torch

from passes.diagnose import measure
from passes.places import file_name, line_name
from passes.rewrite.draft import user_line
from tracer import capture

CELL = "/tmp/ipykernel_7/3257568281.py"
SOURCE = "def program(x):\n    y = x * 2\n    if y.sum() > 0:\n        y = y + 1\n    return y\n"


@pytest.fixture
def notebook(monkeypatch):
    """A notebook whose fourth cell has the program."""
    compiler = types.SimpleNamespace(_filename_map={CELL: 4})
    shell = types.SimpleNamespace(initialized=lambda: True, instance=lambda: types.SimpleNamespace(compile=compiler))
    module = types.SimpleNamespace(InteractiveShell=shell)
    monkeypatch.setitem(sys.modules, "IPython.core.interactiveshell", module)
    namespace = {}
    exec(compile(SOURCE, CELL, "exec"), namespace)
    return namespace["program"]


def test_a_line_is_named_by_its_cell_or_its_file(notebook):
    assert line_name(CELL, 12) == "cell 4, line 12" and file_name(CELL) == "cell 4"
    assert line_name("/home/a/mlp.py", 12) == "mlp.py:12"


def test_captures_passes_and_diagnoses_name_cells(notebook):
    captured = capture(notebook)
    captured(torch.ones(2))
    [entry] = captured.entries
    assert entry.place == "program, cell 4, line 1" and "cell 4, line 3" in entry.broke.message
    node = next(node for node in entry.graph_module.graph.nodes if node.op == "call_function")
    assert user_line(node) == "cell 4, line 2 in program"
    assert measure.user_line(node).startswith("cell 4, line 2 in program")
