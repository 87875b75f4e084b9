"""`python -m tracer explain`, `graph` and `bench`: what is printed and written, and what is said of mistakes."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import torch

from tests.imports import ROOT
from tracer.commands.application import main

TEXT = {"text": True, "capture_output": True, "check": False}

SCRIPT = """
import sys
import torch
from tracer import capture

@capture
def step(x):
    y = x.relu() + 1
    if y.sum() > 3:
        return y * 2
    return y

def free():
    return torch.ones(3) * 2

def broken():
    raise KeyError("from the program")

if __name__ == "__main__":
    print("arguments:", *sys.argv[1:])
    step(torch.ones(3))
    step(torch.ones(2, 2))
    step(torch.ones(2, 2))
    sys.exit(len(sys.argv[1:]))
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return str(path)


def test_explain_runs_the_script_and_reports_its_captures(script, capsys):
    before = sys.argv, sys.path[:]
    assert main(["explain", script, "--flag", "1"]) == 2
    printed = capsys.readouterr().out
    assert "arguments: --flag 1" in printed
    assert printed.count("graph break: data-dependent-jump") == 1 and "if y.sum() > 3:" in printed
    assert "breaks                2" in printed and "x: rank is 2, captured with 1" in printed and "trace" in printed
    assert (sys.argv, sys.path) == before


def test_explain_in_full_shows_graphs_and_guards(script, capsys):
    assert main(["explain", "--full", f"{script}:free"]) == 0
    printed = capsys.readouterr().out
    assert "def graph():" in printed and "guards" in printed and "return torch.ones(3) * 2" in printed


