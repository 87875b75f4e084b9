"""What people get wrong with public functions and commands: the message says what is wrong, and what to do instead."""

import pytest
import torch
from torch import nn

import bytegraph
from bytegraph import capture, disable, explain, export
from tracer.commands.application import main

X = torch.ones(2, 3)


def f(x):
    return x + 1


MISTAKES = {
    "a file as the cache": (lambda: capture(f, cache=__file__), ValueError, "is a file"),
    "a number as the cache": (lambda: capture(f, cache=3), TypeError, "cache must be the path of a folder"),
    "the name of passes": (lambda: capture(f, passes="STANDARD"), TypeError, "such as those of STANDARD"),
    "a result to explain": (lambda: explain(f(X)), TypeError, "explain(fn, x)"),
    "a word for sizes": (lambda: export(f, X, dynamic_shapes="auto"), bytegraph.ExportError, "torch.export.Dim"),
    "true for sizes": (lambda: export(f, X, dynamic_shapes=True), bytegraph.ExportError, "torch.export.Dim"),
    "no such dimension": (
        lambda: export(f, X, dynamic_shapes=({5: torch.export.Dim("d")},)),
        bytegraph.ExportError,
        "names dimension 5 of x, which has 2",
    ),
    "a backend that returns nothing": (
        lambda: capture(f, backend=lambda module, inputs: None)(X),
        TypeError,
        "must return a callable",
    ),
    "a network of a function": (lambda: bytegraph.network_of(f), TypeError, "entries[0].graph"),
    "metas of a function": (lambda: bytegraph.propagate(f, [X]), TypeError, "entries[0].graph"),
    "the linear part of a function": (lambda: bytegraph.linearize(f), TypeError, "entries[0].graph_module"),
    "a function in two parts": (lambda: bytegraph.partition(f), TypeError, "entries[0].graph_module"),
    "a part in the place of a file": (lambda: capture(f).dump("graph"), ValueError, "dump(what='graph')"),
    "a number to log": (lambda: bytegraph.set_log(3), TypeError, "'breaks,+graphs', not 3"),
    "no name to explain": (lambda: bytegraph.explain_call(""), ValueError, "such as 'torch.relu'"),
    "a function to rewrite": (lambda: bytegraph.rewrite(f), TypeError, "entries[0].graph_module"),
    "a function to check as a rule": (lambda: bytegraph.check_rule(f), TypeError, "such as rewrite_rule("),
    "one meta alone": (lambda: bytegraph.propagate(torch.fx.symbolic_trace(f), X), TypeError, "not one alone"),
    "two metas for one input": (
        lambda: bytegraph.propagate(torch.fx.symbolic_trace(f), [X, X]),
        ValueError,
        "inputs of the graph: 1; given are metas for 2",
    ),
    "an argument too few": (lambda: export(lambda x, k: x * k, X, 2)(X), TypeError, "missing"),
    "a number to leave alone": (lambda: disable(3), TypeError, "disable takes a callable"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_words(name):
    mistake, kind, words = MISTAKES[name]
    with pytest.raises(kind) as raised:
        mistake()
    assert words in str(raised.value)


def test_a_scripted_module_is_captured():
    class Inner(nn.Module):
        def forward(self, x):
            return x.relu() + 1

    scripted = torch.jit.script(Inner())
    captured = capture(scripted)
    assert torch.equal(captured(X), scripted(X)) and torch.equal(captured(X), scripted(X))


PROGRAM = "import torch\n\ndef takes(x):\n    return x\n\ndef main():\n    return torch.ones(2) + 1\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["explain", "script.py:takes"],
            "called without arguments, and that cannot be: missing a required argument: 'x'",
        ),
        (["explain", "nothing.py"], "there is no script 'nothing.py'"),
        (["report", "script.py:main", "-o", "script.py/page.html"], "cannot write script.py/page.html"),
        (["graph", "script.py:main", "-o", "script.py/graph.svg"], "cannot write script.py/graph.svg"),
    ],
)
def test_a_mistake_at_the_command_line_is_one_line(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(PROGRAM)
    assert main(words) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
