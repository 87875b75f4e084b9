"""functools.lru_cache is a cache: results, their identity, statistics, order and errors are those of the plain run."""

import functools

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, reset

scale = 2
seen = []


@functools.lru_cache
def noise(n):
    return torch.randn(n)


@functools.lru_cache
def journal(name):
    return [name]


@functools.lru_cache
def scaled(n, *, times=1):
    return n * scale * times


@functools.lru_cache(typed=True)
def typed(n):
    return n + 1


@functools.lru_cache(maxsize=2)
def small(n):
    seen.append(n)
    return n * 10


@functools.cache
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@functools.lru_cache
def failing(n):
    seen.append(n)
    raise ValueError(n)


@functools.lru_cache(maxsize=0)
def never_kept(n):
    seen.append(n)
    return n


@functools.lru_cache
def weighted(x, n):
    seen.append(n)
    return x * n


@functools.lru_cache
def table(name):
    return {"name": name}


class Recipe:
    def __init__(self, axes):
        self.axes = list(axes)
        self.groups = {axis: [place] for place, axis in enumerate(axes)}


@functools.lru_cache(16)
def recipe(pattern):
    return Recipe(pattern.split())


@functools.lru_cache(16)
def shapes(plan, size):
    return [size, len(plan.axes)], parts(size)


@functools.lru_cache
def parts(n):
    return [n] * n


class Layer(torch.nn.Module):
    @functools.lru_cache  # noqa: B019
    def mask(self, n):
        return torch.ones(n) * scale

    def forward(self, x):
        return x * self.mask(2)


class Holder:
    def __init__(self):
        self.computed = 0

    @functools.cached_property
    def value(self):
        self.computed += 1
        return [self.computed]


CACHES = (noise, journal, scaled, typed, small, fibonacci, failing, never_kept, weighted, table, Layer.mask)
CACHES += (recipe, shapes, parts)
layer, holder = Layer(), Holder()
kept = torch.ones(2)


def program_of_tensors(x):
    journal("a").append(1)
    return x + noise(2), len(journal("a")), journal("a") is journal("a")


def program_of_numbers(x):
    return x * scaled(2) * scaled(3, times=2), scaled(2)


def program_of_equal_keys(x):
    return x + 1, scaled(1), scaled(1.0), scaled(True), typed(1), typed(1.0), typed(True)


def program_that_evicts(x):
    return x + small(1), small(2), small(1), small(3), small(2), small(1)


def program_that_recurses(x):
    return x * fibonacci(10), fibonacci(9)


def program_that_fails(x):
    try:
        failing(1)
    except ValueError as error:
        return x + 1, error.args
    return x


def program_without_memory(x):
    return x + never_kept(1), never_kept(1)


def program_given_tensors(x):
    return weighted(kept, 2) + x, weighted(kept, 2) is weighted(kept, 2)


def program_of_a_method(x):
    return layer(x), layer.mask(2) is layer.mask(2)


def program_that_asks(x):
    before = scaled.cache_info()
    scaled(5)
    after = scaled.cache_info()
    scaled.cache_clear()
    return x + 1, before, after, scaled(5), scaled.cache_info()


def program_of_a_property(x):
    return x + holder.value[0], holder.value is holder.value, holder.computed


def program_of_objects(x):
    plan = recipe("a b c")
    counts, sizes = shapes(plan, 2)
    same = sizes is parts(2), sizes is shapes(plan, 2)[1]
    return x.reshape(counts[0]) * len(plan.groups), recipe("a b c") is plan, *same


def program_with_a_break_behind(x):
    first = shapes(recipe("a b"), 2)
    torch._dynamo.graph_break()
    return x + len(first), recipe("a b") is recipe("a b"), shapes(recipe("a b"), 2) is first


def program_of_a_branch(x):
    return torch.cond(x.sum() > 100, lambda y: y + len(parts(3)), lambda y: y - 1, (x,))


def program_behind_a_write(x):
    x += 1
    return x * len(parts(4)), parts(4) is parts(4)


def program_in_a_loop(x):
    for n in (1, 2, 3, 1, 2):
        parts(n).append(n)
        x = x + len(parts(n))
    return x, [parts(n) for n in (1, 2, 3)]


def program_of_a_dictionary(x):
    table("a")["calls"] = table("a").get("calls", 0) + 1
    return x + table("a")["calls"], dict(table("a"))


def program_that_passes_lists(x):
    try:
        return scaled([1])
    except TypeError as error:
        return x + 1, str(error)


PROGRAMS = [value for name, value in sorted(globals().items()) if name.startswith("program_")]


def observed(program, calls):
    """Results, statistics and what was computed, in each of some calls, from empty caches."""
    for cache in CACHES:
        cache.cache_clear()
    seen.clear()
    holder.__dict__.clear()
    holder.computed = 0
    torch.manual_seed(0)
    observations = []
    for _ in range(calls):
        result = repr(program(torch.ones(2)))
        observations.append((result, [repr(cache.cache_info()) for cache in CACHES], list(seen)))
    return observations


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_captured_calls_leave_the_caches_as_plain_ones(program, backend):
    reset()
    expected = observed(program, 4)
    assert observed(capture(program, backend=backend), 4) == expected
    assert counters().tracer_bugs == 0


