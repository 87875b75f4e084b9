"""Names of functions, files and modules that are no identifiers, or hold characters that a terminal obeys.

Captures answer as the program does, reports show the names, and scripts of crosscheck hold none that was not quoted.
"""

import functools
import json
from types import FunctionType, MethodType, ModuleType

import pytest
import torch

import tracer
from backends.crosscheck.objects import ObjectTexts
from backends.crosscheck.report import write
from backends.crosscheck.script import call_text, graph_function
from backends.crosscheck.text import CannotWrite, text_of
from tests import faults
from tests.test_crosscheck_faults import assert_fails
from tracer import capture, explain

nan, inf = float("nan"), float("inf")
HOSTILE = {
    "NUL": "a\0b",
    "half a character": "a\ud800b\udfff",
    "ends of lines": "a\u2028b\u2029c\x85d\r\n\n'e'",
    "direction of writing": "a\u202eb\u2066c\u200f",
    "commands": "a\x1b]0;owned\x07\x9b2Jb\x08",
    "markup": "</script><script>document.title='owned'</script><!--",
    "attribute": "\" onmouseover=\"document.title='owned'\" x='",
    "template": "{{ 7 * 7 }}{% raw %}{0.__class__}%s%n",
    "quotes": "\"\"\"\nraise SystemExit(7)\n'''\\",
    "path": "../../../../outside",
    "long": "x" * 3000,
    "empty": "",
}
OBEYED = set("\0\x1b\x07\x08\x9b\u202e\u2066\u200f\u2028")


def program(x):
    y = x * 2
    tracer.graph_break()
    return torch.relu(y)


def renamed(text, part):
    """The program with another name, or from a file of this name."""
    changes = {"co_filename": text} if part == "file" else {"co_name": text, "co_qualname": text}
    name = program.__name__ if part == "file" else text
    return FunctionType(program.__code__.replace(**changes), globals(), name)


@pytest.mark.parametrize("part", ["function", "file"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_reports_of_a_name(kind, part, tmp_path, capsys):
    x, function = torch.linspace(-2, 2, 5), renamed(HOSTILE[kind], part)
    tracer.set_log("all", json=tmp_path / "log.jsonl")
    try:
        captured = capture(function)
        assert torch.equal(captured(x), program(x))
    finally:
        tracer.set_log()
    page = explain(captured, x).to_html(tmp_path / "page.html", title=HOSTILE[kind])
    captured.dump(tmp_path / "dump.txt")
    lines = (tmp_path / "log.jsonl").read_text("utf-8").split("\n")[:-1]
    assert lines and all(json.loads(line, parse_constant=pytest.fail) for line in lines)
    assert (tmp_path / "dump.txt").read_text("utf-8") and (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<script") == 7 and "owned'</script>" not in page and 'onmouseover="' not in page
    assert not OBEYED & set(capsys.readouterr().err)


def test_scripts_about_names(tmp_path):
    """The text is in what a script says, and nowhere else: each ends with its own assertion."""
    reports = []
    options = {"candidate": faults.swap("relu", lambda x: torch.relu(x) + 1), "verify": False}
    options |= {"report": reports.append, "folder": tmp_path, "shrink": 1.0}
    for text in HOSTILE.values():
        for part in ("function", "file"):
            capture(renamed(text, part), backend="crosscheck", options=options)(torch.ones(3))
    paths = [report.first.path for report in reports if not report.ok]
    assert len(paths) == 2 * len(HOSTILE) and sorted(map(str, tmp_path.iterdir())) == sorted(paths)
    assert_fails(*paths)


CODE = "x=print(), y"


def method():
    function = FunctionType(program.__code__, globals())
    function.__name__ = CODE
    return MethodType(function, 1)


def instance():
    class Kind:
        def __call__(self):
            return 1

    Kind.__name__ = CODE
    return Kind()


@pytest.mark.parametrize(
    "value", [functools.partial(program, **{CODE: 1}), method(), instance(), ModuleType("a\nprint()")], ids=type
)
def test_what_a_script_cannot_define(value):
    with pytest.raises(CannotWrite, match="is not a name"):
        ObjectTexts().expression(value)


@pytest.mark.parametrize(
    "op, target, kwargs",
    [("call_method", "abs(), print", {}), ("call_function", getattr, {}), ("call_function", torch.add, {CODE: 1})],
)
def test_what_a_script_cannot_call(op, target, kwargs):
    with pytest.raises(CannotWrite, match="is not a name"):
        call_text(op, target, (1, CODE), kwargs, ObjectTexts())


def test_what_a_script_cannot_assign():
    module = torch.fx.symbolic_trace(torch.nn.ReLU())
    next(iter(module.graph.nodes)).name = CODE
    with pytest.raises(CannotWrite, match="is not a name"):
        graph_function("program", module, ObjectTexts())


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("is_temporary", [False, True])
def test_a_script_is_a_file_in_its_folder(kind, is_temporary, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = write("pass", HOSTILE[kind], None if is_temporary else tmp_path)
    assert path.parent == tmp_path and path.read_text() == "pass"


class Loud(str):
    def __repr__(self):
        return "print()"


class Count(float):
    def __repr__(self):
        return "print()"


@pytest.mark.parametrize("value", [Loud("a"), Count(1.5), complex(-0.0, 1), complex(0, -0.0), complex(nan, -inf), True])
def test_a_constant_is_written_as_itself(value):
    written = eval(text_of(value), {"nan": nan, "inf": inf})
    base = next(kind for kind in type(value).mro() if kind.__module__ == "builtins")
    assert type(written) is base and base.__repr__(written) == base.__repr__(value)
