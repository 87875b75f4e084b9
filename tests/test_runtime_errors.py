"""Operators that refuse their data only when the graph runs: who sees the error, and in which state."""

import pytest
import torch

from tests.check import check
from tracer import capture, counters

WEIGHT = torch.arange(12.0).reshape(4, 3)


def read_row(index: torch.Tensor, log: list[str]) -> torch.Tensor:
    log.append("asked")
    try:
        row = WEIGHT[index] * 2
    except IndexError as error:
        log.append(type(error).__name__)
        return torch.zeros(3)
    finally:
        log.append("done")
    return row


def test_the_programs_own_handler_decides():
    report = check(read_row, torch.tensor([1]), [], graphs=1, breaks=[])
    log: list[str] = []
    result = report.captured(torch.tensor([9]), log)
    assert torch.equal(result, torch.zeros(3))
    assert log == ["asked", "IndexError", "done"]


def test_error_without_a_handler_is_the_operators_own_with_the_users_line():
    captured = capture(lambda index: WEIGHT[index] * 2, strict=True)
    captured(torch.tensor([1]))
    with pytest.raises(IndexError, match="out of bounds") as raised:
        captured(torch.tensor([9]))
    assert any("test_runtime_errors.py" in note for note in raised.value.__notes__)
    assert counters().captures == 1


def test_modes_are_put_back():
    def program(index):
        with torch.no_grad():
            return WEIGHT[index].bernoulli_(0.5)

    captured = capture(program, strict=True)
    captured(torch.tensor([1]))
    assert torch.is_grad_enabled()
    with pytest.raises(IndexError):
        captured(torch.tensor([9]))
    assert torch.is_grad_enabled()


def test_effects_before_the_error_are_not_repeated():
    class Meter:
        def __init__(self):
            self.count = 0

    def program(meter, index):
        meter.count += 1
        try:
            return WEIGHT[index] + meter.count
        except IndexError:
            return torch.full((3,), float(meter.count))

    meter = Meter()
    captured = capture(program, strict=True)
    captured(meter, torch.tensor([0]))
    assert meter.count == 1
    assert torch.equal(captured(meter, torch.tensor([7])), torch.full((3,), 2.0))
    assert meter.count == 2
