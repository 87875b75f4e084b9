"""Tuples, slices and sizes that a program makes are one object wherever it has them, also behind a break."""

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture, graph_break


def two_locals(x):
    pair = again = (x + 1, 2)
    graph_break()
    return pair is again, pair


def local_and_list(x):
    pair = (x + 1, 2)
    pairs = [pair, pair, (pair[0], 2)]
    graph_break()
    return pairs[0] is pairs[1], pairs[0] is pair, pairs[0] is pairs[2], pairs


def inner_tuple(x):
    nested = (x + 1, (x, len, (x, 3)))
    inner, innermost = nested[1], nested[1][2]
    graph_break()
    return nested[1] is inner, inner[2] is innermost, nested


def local_and_stack(x):
    pair = (x + 1, 2)
    return [pair, graph_break(), pair][0] is pair


def keys_and_items(x):
    pair = (x + 1, 2)
    table = {1: pair, pair: (pair, pair)}
    graph_break()
    inner = table[pair]
    return table[1] is pair, inner[0] is inner[1], inner[0] is pair, list(table)[1] is pair


def bounds(x):
    part = again = slice(x.sum(), len(x))
    constant = other = slice(1, 2)
    graph_break()
    return part is again, constant is other, part is constant, slice(1, 2) is constant, x[constant]


def functions_only(x):
    pair = again = (len, max)
    x = x + 1
    graph_break()
    return pair is again, x


def size(x):
    shape = again = x.shape
    other = torch.Size((x.shape[0] + 1, 2))
    third = other
    graph_break()
    return shape is again, other is third, other is shape, x + 1


def attribute_and_closure(x):
    class Holder:
        pass

    pair = (x + 1, 2)
    Holder.pair = holder = pair
    graph_break()
    return (lambda: pair)() is Holder.pair, holder is pair


def around_itself(x):
    items = []
    pair = (items, x + 1)
    items.append(pair)
    graph_break()
    return items[0] is pair, pair[0] is items


def equal_numbers(x):
    n = len(x)
    largest = 123456789
    first, second, third = 1000 * n, 1000 * n, 123456789
    part, other = (float(n) * 3, first), (float(n) * 3, second)
    text = str(n) + "0"
    graph_break()
    same = part[0] is other[0], part[1] is first, first is second, third is largest, text is str(n) + "0"
    return same, x + 1


PROGRAMS = [
    two_locals,
    local_and_list,
    inner_tuple,
    local_and_stack,
    keys_and_items,
    bounds,
    functions_only,
    size,
]
PROGRAMS += [equal_numbers, attribute_and_closure, around_itself]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_object_behind_a_break(program, backend):
    check(program, torch.ones(3, 2), backend=BACKENDS[backend], recaptures=None)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_object_among_the_results_and_what_a_program_changes(backend):
    def program(x, kept):
        pair = (x + 1, 2)
        part = slice(x.sum(), 2)
        kept.append(pair)
        return pair, [pair, part], part

    captured = capture(program, backend=BACKENDS[backend])
    for _ in range(2):
        kept = []
        pair, (again, part), other = captured(torch.ones(2), kept)
        assert pair is again is kept[0]
        assert part is other


@pytest.mark.parametrize("dynamic", [None, True])
def test_sizes_that_vary_are_one_object(dynamic):
    def program(x):
        size = torch.Size((x.shape[0] * 2, 3))
        return size, (size, x + 1)

    captured = capture(program, dynamic=dynamic)
    for length in (4, 5, 6):
        size, (again, _) = captured(torch.ones(length))
        assert size is again
        assert size == (2 * length, 3)


@pytest.mark.parametrize(
    "make", [lambda: tuple([1, 2]), lambda: slice(1, 2), lambda: slice(torch.ones(2), 1), lambda: tuple([max])]
)
def test_whether_two_from_outside_are_one_is_guarded(make):
    def program(x, one, other):
        return x + 1, one is other, one is not other

    captured = capture(program, strict=True)
    one, other = make(), make()
    for pair in ((one, one), (one, other), (other, other), (other, one)):
        assert captured(torch.ones(2), *pair)[1:] == program(torch.ones(2), *pair)[1:]


def test_what_is_mentioned_once_is_written_where_it_is_mentioned():
    def program(x, kept):
        kept["items"] = (x + 1, "\x01items 0\x02 items")
        return (x, slice(x, 2)), (x + 1, 3)

    captured = capture(program)
    result = captured(torch.ones(2), kept := {})
    assert kept["items"][1] == "\x01items 0\x02 items"
    assert result[0][1].stop == 2
    assert " = (" not in captured.entries[0].program
