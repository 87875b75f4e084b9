"""Captures that a program saves and loads itself."""

import pytest
import torch

import tracer
from tests.check import check  # noqa: F401 - registers what every test of captures needs
from tests.stored import files, forget, kinds
from tests.test_store_breaks import in_callee, in_loop

SCALE = 3


def scaled(x, by=2):
    return x * by * SCALE


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def save(self):
        return "the model's own"

    def forward(self, x):
        return torch.relu(self.linear(x))


def test_what_was_saved_is_loaded_by_the_first_call_that_it_fits(tmp_path):
    program = tracer.capture(scaled)
    program(torch.ones(2))
    program(torch.ones(2), by=5.0)
    assert program.save(tmp_path / "made") == 2 == program.save(tmp_path / "made")
    forget()
    program = tracer.capture(scaled)
    assert program.load(tmp_path / "made") == 2 and not program.entries
    assert torch.equal(program(torch.ones(2), by=5.0), torch.full((2,), 15.0))
    assert kinds() == ["loaded"]
    assert torch.equal(program(torch.ones(2, dtype=torch.float64)), torch.full((2,), 6.0, dtype=torch.float64))
    assert kinds() == ["loaded", "capture"] and len(files(tmp_path / "made")) == 2


@pytest.mark.parametrize("function", [in_loop, in_callee], ids=lambda each: each.__name__)
def test_the_rest_of_a_function_and_what_it_calls_are_saved_with_it(function, tmp_path):
    program = tracer.capture(function)
    result = program(torch.ones(2))
    program.save(tmp_path)
    forget()
    program = tracer.capture(function)
    program.load(tmp_path)
    assert torch.equal(program(torch.ones(2)), result) and set(kinds()) == {"loaded"}


def test_what_was_loaded_can_be_saved(tmp_path):
    for program in (in_loop, scaled):
        captured = tracer.capture(program, cache=tmp_path / "first")
        captured(torch.ones(2))
        forget()
        captured = tracer.capture(program, cache=tmp_path / "first")
        captured(torch.ones(2))
        captured.save(tmp_path / "second")
        forget()
        captured = tracer.capture(program)
        captured.load(tmp_path / "second")
        assert torch.equal(captured(torch.ones(2)), program(torch.ones(2))) and set(kinds()) == {"loaded"}
        forget()


def test_a_global_of_another_value_is_a_miss(tmp_path, monkeypatch):
    program = tracer.capture(scaled)
    program(torch.ones(2))
    program.save(tmp_path)
    forget()
    monkeypatch.setitem(globals(), "SCALE", 4)
    program = tracer.capture(scaled)
    program.load(tmp_path)
    assert torch.equal(program(torch.ones(2)), torch.full((2,), 8.0)) and kinds() == ["capture"]


def test_other_options_find_nothing(tmp_path):
    program = tracer.capture(scaled)
    program(torch.ones(2))
    program.save(tmp_path)
    assert tracer.capture(scaled, backend="aot_eager").load(tmp_path) == 0
    assert tracer.capture(scaled, dynamic=True).load(tmp_path) == 0
    assert tracer.capture(scaled).load(tmp_path) == 1


def test_a_module_keeps_attributes_of_these_names(tmp_path):
    x = torch.randn(2, 4)
    model = Model()
    captured = tracer.capture(model)
    captured(x)
    assert captured.save() == "the model's own"
    assert tracer.save_captures(captured, tmp_path) == 1
    forget()
    captured = tracer.capture(model)
    assert tracer.load_captures(captured, tmp_path) == 1
    assert torch.equal(captured(x), model(x)) and kinds() == ["loaded"]


def test_what_cannot_be(tmp_path):
    program = tracer.capture(scaled)
    assert program.save(tmp_path / "empty") == 0
    with pytest.raises(NotADirectoryError):
        program.load(tmp_path / "nowhere")
    with pytest.raises(TypeError, match="is not captured"):
        tracer.save_captures(scaled, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        program.save(tmp_path / "file")
