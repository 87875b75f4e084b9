"""Clocks and Python's random numbers are read by each run: no break, the same numbers, the same state afterwards."""

import random
import time

import numpy as np
import pytest
import torch

from tests.check import BACKENDS, check, one_graph
from tracer import capture, counters, graph_break, reset

GENERATOR = random.Random(5)


def factor(x):
    return x * random.random()


def several(x):
    return (x * random.uniform(1, 2) + random.random() * 3 - 1.5, random.random())


def returned(x):
    return x + 1, random.randint(1, 9), random.randrange(7), random.randrange(2, 20, 3), [random.random() / 2]


def unused(x):
    random.random()
    return x + 1


def drawn_after_an_operator(x):
    y = x.sin()
    scale = random.random()
    return y, scale, (y * random.uniform(0, 1)).sum()


def compared(x):
    return x + 1, random.random() < 0.5


def kept_by_an_object(x):
    kept = {}
    kept["draw"] = random.random()
    kept["sum"] = kept["draw"] + 1
    return x * kept["sum"], kept


def seeded(x):
    random.seed(3)
    return x * random.random(), random.randint(0, 10**6)


PROGRAMS = [factor, several, returned, unused, drawn_after_an_operator, compared, kept_by_an_object, seeded]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_random_numbers_are_drawn_by_each_run(program, backend):
    one_graph(program, torch.arange(1.0, 4.0, requires_grad=True), calls=4, backend=BACKENDS[backend])


def test_numbers_differ_from_call_to_call():
    captured = capture(factor)
    assert len({captured(torch.ones(1)).item() for _ in range(5)}) == 5


def test_generator_of_the_program():
    def program(x, generator):
        return x * generator.random() + generator.uniform(2, 3), generator.randint(1, 5), GENERATOR.random()

    reset()
    captured = capture(program, fullgraph=True, strict=True)
    for seed in range(4):
        GENERATOR.seed(seed)
        expected = program(torch.ones(2), random.Random(seed))
        GENERATOR.seed(seed)
        observed = captured(torch.ones(2), random.Random(seed))
        assert torch.equal(expected[0], observed[0]) and expected[1:] == observed[1:]
    assert counters().captures == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_draws_before_an_error_of_the_graph(backend):
    def program(x, index):
        y = x * random.random()
        z = y[index]
        return z * random.random(), random.random()

    captured = capture(program, backend=BACKENDS[backend])
    captured(torch.ones(3), torch.tensor([0, 1]))
    states = []
    for function in (program, captured):
        random.seed(7)
        with pytest.raises((IndexError, RuntimeError)):
            function(torch.ones(3), torch.tensor([0, 9]))
        states.append(random.getstate())
    assert states[0] == states[1]


def test_draws_within_a_handler():
    def program(x, index):
        try:
            y = x[index] * random.random()
        except IndexError:
            y = x - random.random()
        return y, random.random()

    for place in (0, 9):
        check(program, torch.ones(3), torch.tensor([place]), recaptures=None)


def test_branch_on_a_draw_breaks_and_is_right():
    def program(x):
        y = x * random.random()
        if random.random() < 0.5:
            return y + 1
        return y - 1

    report = check(program, torch.ones(2), breaks=["python-random"], calls=6, recaptures=None)
    assert report.total.tracer_bugs == 0


def test_draw_that_is_needed_breaks_and_is_right():
    check(lambda x: (x + 1, f"{random.random():.3f}"), torch.ones(2), breaks=["python-random"], recaptures=None)
    check(lambda x: x * random.randint(2, 9), torch.ones(2), breaks=["python-random"], recaptures=None)
    check(lambda x: [x + 1] * random.randint(2, 4), torch.ones(2), breaks=["python-random"], recaptures=None)


def test_draws_on_both_sides_of_a_break():
    def program(x):
        first = random.random()
        y = x * first
        graph_break()
        return y + random.random(), first

    check(program, torch.ones(2), graphs=2, breaks=["explicit"])


def test_arguments_that_are_refused():
    def program(x):
        try:
            return x + random.randint(5, 1)
        except ValueError:
            return x - random.random()

    check(program, torch.ones(2), graphs=None, recaptures=None)


def test_draws_under_a_checkpoint_are_left_to_python():
    def body(x):
        return x.sin() * random.random()

    def program(x):
        return torch.utils.checkpoint.checkpoint(body, x, use_reentrant=False)

    check(program, torch.ones(2, requires_grad=True), graphs=None, recaptures=None)


