"""What is set of gradients and autocast when an operator of a graph raises and nothing handles that."""

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import graph_break


def behind_a_block_with_a_break(x, y):
    with torch.no_grad():
        x.add_(1)
        graph_break()
    x.index_add_(0, torch.tensor([0]), y)
    return x


def behind_two_blocks(x, y):
    with torch.no_grad():
        with torch.enable_grad():
            x.add_(1)
            graph_break()
        x.add_(1)
    x.add_(1)
    return x.index_add_(0, torch.tensor([0]), y)


def inside_a_block(x, y):
    with torch.no_grad():
        x.add_(1)
        graph_break()
        x.index_add_(0, torch.tensor([0]), y)
    return x


def behind_a_setter(x, y):
    x.add_(1)
    torch.set_grad_enabled(False)
    x.index_add_(0, torch.tensor([0]), y)
    return x


def in_front_of_a_setter(x, y):
    x.add_(1)
    x.index_add_(0, torch.tensor([0]), y)
    torch.set_grad_enabled(False)
    return x


def behind_a_callee(x, y):
    @torch.no_grad()
    def callee():
        x.add_(1)
        graph_break()
        return x.mul_(2)

    callee().index_add_(0, torch.tensor([0]), y)


def in_autocast(x, y):
    with torch.autocast("cpu"):
        x.add_(1)
        graph_break()
    x.index_add_(0, torch.tensor([0]), y)
    return torch.is_autocast_enabled("cpu")


PROGRAMS = [behind_a_block_with_a_break, behind_two_blocks, inside_a_block, behind_a_setter, in_front_of_a_setter]
PROGRAMS += [behind_a_callee, in_autocast]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_modes_are_those_that_the_error_leaves(program, backend):
    before = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
    check(program, torch.zeros(2, 2), torch.ones(2, 2), backend=BACKENDS[backend], recaptures=None)
    check(program, torch.zeros(2, 2), torch.ones(2, 2, requires_grad=True), backend=BACKENDS[backend], recaptures=None)
    assert (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")) == before
