"""Numbers that one function reads from tensors and that another needs: the break is where the first is called."""

import pytest
import torch

from tests.check import BACKENDS, check


def count(edges):
    return int(edges.max()) + 1


def ordered(edges, nodes):
    if nodes * nodes > 1000:
        return edges[0] * 0
    return (edges[0] * nodes + edges[1]).sort()[0]


def needed_twice(edges, seen):
    nodes = count(edges)
    return ordered(edges, nodes) + ordered(edges.flip(0), nodes)


def behind_operators(edges, seen):
    edges = edges * 1
    nodes = count(edges)
    edges = edges + 1
    seen.append(2)
    return ordered(edges, nodes) + ordered(edges.flip(0), nodes)


def read_and_needed_in_one(edges, seen):
    edges = edges * 2
    seen.append(1)

    def both():
        return ordered(edges, count(edges))

    return both() + 1


def needed_in_another_turn(edges, seen):
    nodes = 1
    total = edges[0] * 0
    for turn in range(3):
        total = total + ordered(edges, nodes)
        nodes = count(edges + turn)
        seen.append(turn)
    return total


PROGRAMS = {needed_twice: 2, behind_operators: 3, read_and_needed_in_one: None, needed_in_another_turn: None}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_needs_the_number_is_inlined(program, backend):
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    check(program, edges, [], backend=BACKENDS[backend], graphs=PROGRAMS[program], recaptures=None)


def test_the_break_is_the_call_that_reads():
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    check(needed_twice, edges, [], graphs=2, breaks=["data-to-python"], recaptures=None)
    check(needed_twice, edges * 30, [], graphs=2, breaks=["data-to-python"], recaptures=None)
