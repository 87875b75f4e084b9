"""Branches on data of which one way only raises: an assertion in the graph, and the program's own error if it fails.

Where somebody waits for the error, or the graph could not be left, the branch is a break.

PYTEST_DONT_REWRITE: pytest would make other statements of the asserts in the programs.
"""

import pytest
import torch

from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, reset

limit = 50.0


def asserts(x):
    assert x.isfinite().all(), f"{x.shape} is not finite"
    assert not (x > limit).any()
    return x * 2


def asserts_both(x):
    assert x.min() > -limit and x.max() < limit
    return x + 1


def raises_errors(x):
    if x.isnan().any() or x.max() > limit:
        raise ValueError(f"more than {limit}")
    y = x + 1
    if not (y > -limit).all():
        message = "too small" if limit > 0 else "too large"
        raise RuntimeError(message)
    return y


def calls_torch(x):
    torch._assert(x.sum() < limit, "the sum is large")
    return x.sin()


def after_a_change(x):
    seen.append(x + 1)
    assert x.max() < limit
    return x * 2, len(seen)


def of_numbers(x):
    count = x.argmax().item()
    assert count != 1, "never the second"
    if count > 2:
        raise ValueError(count)
    return x[count:].sum() + count


seen = []
WHOLE = (asserts, asserts_both, raises_errors, calls_torch, after_a_change, of_numbers)
GOOD, LARGE, UNKNOWN = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([3.0, 99.0, -99.0]), torch.full((3,), torch.nan)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", WHOLE, ids=lambda program: program.__name__)
def test_an_assertion_is_part_of_the_graph(program, backend):
    one_graph(program, GOOD.clone(), fullgraph=True, backend=BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [LARGE, UNKNOWN], ids=["large", "unknown"])
@pytest.mark.parametrize("program", WHOLE[:-1], ids=lambda program: program.__name__)
def test_the_error_is_that_of_the_program(program, bad, backend):
    reset()
    captured = capture(program, backend=BACKENDS[backend], strict=True)
    for value in (GOOD, bad, GOOD, bad):
        seen.clear()
        try:
            expected = program(value.clone()), len(seen)
        except Exception as error:
            expected = type(error), str(error), len(seen)
        seen.clear()
        try:
            observed = captured(value.clone()), len(seen)
        except Exception as error:
            observed = type(error), str(error), len(seen)
        if isinstance(expected[0], type):
            assert observed == expected
        else:
            assert observed[1] == expected[1]
    assert counters().graphs == 1
    assert counters().tracer_bugs == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_where_the_program_handles_the_error_the_branch_is_a_break(backend):
    def program(x):
        try:
            if x.sum() > 0:
                raise ValueError
        except ValueError:
            return x
        return x + 1

    for x in (torch.ones(2), -torch.ones(2)):
        check(program, x, breaks=["data-dependent-jump"], backend=BACKENDS[backend])


def test_an_exception_that_ends_a_loop_is_no_error():
    class Halving:
        def __init__(self, x):
            self.x = x

        def __iter__(self):
            return self

        def __next__(self):
            self.x = self.x / 2
            if self.x.max() < 1:
                raise StopIteration
            return self.x

    def program(x):
        return [y + 1 for y in Halving(x)]

    report = check(program, torch.full((2,), 4.0))
    assert "data-dependent-jump" in report.first.breaks


@pytest.mark.parametrize("backend", BACKENDS)
def test_behind_a_write_that_lasts_the_branch_is_a_break(backend):
    def program(x):
        x.mul_(2)
        assert x.max() < limit
        return x + 1

    check(program, GOOD.clone(), breaks=["data-dependent-jump"], backend=BACKENDS[backend])
    check(program, LARGE.clone(), backend=BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_write_behind_an_assertion_is_not_made_when_it_fails(backend):
    def program(x, y):
        assert x.max() < limit
        y.mul_(2)
        return x + y

    one_graph(program, GOOD.clone(), torch.ones(3), backend=BACKENDS[backend])
    check(program, LARGE.clone(), torch.ones(3), backend=BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
def test_random_numbers_are_drawn_once(backend):
    def program(x):
        noise = torch.rand(3)
        assert x.max() < limit, noise.sum().item()
        return x + noise

    one_graph(program, GOOD.clone(), backend=BACKENDS[backend])
    check(program, LARGE.clone(), backend=BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_pass_an_assertion(backend):
    def program(x):
        y = x * 2
        assert (y < limit).all()
        return (y * y).sum()

    one_graph(program, GOOD.clone().requires_grad_(), backend=BACKENDS[backend])
