"""Operators that refuse their data only when the graph runs: who sees the error, and in which state."""

import operator

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


REFUSED_WRITES = {
    "too long": lambda x: x.add_(torch.ones(4)),
    "too many dimensions": lambda x: x.mul_(torch.ones(3, 2, 2)),
    "operator": lambda x: operator.isub(x, torch.ones(2, 3)),
    "copy": lambda x: x.copy_(torch.ones(3)),
    "item": lambda x: x.__setitem__(0, torch.ones(2, 2)),
    "slice": lambda x: x.__setitem__(slice(1), torch.ones(3)),
    "view": lambda x: x[0].clamp_(torch.zeros(3)),
    "no write": lambda x: x.add_(torch.ones(1, 2)),
    "leaf": lambda x: x.add_(1),
    "view of a leaf": lambda x: x[0].add_(1),
}


@pytest.mark.parametrize("state", ["constant", "leaf", "intermediate"])
@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, _: module.forward])
@pytest.mark.parametrize("write", REFUSED_WRITES.values(), ids=REFUSED_WRITES)
def test_a_refused_write_reaches_its_handler(write, backend, state):
    def program(x, log):
        log.append("before")
        try:
            write(x)
        except (RuntimeError, IndexError) as error:
            log.append(type(error).__name__)
            return x + 5
        return x * 2

    def make():
        x = torch.ones(2, 2, requires_grad=state != "constant")
        return (x * 2 if state == "intermediate" else x), []

    check(program, make=make, backend=backend, recaptures=None)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_write_is_refused_for_a_leaf_on_a_later_call(backend):
    def program(x):
        try:
            return x.mul_(3) * 2
        except RuntimeError:
            return x + 4

    captured = capture(program, backend=backend, strict=True)
    leaf = torch.ones(2, requires_grad=True)
    for x in (leaf * 1, leaf, leaf * 1):
        assert captured(x).tolist() == ([5.0, 5.0] if x is leaf else [6.0, 6.0])
    assert leaf.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("key", ["power", "add", "set", "full"])
def test_numbers_that_no_tensor_holds_are_refused_where_they_are_used(key):
    """What was changed before is changed, as in the plain run, and a result that nobody uses is refused, too."""
    notes = []
    operators = {
        "power": lambda x, n: x**n,
        "add": lambda x, n: x.add_(n),
        "set": lambda x, n: x.__setitem__(0, n),
        "full": lambda x, n: torch.full((2,), n),
    }
    operator = operators[key]

    def program(x, n):
        notes.append(1)
        operator(x, n)
        notes.append(2)
        return 1

    for backend in ("eager", "aot_eager", lambda module, inputs: module.forward):
        captured = capture(program, backend=backend)
        for number in (3, 2**70, 3, -(2**70)):
            outcomes = []
            for function in (program, captured):
                notes.clear()
                try:
                    outcomes.append((function(torch.ones(2), number), list(notes)))
                except (RuntimeError, OverflowError, ValueError) as error:
                    outcomes.append((type(error), list(notes)))
            assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(
    "call",
    [lambda x, y: x @ y, torch.mm, lambda x, y: torch.nn.functional.linear(x, y), lambda x, y: torch.dot(x[0], y[0])],
    ids=["operator", "mm", "linear", "dot"],
)
def test_types_that_a_kernel_refuses_are_an_error_though_nobody_uses_the_result(call, backend, dynamic):
    def program(x, y):
        call(x, y)
        return y + 1

    captured = capture(program, backend=backend, dynamic=dynamic)
    for rows in (2, 3, 2):
        with pytest.raises(RuntimeError, match="dtype|same"):
            captured(torch.ones(rows, rows), torch.ones(rows, rows, dtype=torch.float64))
    assert torch.equal(captured(torch.ones(2, 2), torch.ones(2, 2)), torch.full((2, 2), 2.0))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "forward"])
@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.exponential_(),
        lambda x: x.normal_(),
        lambda x: (x.sum() + torch.zeros(1, 2)).expand(2, 2).exponential_(),
        lambda x: x[0].uniform_(),
    ],
    ids=["exponential", "normal", "result", "row"],
)
def test_a_write_to_a_tensor_that_overlaps_itself_is_refused_in_its_kernels_words(write, backend):
    outcomes = []
    for function in (write, capture(write, backend=(lambda gm, _: gm.forward) if backend == "forward" else backend)):
        torch.manual_seed(0)
        try:
            outcomes.append(function(torch.ones(1, 2).expand(2, 2)).tolist())
        except RuntimeError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
