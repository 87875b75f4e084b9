"""Programs that take another way while they are compiled, in which they raise an error that they do not plainly."""

import pytest
import torch

from tests.check import BACKENDS, check
from tracer import capture, explain, is_capturing


def masked(x, mask=None):
    if mask is None and not torch.compiler.is_compiling():
        mask = torch.ones(x.shape)
    return x * mask.shape[0] + 1


def in_a_callee(x, seen):
    seen.append(1)
    return masked(x * 2) + 1


def by_a_raise(x, seen):
    x = x + 1
    if torch.compiler.is_compiling():
        raise NotImplementedError("compiled")
    seen.append(1)
    return x * 2


def by_an_operator(x, seen):
    shape = (3,) if torch.compiler.is_compiling() else (4,)
    seen.append(1)
    return (x + 1).view(shape) * 2


def with_another_function(x, seen):
    if torch._dynamo.external_utils.is_compiling():
        return x.missing
    return masked(x, x)


def with_a_question_of_ours(x, seen):
    if is_capturing():
        raise NotImplementedError
    return x * 2


PROGRAMS = [with_a_question_of_ours, in_a_callee, by_a_raise, by_an_operator, with_another_function]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_plain_way_is_taken(program, backend):
    check(program, torch.ones(2, 2), [], backend=BACKENDS[backend], recaptures=None)
    check(program, torch.ones(2, 2, requires_grad=True), [], backend=BACKENDS[backend], recaptures=None)


def test_an_error_that_is_handled_is_no_reason():
    def program(x):
        try:
            return masked(x)
        except AttributeError:
            return x - 1

    captured = capture(program, backend="eager")
    assert torch.equal(captured(torch.ones(2)), torch.zeros(2))
    assert explain(captured, torch.ones(2)).graphs == 1