def test_explain_as_json(script, capsys):
    assert main(["explain", "--json", script]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert "arguments:" in captured.err
    assert report["graphs"] == 4 and report["recompiles"] and report["seconds"]["trace"] > 0
    assert report["captures"][0]["break"]["reason"] == "data-dependent-jump"
    assert report["captures"][0]["ops"] == 4 and report["captures"][0]["why"] == "first call"


def test_explain_reports_one_run_only(script, capsys):
    for _ in range(2):
        main(["explain", "--json", f"{script}:free"])
        assert json.loads(capsys.readouterr().out)["graphs"] == 1


def test_graph_is_printed_as_python(script, capsys):
    assert main(["graph", f"{script}:free"]) == 0
    printed = capsys.readouterr().out
    assert "# free, script.py:13" in printed
    namespace = {}
    exec(compile(printed, "printed", "exec"), namespace)
    assert torch.equal(namespace["graph"]()[0], torch.full((3,), 2.0))


@pytest.mark.parametrize("ending", [".py", ".json", ".dot", ".svg", ".graphml"])
def test_graph_is_written(script, tmp_path, capsys, ending):
    assert main(["graph", "-o", str(tmp_path / f"made/graph{ending}"), f"{script}:free"]) == 0
    text = (tmp_path / f"made/graph{ending}").read_text()
    assert f"graph{ending}: free" in capsys.readouterr().out and "mul" in text
    if ending in (".svg", ".graphml"):
        ElementTree.fromstring(text)


def test_options_may_follow_a_function(script, tmp_path, capsys):
    assert main(["graph", f"{script}:free", "--theirs", "-o", str(tmp_path / "g.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["file"] == str(tmp_path / "g.json")
    assert main(["explain", f"{script}:free", "--", "--json"]) == 0
    assert "captures" in capsys.readouterr().out


def test_options_may_follow_a_script_and_words_behind_two_dashes_are_its_own(script, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["report", script, "one", "-o", str(page), "two"]) == 2
    assert "arguments: one two\n" in capsys.readouterr().out and page.exists()
    assert main(["explain", script, "--json", "--", "--json"]) == 1
    printed = capsys.readouterr()
    assert "arguments: --json\n" in printed.err and json.loads(printed.out)
    assert main(["explain", script, "one", "--", "--json"]) == 3
    assert "arguments: one -- --json\n" in capsys.readouterr().out
    assert main(["explain", script, "--help"]) == 1
    assert "arguments: --help\n" in capsys.readouterr().out


def test_backends_lists_no_tests_of_torch_unless_asked(capsys):
    assert main(["backends", "--json"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert main(["backends", "--all", "--json"]) == 0
    every = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"eager", "aot_eager", "inductor", "tiered", "cudagraphs"} <= names
    assert {"aot_eager_decomp_partition", "relu_compile_error_TESTING_ONLY"} <= every - names
    assert main(["backends", "inducter"]) == 2
    assert "no backend is called 'inducter'; did you mean 'inductor'?" in capsys.readouterr().err


def test_several_graphs_are_numbered(script, tmp_path, capsys):
    assert main(["graph", "--json", "-o", str(tmp_path / "graph.dot"), script]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == [str(tmp_path / f"graph-{number}.dot") for number in (1, 2, 3, 4)]
    assert rows[0]["ops"] == 4 and any("relu" in str(node) for node in rows[0]["nodes"])
    assert all((tmp_path / f"graph-{number}.dot").read_text().startswith("digraph") for number in (1, 2, 3, 4))


@pytest.mark.parametrize(
    "words, message",
    [
        (["explain", "{script}:nothing"], "has no function 'nothing'; it has broken, free, step"),
        (["explain", "{folder}/none.py"], "no script"),
        (["explain", "{folder}/empty.py"], "captured nothing; name a function"),
        (["graph", "-o", "{folder}/graph.txt", "{script}"], ".py, .json, .dot, .svg, .graphml"),
        (["bench", "nonsense"], "there is no measurement 'nonsense'; there are"),
    ],
)
def test_mistakes_of_the_user_are_reported_in_one_line(script, tmp_path, capsys, words, message):
    (tmp_path / "empty.py").write_text("x = 1\n")
    assert main([word.format(script=script, folder=tmp_path) for word in words]) == 2
    report = capsys.readouterr().err
    assert report.startswith("error: ") and message in report and report.count("\n") == 1


@pytest.mark.parametrize("command", ["explain", "graph", "report"])
@pytest.mark.parametrize("status, seen", [(0, 2), (3, 3)])
def test_nothing_captured_of_a_program_that_fails_is_its_status(tmp_path, capsys, command, status, seen):
    (tmp_path / "empty.py").write_text(f"raise SystemExit({status})\n")
    assert main([command, str(tmp_path / "empty.py")]) == seen
    assert "captured nothing" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["explain"], ["explain", "{script}:free"], ["rules", "show"], ["record"]])
def test_help_has_a_short_option(script, capsys, words):
    printed = []
    for option in ("--help", "-h"):
        assert main([*[word.format(script=script) for word in words], option]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] and "Usage" in printed[0]


def test_errors_of_the_program_propagate(script):
    with pytest.raises(KeyError, match="from the program"):
        main(["explain", f"{script}:broken"])


@pytest.mark.parametrize("command", ["explain", "report", "graph"])
def test_an_error_of_the_program_is_told_without_a_frame_of_ours(tmp_path, command):
    """As `python script.py` tells it, in a captured function and what it calls, too."""
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.partition("if __name__")[0] + "def run():\n    step(torch.ones(3, 3).view(7))\n\ncapture(run)()\n"
    )
    plain, told = (
        subprocess.run([sys.executable, *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, **TEXT)
        for words in ([script], ["-m", "tracer", command, script])
    )
    assert plain.returncode == told.returncode == 1
    assert plain.stderr == told.stderr and plain.stderr.count("  File ") == 2


def test_bench_lists_measurements(capsys):
    assert main(["bench", "--list", "capture", "--json"]) == 0
    assert "first capture" in json.loads(capsys.readouterr().out)


def test_bench_measures_the_named_subjects(monkeypatch):
    import benchmarks.__main__ as benchmarks

    calls = []
    monkeypatch.setattr(benchmarks, "main", lambda words: calls.append(words) or 0)
    assert main(["bench", "--quick", "import", "replay"]) == 0
    assert calls == [["--quick", "--only", "import"], ["--quick", "--only", "replay"]]


def test_bench_without_the_repository(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "benchmarks.__main__", None)
    assert main(["bench"]) == 2
    assert "run this in the folder of its repository" in capsys.readouterr().err
