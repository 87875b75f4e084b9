"""The notebooks run from top to bottom, show what they are there for, and are kept without outputs."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

from notebooks.strip import FOLDER, stripped

WORDS_A_MINUTE, LINES_A_MINUTE, MINUTES = 200, 40, 10
SECONDS = 600  # for one cell, on a machine that is busy

# What a reader must have seen at the end, as text or as the kind of a picture.
SHOWN = {
    "1_the_life_of_one_call": [
        "image/svg+xml",
        "COMPARE_OP",
        "tensor sum_1: f32[]",
        "def graph(x: f32[2, 16]",
        "model.calls              == 7",
        "graph break: data-dependent-jump",
        "def step_program(",
        "sqrt = loss.sqrt()",
        "captured with 7",
        "[('first call', 4)]",
    ],
    "2_record_infer_and_read_a_rule": [
        "UnsupportedOperatorException",
        "('notebook::window_max', 6, 60)",
        "0 falsification trials clean",  # of what was learned from the records alone
        "counterexamples learned from",
        "def window_max(x, size, keep=False):",
        "@within(",
        "(2, 3, 4, 12) True -> (2, 3, 4, 10) (120, 40, 10, 1) torch.float64",
        "OutsideDomain: notebook::window_max",
        "does its result depend on data?",
    ],
    "3_write_a_backend_and_a_pattern": [
        "sigmoid ",
        "did you mean 'stopwatch'?",
        "has no option 'units'; its options: unit",
        "pattern silu_by_hand(x)",
        "28 calls, 24 after rewriting",
        "sigmoid is used elsewhere",
        "writes to what it reads",
        "root_of_square: with float32 inputs",
        "linears of one input",
    ],
    "4_hunt_a_silent_stride_bug": [
        "torch.ops.hunt.leaky_ (leaky): values, as it was called",
        "torch.ops.hunt.leaky_(mixed, 0.1)",
        "dense = x.contiguous()",  # the definition, in the script
        "AssertionError: wrong value",
        "with transposed inputs",
        "crosscheck of eager: no difference (10 of 10 calls",
        "seen with 2 operators together: mul, sub",
    ],
    "5_gemma_3_270m": [
        "embedding   167.8 million parameters",
        "layers      100.3 million parameters",
        "1 graph, hit 29 times",
        "hit 4 times",
        "18 times",
        "captured, frozen",
        "inductor ",
        "state: compiling",
    ],
    "6_why_understanding_backprop_matters": [
        "image/png",
        "saturated: sigmoid",
        "dead: relu",
        "exploding: matmul",
        "clipped: model.recurrent",
        "vanishing",
        "() ()",
    ],
}


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.ipynb"


def test_every_notebook_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_outputs_are_stripped(name):
    text = path_of(name).read_text()
    assert stripped(text) == text, "run python notebooks/strip.py"


@pytest.mark.parametrize("name", SHOWN)
def test_takes_ten_minutes_to_read(name):
    cells = nbformat.read(path_of(name), as_version=4).cells
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    lines = sum(bool(line.strip()) for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines())
    assert words / WORDS_A_MINUTE + lines / LINES_A_MINUTE <= MINUTES


def test_stripping_removes_outputs():
    text = path_of("1_the_life_of_one_call").read_text()
    notebook = nbformat.reads(text, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.v4.new_output("stream", text="seen")]
    cell.execution_count = 3
    assert "seen" in nbformat.writes(notebook)
    assert stripped(nbformat.writes(notebook)) == text


@pytest.mark.parametrize("name", SHOWN)
def test_runs_and_shows_its_outputs(name, tmp_path):
    notebook = nbformat.read(path_of(name), as_version=4)
    environment = {"IPYTHONDIR": str(tmp_path), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    place = {"metadata": {"path": str(FOLDER.parent)}}
    NotebookClient(notebook, timeout=SECONDS, resources=place).execute(env={**os.environ, **environment})
    seen = shown(notebook)
    missing = [part for part in SHOWN[name] if part not in seen]
    assert not missing, f"{missing} is not in\n{seen}"


def shown(notebook) -> str:
    """All outputs as text, each with its kinds; the text of HTML without its tags."""
    parts = []
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        data = output.get("data", {})
        parts += [output.get("text", ""), *data, data.get("text/plain", "")]
        parts.append(re.sub(r"<[^>]*>", "", data.get("text/html", "")))
    return "\n".join(parts)


def test_places_in_a_notebook_are_named_by_the_cell():
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("import torch\nfrom tracer import capture, graph_break", store_history=True).raise_error()
        cell = "@capture\ndef step(x):\n    y = x + 1\n    graph_break()\n    return y * 2\n\nstep(torch.ones(2));"
        shell.run_cell(cell, store_history=True).raise_error()
        (entry,) = shell.user_ns["step"].entries
        assert entry.place == "step, cell 2, line 1"
        assert entry.broke.message.splitlines()[1:3] == ["  cell 2, line 4 in step", "      graph_break()"]
        assert "# cell 2, line 3 in step   y = x + 1\n" in str(entry)
    finally:
        InteractiveShell.clear_instance()
