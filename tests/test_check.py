"""The test helper itself: what it must notice, and what it must not complain of."""

import functools
import math

import pytest
import torch

from tests import check as helper
from tests.check import check, tensors_in
from tests.same import differences


class Point:
    """An instance with attributes."""

    def __init__(self, x: object, y: object) -> None:
        self.x, self.y = x, y


class Slotted:
    """An instance without a dictionary."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def shared_twice() -> list[object]:
    inner: list[int] = [1]
    return [inner, inner]


def tensor_with_grad() -> torch.Tensor:
    tensor = torch.ones(2, requires_grad=True)
    tensor.grad = torch.ones(2)
    return tensor


def closure_over(value: object) -> object:
    return lambda: value


ALIKE = {
    "NaN": lambda: float("nan"),
    "tensor of NaN": lambda: torch.full((2,), math.nan),
    "shared list": shared_twice,
    "cycle": lambda: (lambda items: items.append(items) or items)([]),
    "instance": lambda: Point([1], {"a": (2.0, None)}),
    "slots": lambda: Slotted(torch.ones(1)),
    "function": lambda: closure_over([1, 2]),
    "iterator": lambda: iter([1, 2, 3]),
    "module": lambda: torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).eval(),
    "partial": lambda: functools.partial(max, 1, key=abs),
    "exception": lambda: ValueError("a", [1]),
    "conjugate": lambda: torch.tensor([1 + 2j]).conj(),
    "empty": lambda: torch.empty(0, 3),
}

UNLIKE = {
    "int and bool": (1, True),
    "zeros of two signs": (0.0, -0.0),
    "list and tuple": ([1], (1,)),
    "element": ([1, 2], [1, 3]),
    "length": ([1], [1, 2]),
    "order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "set": ({1, 2}, {1, 3}),
    "attribute": (Point(1, 2), Point(1, 3)),
    "slot": (Slotted(1), Slotted(2)),
    "aliasing": (shared_twice(), [[1], [1]]),
    "closure": (closure_over(1), closure_over(2)),
    "message": (ValueError("a"), ValueError("b")),
    "exception": (ValueError("a"), TypeError("a")),
    "dtype": (torch.ones(2), torch.ones(2).double()),
    "stride": (torch.ones(2, 2), torch.ones(2, 2).t()),
    "requires_grad": (torch.ones(2), torch.ones(2, requires_grad=True)),
    "grad": (torch.ones(2, requires_grad=True), tensor_with_grad()),
    "elements": (torch.zeros(2), torch.tensor([0.0, -0.0])),
    "class of tensor": (torch.ones(2), torch.nn.Parameter(torch.ones(2), requires_grad=False)),
    "grad_fn": (tensor_with_grad() * 2, tensor_with_grad() + 1),
    "position of an iterator": (iter([1, 2]), iter([2])),
}


@pytest.mark.parametrize("build", ALIKE.values(), ids=ALIKE)
def test_equal_objects_have_no_differences(build):
    torch.manual_seed(0)
    left = build()
    torch.manual_seed(0)
    assert differences(left, build()) == []


@pytest.mark.parametrize("pair", UNLIKE.values(), ids=UNLIKE)
def test_each_difference_is_noticed_in_both_directions(pair):
    left, right = pair
    assert differences(left, right)
    assert differences(right, left)


def test_shared_memory_is_part_of_the_structure():
    base, other = torch.zeros(4), torch.zeros(4)
    assert differences((base, base[:2]), (other, other[:2])) == []
    assert differences((base, base[:2]), (other, torch.zeros(2)))
    assert differences((base, torch.zeros(2)), (other, other[:2]))


@pytest.mark.parametrize(
    "plain, captured, words",
    [
        (
            torch.zeros(2, 3),
            torch.tensor([[0.0, 0, 1], [0, -2, 0]]),
            "2 of 6 differ, by at most 2; the first: plain 0.0",
        ),
        (
            torch.tensor([math.nan, 1]),
            torch.ones(2),
            "1 of 2 differ, by at most nan; the first: plain nan, captured 1.0",
        ),
        (torch.zeros(1), -torch.zeros(1), "1 of 1 differ, by at most 0; the first: plain 0.0, captured -0.0"),
        (torch.tensor([True]), torch.tensor([False]), "1 of 1 differ, by at most 1; the first: plain True"),
        (torch.tensor([1j]), torch.tensor([-1j]), "1 of 1 differ, by at most 2; the first: plain 1j"),
        (torch.ones(2).to_sparse(), torch.ones(2).to_sparse() * 3, "2 of 2 differ, by at most 2; the first: plain 1.0"),
    ],
)
def test_elements_that_differ_are_told_by_how_many_and_by_how_much(plain, captured, words):
    (difference,) = differences(plain, captured)
    assert difference.startswith(f"outcome: elements: {words}")


def test_difference_says_where():
    (difference,) = differences({"a": [1, Point(2, 3)]}, {"a": [1, Point(2, 4)]})
    assert difference == "outcome['a'][1].y: value: plain 3, captured 4"


def test_tensors_are_found_once_each():
    tensor = torch.ones(1)
    assert list(tensors_in({"a": [tensor, (tensor,)], "b": Point(tensor, 1)})) == [tensor]


def capture_as(wrong):
    """A stand-in for `capture` that gives every program this implementation."""

    def pretend(program, **options):
        return lambda *args: wrong(*args)

    return pretend


COUNT = [0]


def test_check_notices_a_wrong_result(monkeypatch):
    monkeypatch.setattr(helper, "capture", capture_as(lambda x: x + 2))
    with pytest.raises(AssertionError, match="elements"):
        check(lambda x: x + 1, torch.ones(2), recaptures=None)


def test_check_notices_a_missing_mutation(monkeypatch):
    monkeypatch.setattr(helper, "capture", capture_as(lambda items: None))
    with pytest.raises(AssertionError, match="arguments"):
        check(lambda items: items.append(1), [], recaptures=None)


def test_check_notices_a_missing_change_of_a_global(monkeypatch):
    def program(x):
        COUNT[0] += 1
        return x

    monkeypatch.setattr(helper, "capture", capture_as(lambda x: x))
    with pytest.raises(AssertionError, match="global COUNT"):
        check(program, torch.ones(2), recaptures=None)
    assert COUNT == [0]


def test_check_notices_a_missing_change_of_a_closure(monkeypatch):
    calls = 0

    def program(x):
        nonlocal calls
        calls += 1
        return x

    monkeypatch.setattr(helper, "capture", capture_as(lambda x: x))
    with pytest.raises(AssertionError, match="cell calls"):
        check(program, torch.ones(2), recaptures=None)
    assert calls == 0


def test_check_notices_another_exception(monkeypatch):
    def program(x):
        raise ValueError("plain")

    def wrong(x):
        raise ValueError("captured")

    monkeypatch.setattr(helper, "capture", capture_as(wrong))
    with pytest.raises(AssertionError, match="message"):
        check(program, torch.ones(2), recaptures=None)


def test_check_notices_missing_gradients(monkeypatch):
    monkeypatch.setattr(helper, "capture", capture_as(lambda x: (x.detach() * 2).requires_grad_()))
    with pytest.raises(AssertionError, match="grad"):
        check(lambda x: x * 2, torch.ones(2, requires_grad=True), recaptures=None)


def test_check_notices_random_numbers_not_drawn(monkeypatch):
    monkeypatch.setattr(helper, "capture", capture_as(lambda x: x.clone()))
    with pytest.raises(AssertionError, match="torch_random"):
        check(lambda x: (torch.rand(1), x.clone())[1], torch.ones(2), recaptures=None)


def test_check_notices_output_not_printed(monkeypatch):
    monkeypatch.setattr(helper, "capture", capture_as(lambda x: None))
    with pytest.raises(AssertionError, match="output"):
        check(print, "hello", recaptures=None)


def test_check_notices_that_nothing_was_captured(monkeypatch):
    monkeypatch.setattr(helper, "capture", lambda program, **options: program)
    with pytest.raises(AssertionError, match="0 graphs, expected 1"):
        check(lambda x: x + 1, torch.ones(2), graphs=1, recaptures=None)
