"""Guards of a file: numbers in tables for the native guard program, objects only when somebody looks."""

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import forget, kinds
from tracer._native import FrameCache, NativeEntry
from tracer.store.entries import LoadedEntry


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.gain = 2.0

    def forward(self, x):
        return torch.relu(self.fc(x)) * self.gain


def model_of(layers):
    torch.manual_seed(0)
    return torch.nn.Sequential(*(Layer() for _ in range(layers)))


def call(model, x):
    return model(x)


def test_they_are_objects_when_somebody_looks(tmp_path):
    model, x = model_of(12), torch.randn(3, 4)
    first = tracer.capture(call, cache=tmp_path)
    first(model, x)
    (written,) = first.entries
    forget()
    program = tracer.capture(call, cache=tmp_path)
    assert torch.equal(program(model, x), model(x))
    (entry,) = program.entries
    paths = entry.guards.tables[-1]
    assert sum(path is not None for path in paths) < len(paths) / 4
    assert len(entry.guards) == len(written.guards)
    assert entry.guards.text == written.guards.text
    assert str(entry.guards) == str(written.guards)
    assert [source.text for source in entry.inputs] == [source.text for source in written.inputs]
    assert all(path is not None for path in paths)


@pytest.mark.parametrize("strict", [False, True])
def test_they_see_what_changes(strict, tmp_path):
    model, x = model_of(12), torch.randn(3, 4)
    tracer.capture(call, cache=tmp_path)(model, x)
    forget()
    program = tracer.capture(call, cache=tmp_path, strict=strict)
    assert torch.equal(program(model, x), model(x))
    assert kinds() == ["loaded"]
    model[7].gain = 3.0
    assert torch.equal(program(model, x), model(x))
    assert "model[7].gain is 3.0" in program.entries[0].why
    model[3].fc.bias = None
    assert torch.equal(program(model, x), model(x))


def test_a_file_that_does_not_fit_is_read_no_further(tmp_path, monkeypatch):
    model, x = model_of(2), torch.randn(3, 4)
    tracer.capture(call, cache=tmp_path)(model, x)
    forget()
    read = []
    monkeypatch.setattr(LoadedEntry, "read", lambda self, values: read.append(values))
    model[1].gain = 3.0
    assert torch.equal(tracer.capture(call, cache=tmp_path)(model, x), model(x))
    assert kinds() == ["capture", "stored"] and not read


# What the native guard program refuses --------------------------------------------------------------------


def function(x):
    return x


class Guards:
    """Guards as a file has them: by default that the parameter `x` is 1."""

    def __init__(self, **changed):
        parts = {"paths": [-1, 0], "steps": [("argument", "x")], "facts": [("equal", 1)]}
        parts |= {"rows": [0, 0, -1], "inputs": [0], "sources": [None], **changed}
        self.tables = tuple(parts.values())


def inputs(value, **changed):
    cache = FrameCache(function.__code__, lambda *args: None)
    return cache.inputs_if_fits(NativeEntry(Guards(**changed), (), None), function, value)


def test_tables_are_compiled():
    assert inputs(1) == (1,)
    assert inputs(2) is None
    two = {"paths": [-1, 0, 0, 1], "steps": [("argument", "x"), ("item", "a")], "sources": [None, None]}
    assert inputs({"a": 1}, **two, rows=[1, 0, -1], inputs=[1, 0]) == (1, {"a": 1})
    assert inputs({"b": 1}, **two, rows=[1, 0, -1]) is None
    keyed = {"paths": [-1, 0, 0, 1, 0, 2], "steps": [("argument", "x"), ("item", "key"), ("item of", 1)]}
    assert inputs({"key": "a", "a": 1}, **keyed, sources=[None] * 3, rows=[2, 0, -1], inputs=[2]) == (1,)


CHAIN = [part for place in range(300) for part in (place - 1, int(place > 0))]

REFUSED = {
    "a path that is not there": {"rows": [1, 0, -1]},
    "a fact that is not there": {"rows": [0, 1, -1]},
    "a number below all": {"rows": [-2, 0, -1]},
    "an input that is not there": {"inputs": [7]},
    "half a guard": {"rows": [0]},
    "no number": {"rows": [0, "0", -1]},
    "a guard of nothing": {"rows": [-1, 0, -1]},
    "a path that goes on from itself": {"paths": [0, 0]},
    "a path that goes on from one behind it": {"paths": [1, 1, -1, 0], "steps": [("argument", "x"), ("item", "a")]},
    "a step that is not there": {"paths": [-1, 1]},
    "a step that is none": {"steps": ["argument"]},
    "an unknown step": {"steps": [("reach", "x")]},
    "a step that cannot start": {"steps": [("item", "x")]},
    "a start in the middle": {"paths": [-1, 0, 0, 0], "rows": [1, 0, -1]},
    "a key behind it": {
        "paths": [-1, 0, 0, 1],
        "steps": [("argument", "x"), ("item of", 1)],
        "rows": [1, 0, -1],
    },
    "no end": {"paths": CHAIN, "steps": [("argument", "x"), ("item", "x")], "rows": [299, 0, -1]},
    "a fact that is none": {"facts": ["equal"]},
    "an unknown check": {"facts": [("like", 1)]},
    "a source that is none": {"facts": [("same as", 5)]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_are_none(name):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        inputs(1, **REFUSED[name])


def test_tables_are_lists():
    with pytest.raises(TypeError):
        inputs(1, paths=())