@pytest.mark.parametrize("clock", [time.time, time.perf_counter, time.monotonic, time.process_time, time.time_ns])
def test_clocks_are_read_by_each_run(clock):
    def program(x):
        begun = clock()
        y = x + 1
        return y, begun, clock()

    reset()
    captured = capture(program, fullgraph=True)
    last = clock()
    for _ in range(3):
        _, begun, ended = captured(torch.ones(2))
        assert type(begun) is type(last)
        assert last <= begun <= ended <= clock()
        last = ended
    assert counters().captures == 1


def test_time_that_the_graph_takes():
    def slow(x):
        time.sleep(0.02)
        return x + 1

    def program(x, times):
        begun = time.perf_counter()
        y = x * 2
        times.append(time.perf_counter() - begun)
        times.append(time.perf_counter() - begun >= 0.02)
        return y

    def backend(module, inputs):
        return lambda *args: (slow(args[0]), module(*args))[1]

    times = []
    captured = capture(program, backend=backend, fullgraph=True)
    for _ in range(2):
        captured(torch.ones(2), times)
    assert times[0] >= 0.02 and times[2] >= 0.02 and times[1] and times[3]


def test_clock_given_to_the_graph():
    captured = capture(lambda x: x * 0 + time.time(), fullgraph=True, strict=True)
    for _ in range(2):
        before = time.time()
        assert before <= captured(torch.ones(1, dtype=torch.float64)).item() <= time.time()


def by_numpy(x):
    y = x * np.random.beta(1.0, 2.0) + np.random.rand()
    return y, np.random.randint(5), np.random.uniform(low=0, high=2), np.random.normal(size=None)


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_of_numpy_are_drawn_by_each_run(backend):
    reset()
    captured = capture(by_numpy, fullgraph=True, strict=True, backend=BACKENDS[backend])
    observed = []
    for function in (by_numpy, captured):
        np.random.seed(7)
        observed.append([function(torch.arange(1.0, 4.0, requires_grad=True)) for _ in range(3)])
        observed[-1].append(np.random.rand())
    torch.testing.assert_close(observed[1], observed[0])
    assert counters().captures == 1


def test_generators_of_numpy_are_put_back_when_the_graph_raises():
    def program(x, index):
        return x[index] * np.random.rand()

    captured = capture(program)
    captured(torch.ones(3), torch.tensor([0, 1]))
    states = []
    for function in (program, captured):
        np.random.seed(7)
        with pytest.raises((IndexError, RuntimeError)):
            function(torch.ones(3), torch.tensor([0, 9]))
        states.append(np.random.rand())
    assert states[0] == states[1]


def arrays_of_numpy(x):
    y = x[torch.from_numpy(np.random.permutation(x.shape[0]))] * np.random.uniform(0, 1)
    noise = np.random.randn(*x.shape).astype(np.float32)
    noise *= 2
    np.random.randint(0, 5, size=3)
    chosen = torch.from_numpy(np.random.choice(4, 2, replace=False))
    kept = torch.from_numpy(np.random.normal(0, 1, x.shape))
    kept.add_(1)
    return y + torch.from_numpy(noise), x.index_select(1, chosen), kept, np.random.choice(5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_of_numpy_are_drawn_by_each_run(backend):
    reset()
    captured = capture(arrays_of_numpy, fullgraph=True, strict=True, backend=BACKENDS[backend])
    observed = []
    for function in (arrays_of_numpy, captured):
        np.random.seed(7)
        observed.append([function(torch.arange(12.0, requires_grad=True).view(3, 4)) for _ in range(3)])
        observed[-1].append(np.random.rand())
    torch.testing.assert_close(observed[1], observed[0])
    assert counters().captures == 1


def test_what_numpy_is_left_to_draw():
    """Arrays from lists, numbers that a branch needs, and arguments that numpy refuses."""

    def draws(x, kind):
        if kind == 0:
            return x + torch.from_numpy(np.random.choice([1, 2, 3], 2))
        if kind == 1:
            return x + 1 if np.random.rand() < 0.5 else x - 1
        try:
            return x + np.random.beta(-1.0, 2.0)
        except ValueError:
            return x * np.random.rand()

    captured = capture(draws, strict=True)
    for kind in range(3):
        for seed in range(3):
            np.random.seed(seed)
            expected = draws(torch.ones(2), kind), np.random.rand()
            np.random.seed(seed)
            assert torch.equal(captured(torch.ones(2), kind), expected[0]) and np.random.rand() == expected[1]
