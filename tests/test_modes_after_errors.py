"""What is set of gradients and autocast when an operator of a graph raises and nothing handles that."""

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture, graph_break


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


class Counted:
    count = 0


MANAGERS = {
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "a setter": lambda: torch.set_grad_enabled(False),
    "autocast": lambda: torch.autocast("cpu"),
}


def settings():
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("name", MANAGERS)
@pytest.mark.parametrize("breaks", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_entered_in_front_of_a_break_is_left_by_an_error_behind_it(name, breaks, backend):
    """The tensors overlap from the second call on, which the operator refuses after another write."""

    def program(counted, x, y):
        counted.count += 1
        with MANAGERS[name]():
            if breaks:
                graph_break()
            x.add_(1)
            x.T.add_(y)
        return x

    captured, left = capture(program, backend=BACKENDS[backend]), []
    x = torch.ones(2, 2)
    for other in (torch.ones(2, 2), x, x, torch.ones(2, 2)):
        for function in (program, captured):
            counted, before = Counted(), settings()
            x.fill_(1)
            try:
                outcome = function(counted, x, other).tolist()
            except RuntimeError as error:
                outcome = error  # which keeps the frames, and in them what was entered
            left.append((str(outcome).partition("raised by")[0].strip(), counted.count, x.tolist(), settings()))
            assert settings() == before
        assert left[-2] == left[-1]
