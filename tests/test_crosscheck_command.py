"""`python -m tracer check`: scripts, functions of scripts, cases; what it prints, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from backends.cases import save_case
from tests import planted  # noqa: F401  (the scripts use the operators)
from tracer import capture
from tracer.commands.application import main

SCRIPT = """
import torch
import tracer
from tracer import capture

@capture
def right(x):
    return torch.softmax(x, -1)

@capture
def wrong(x):
    return torch.ops.planted.row_sums(x * 2)

def loss():
    x = torch.ones(3, 4).cumsum(0)
    return right(x).sum()

def captures_nothing():
    pass

if __name__ == "__main__":
    print("the script prints")
    right(torch.ones(2, 3))
    wrong(torch.ones(2, 3))
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return str(path)


def test_a_script(script, tmp_path, capsys):
    state = sys.argv[:], sys.path[:]
    assert main(["check", script, "--folder", str(tmp_path / "found")]) == 1
    text = capsys.readouterr().out
    assert "the script prints" in text
    assert "no difference" in text and "row_sums" in text
    assert "return torch.ops.planted.row_sums(x * 2)" in text
    assert "fails when run" in text
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["crosscheck_row_sums.py"]
    assert (sys.argv, sys.path) == state and __import__("tracer").capture is capture


def test_a_function_as_json(script, capsys):
    assert main(["check", f"{script}:loss", "--gradients", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert {"slopes" in report for report in found["reports"]} == {True, False}


def test_another_candidate(script, capsys):
    assert main(["check", f"{script}:loss", "--candidate", "aot_eager", "--no-layouts"]) == 0
    assert "crosscheck of aot_eager: no difference" in capsys.readouterr().out


def test_a_case(tmp_path, capsys):
    save_case(capture(lambda x: x.sin() + 1), [torch.ones(3)], tmp_path)
    assert main(["check", "--case", str(tmp_path)]) == 0
    assert "the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "either a script"),
        (["nowhere.py"], "no file 'nowhere.py'"),
        (["{script}:nothing"], "no function 'nothing'; it has capture, captures_nothing, loss, right, wrong"),
        (["{script}:captures_nothing"], "ran no captured graph"),
        (["{script}:loss", "--candidate", "nonsense"], "nonsense"),
        (["--case", "nowhere"], "nowhere is not a case"),
    ],
    ids=["nothing", "file", "function", "graph", "candidate", "case"],
)
def test_mistakes(script, words, message, capsys):
    assert main(["check", *(word.format(script=script) for word in words)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert error.count("\n") == 1


def test_what_the_script_raises_is_the_scripts(tmp_path):
    path = tmp_path / "raises.py"
    path.write_text("raise KeyError('mine')")
    with pytest.raises(KeyError, match="mine"):
        main(["check", str(path)])


def test_by_module(tmp_path):
    """As a person calls it."""
    path = tmp_path / "adds.py"
    path.write_text("import torch\nfrom tracer import capture\ncapture(lambda x: x + 1)(torch.ones(2))\n")
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "tracer", "check", str(path)], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0 and "no difference" in done.stdout, done.stderr