def test_literal_result_is_one_graph_and_never_captured_again():
    scaled.cache_clear()
    report = check(program_of_numbers, torch.ones(2), calls=4)
    assert (report.total.captures, sum(report.total.breaks.values())) == (1, 0)


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_objects_that_a_cache_does_not_have_yet_are_one_graph_in_the_first_call(backend):
    for cache in CACHES:
        cache.cache_clear()
    reset()
    captured = capture(program_of_objects, backend=backend, fullgraph=True)
    assert [bool(captured(torch.ones(2))[1]) for _ in range(3)] == [True] * 3
    assert (counters().captures, counters().graphs) == (1, 1)
    recipe.cache_clear()  # another object is found where the guards expect the first
    assert captured(torch.ones(2))[1:] == (True, True, True)
    assert counters().captures == 2


def test_sizes_that_a_cached_function_fixes_are_fixed_in_both_runs_up_to_a_break():
    def program(x):
        y = x * len(recipe("a b").axes) + len(shapes(recipe("a b"), x.shape[0])[1])
        torch._dynamo.graph_break()
        return y + x.shape[0]

    captured = capture(program, strict=True)
    reset()
    for size in (2, 3, 4, 5):
        for cache in CACHES:
            cache.cache_clear()
        x = torch.ones(size)
        assert torch.equal(captured(x), x * 2 + size + size)
    assert counters().tracer_bugs == 0


def test_tensor_from_a_cache_is_an_input_of_one_graph():
    noise.cache_clear()
    noise(2)
    one_graph(lambda x: x + noise(2), torch.ones(2), gradients=False)


def test_result_is_the_cached_one_although_the_function_would_give_another():
    global scale
    scaled.cache_clear()
    captured = capture(lambda x: x * scaled(4))
    try:
        first = captured(torch.ones(1)).item()
        scale = 5
        second = captured(torch.ones(1)).item()
        scaled.cache_clear()
        third = captured(torch.ones(1)).item()
        scale = 2
        assert [first, second, third, captured(torch.ones(1)).item()] == [8, 8, 20, 20]
    finally:
        scale = 2
        scaled.cache_clear()


def test_cleared_cache_of_tensors_is_seen():
    noise.cache_clear()
    captured = capture(lambda x: x + noise(3))
    first = [captured(torch.zeros(3)) for _ in range(3)]
    noise.cache_clear()
    later = [captured(torch.zeros(3)) for _ in range(2)]
    assert all(torch.equal(each, first[0]) for each in first)
    assert torch.equal(later[0], later[1]) and not torch.equal(first[0], later[0])
    assert torch.equal(later[0], noise(3))


def test_entries_made_natively_are_found():
    scaled.cache_clear()
    captured = capture(lambda x: x + scaled(7))
    expected = scaled(7)
    assert captured(torch.zeros(1)).item() == expected
    assert scaled.cache_info()[:2] == (1, 1)
    captured(torch.zeros(1))
    assert scaled.cache_info()[:2] == (2, 1)


def test_a_graph_that_ended_where_a_cache_had_no_result_is_captured_anew_when_it_has_one():
    def helper(x):
        return x * 2 + noise(4).numel()

    def program(x):
        return helper(x + 1) - 1

    noise.cache_clear()
    reset()
    captured = capture(program, strict=True)
    assert torch.equal(captured(torch.ones(2)), torch.full((2,), 7.0))
    graphs, breaks = counters().graphs, dict(counters().breaks)
    assert "unsupported-call" in breaks
    for _ in range(2):
        assert torch.equal(captured(torch.ones(2)), torch.full((2,), 7.0))
    assert counters().graphs == graphs + 1
    assert dict(counters().breaks) == breaks
    assert noise.cache_info()[:2] == (2, 1)


@functools.lru_cache
def following(n):
    return n + 1


@functools.lru_cache
def chained(name):
    return following(len(name)), name


@pytest.mark.parametrize("dynamic", [None, True])
def test_results_that_are_keys_of_the_same_cache(dynamic):
    def program(x, n):
        return x + following(n), following(n) + following(n + 1), chained("a" * n)[0]

    outcomes = []
    for wrap in (lambda function: function, lambda function: capture(function, dynamic=dynamic)):
        reset()
        following.cache_clear(), chained.cache_clear()
        call, rows = wrap(program), []
        for n in (1, 1, 2, 3, 2, 1, 4):
            result = call(torch.zeros(1), n)
            rows.append((result[0].tolist(), result[1:], following.cache_info(), chained.cache_info()))
        outcomes.append(rows)
    assert outcomes[1] == outcomes[0]
