"""Iterators live on across graph breaks, and come from outside: they are read ahead and advanced behind the graph."""

import copy
from collections import OrderedDict

import pytest
import torch

from tests.check import check
from tracer import capture, counters, graph_break, reset

BACKENDS = ["eager", "aot_eager", lambda gm, inputs: gm.forward]
ITERATORS = {
    "list": lambda: iter([1, 2, 3, 4]),
    "tuple": lambda: iter((1, 2, 3, 4)),
    "range": lambda: iter(range(1, 9, 2)),
    "text": lambda: map(len, ["a", "bc", "def", "g"]),
    "reversed": lambda: reversed([4, 3, 2, 1]),
    "reversed tuple": lambda: reversed((4, 3, 2, 1)),
    "keys": lambda: iter({1: 2, 3: 4, 5: 6, 7: 8}),
    "values": lambda: iter({1: 2, 3: 4, 5: 6, 7: 8}.values()),
    "ordered": lambda: iter(OrderedDict({1: 2, 3: 4, 5: 6, 7: 8})),
    "generator": lambda: (each for each in (1, 2, 3, 4)),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ITERATORS)
def test_an_iterator_goes_on_after_a_break(name, backend):
    make = ITERATORS[name]

    def program(x):
        iterator = make()
        x = x * next(iterator)
        graph_break()
        x = x * next(iterator)
        return x * next(iterator), list(iterator)

    check(program, torch.ones(2), backend=backend, recaptures=None)


def test_the_rest_of_the_program_is_one_graph():
    def program(x):
        numbers = iter((1, 2, 3))
        pairs = enumerate(zip([4, 5, 6], {7: "a", 8: "b", 9: "c"}.items()))
        x = x * next(numbers) + next(pairs)[1][0]
        graph_break()
        for place, (number, (key, text)) in pairs:
            x = x * next(numbers) + place * number * key + len(text)
        return x

    check(program, torch.ones(2), graphs=2, breaks=["explicit"])


@pytest.mark.parametrize("count", [3, 40])
def test_a_loop_that_breaks_in_each_turn_is_captured_once(count):
    def program(x, layers):
        for layer in layers:
            x = layer(x) + 1
            graph_break()
            x = x * 2
        return x

    layers = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(count))
    reset()
    captured = capture(program, strict=True)
    x = torch.randn(3, 2)
    assert torch.equal(captured(x, layers), program(x, layers))
    assert counters().graphs == 3, counters()
    assert torch.equal(captured(x, layers), program(x, layers))
    assert counters().captures == 3


def outcomes(program, make):
    """What the plain and the captured program give for iterators of the same kind, and what those give afterwards."""
    found = []
    for function in (program, capture(program, strict=True)):
        for number in range(3):
            iterators = make(number)
            try:
                result = function(torch.ones(2), *iterators)
            except (StopIteration, RuntimeError, ValueError) as error:
                result = type(error), str(error)
            found.append((result, [[copy.copy(each)] and list(each) for each in iterators]))
    half = len(found) // 2
    for (expected, left), (result, rest) in zip(found[:half], found[half:], strict=True):
        assert left == rest
        assert torch.equal(expected, result) if isinstance(expected, torch.Tensor) else expected == result


def test_iterators_that_are_arguments():
    def program(x, iterator, pairs):
        x = x + next(iterator)
        for number, text in pairs:
            x = x * number + len(text)
        return x + next(iterator, 100)

    outcomes(program, lambda n: (iter([n, 2, 3][: n + 1]), zip(range(n), "abc")))


def test_an_iterator_that_ends():
    def program(x, iterator):
        return x + next(iterator) + next(iterator)

    outcomes(program, lambda n: (iter(range(n)),))


def test_an_iterator_in_two_places_is_one():
    def program(x, left, right):
        return x * next(left) + next(right) * next(left)

    def make(number):
        one = iter([1, 2, 3, 4, 5])
        return (one, one) if number != 1 else (one, iter([6, 7, 8]))

    outcomes(program, make)


def test_iterators_that_take_from_one():
    def program(x, pairs, inner):
        for left, right in pairs:
            return x * left + right + next(inner)
        return x

    def make(number):
        one = iter([1, 2, 3, 4, 5])
        return (zip(one, one), one if number % 2 else iter([8, 9]))

    outcomes(program, make)


def test_what_an_iterator_is_over_changes():
    def program(x, items, iterator):
        x = x + next(iterator)
        items.append(7)
        x = x * next(iterator)
        items.pop(0)
        return x + sum(iterator)

    for function in (program, capture(program, strict=True)):
        items = [1, 2, 3]
        assert torch.equal(function(torch.ones(2), items, iter(items)), torch.full((2,), 11.0))
        assert items == [2, 3, 7]

    def table(x, items, iterator):
        x = x + next(iterator)
        items[5] = 6
        return x + next(iterator)

    for function in (table, capture(table, strict=True)):
        items = {1: 2, 3: 4}
        with pytest.raises(RuntimeError, match="dictionary changed size during iteration"):
            function(torch.ones(2), items, iter(items))


def test_the_items_are_the_objects_themselves():
    def program(x, items, iterator):
        first = next(iterator)
        first.append(x)
        return first is items[0], next(iterator)

    captured = capture(program, strict=True, fullgraph=True)
    for _ in range(2):
        items = [[], []]
        same, second = captured(torch.ones(2), items, iter(items))
        assert same and second is items[1] and len(items[0]) == 1


def test_an_iterator_of_an_object():
    class Feed:
        def __init__(self):
            self.batches = iter([torch.ones(2), torch.zeros(2), torch.full((2,), 3.0)])

        def step(self, x):
            return x + next(self.batches)

    feed, plain = Feed(), Feed()
    captured = capture(feed.step, strict=True, fullgraph=True)
    for _ in range(3):
        assert torch.equal(captured(torch.ones(2)), plain.step(torch.ones(2)))
    with pytest.raises(StopIteration):
        capture(feed.step)(torch.ones(2))
