"""Loops, comprehensions and branches inside a captured program, and breaks in them."""

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, graph_break, reset
from tracer.events import LOG
from tracer.interpret import trace


def test_for_over_a_range():
    def program(x, n):
        for i in range(n):
            x = x + i
        return x

    one_graph(program, torch.ones(2), 5, ops=5)


def test_while_with_break_continue_and_else():
    def program(x, limit):
        i, log = 0, []
        while i < 10:
            i += 1
            if i % 2:
                continue
            if i > limit:
                break
            x = x * i
        else:
            log.append("no break")
        return x, i, log

    one_graph(program, torch.ones(2), 4)
    one_graph(program, torch.ones(2), 40)


def test_for_else():
    def program(x, names, wanted):
        for name in names:
            if name == wanted:
                x = x + 1
                break
        else:
            x = x - 1
        return x

    one_graph(program, torch.ones(2), ["a", "b"], "b")
    one_graph(program, torch.ones(2), ["a", "b"], "c")


def test_nested_loops_with_tuple_targets():
    def program(x):
        for i, (a, *rest) in enumerate([(1, 2, 3), (4, 5)]):
            for j in rest:
                x = x + i * a * j
        return x, rest

    one_graph(program, torch.ones(2))


def test_comprehensions():
    def program(x, sizes):
        squares = [x * size for size in sizes if size > 1]
        table = {f"s{size}": x + size for size in sizes}
        kinds = {size % 2 for size in sizes}
        nested = [[i * j for j in range(2)] for i in range(2)]
        return squares, table, kinds, nested

    one_graph(program, torch.ones(2), [1, 2, 3])


def test_comprehension_reads_an_enclosing_variable():
    def program(x):
        scale = 3
        return [x * scale for _ in range(2)] + [(lambda: x + scale)()]

    one_graph(program, torch.ones(2))


def test_loop_over_shape_and_sizes():
    def program(x):
        total = 0
        for size in x.shape:
            total += size
        rows, columns = x.size()
        return x * total + rows - columns + x.numel() + len(x)

    one_graph(program, torch.ones(2, 3))


def test_branch_on_python_values():
    def program(x, flag, mode):
        if flag and mode == "add" or not mode:
            x = x + 1
        elif mode in ("mul", "scale"):
            x = x * 2
        return x if x.dim() > 1 else x - 1

    for flag, mode in ((True, "add"), (False, "mul"), (False, ""), (True, "other")):
        one_graph(program, torch.ones(2), flag, mode)


def test_branch_on_python_values_is_guarded():
    captured = capture(lambda x, flag: x + 1 if flag else x - 1, strict=True)
    assert captured(torch.ones(1), True).item() == 2
    assert captured(torch.ones(1), False).item() == 0
    assert captured(torch.ones(1), True).item() == 2


def test_chained_comparison_and_conditional_expression():
    def program(x, n):
        return x + (1 if 0 < n <= 3 else 2) + (n or 7) * (n and 5)

    one_graph(program, torch.ones(2), 3)
    one_graph(program, torch.ones(2), 0)


def test_walrus():
    def program(x):
        if (n := x.shape[0]) > 1:
            x = x * n
        return x, [last := i for i in range(3)], last

    one_graph(program, torch.ones(2))


def test_match_statement():
    def program(x, command):
        match command:
            case {"scale": scale, **rest}:
                return x * scale + len(rest)
            case ["add", amount, *_]:
                return x + amount
            case str() as name if name.startswith("n"):
                return -x
            case 1 | 2:
                return x * 3
            case torch.Size():
                return x.sum()
            case _:
                return x

    for command in ({"scale": 2.0, "other": 1}, ["add", 3, 4], "neg", "pos", 2, None):
        check(program, torch.ones(2), command, breaks=[])


def test_branch_on_a_tensor():
    def program(x):
        y = x + 1
        if y.sum() > 0:
            return y * 2
        return y - 2

    check(program, torch.ones(2), graphs=2, breaks=["data-dependent-jump"])
    check(program, -torch.ones(2) * 5, graphs=2, breaks=["data-dependent-jump"])


def test_both_branches_on_a_tensor_are_captured():
    def program(x):
        if x.sum() > 0:
            return x * 2
        return x - 2

    captured = capture(program, strict=True)
    for sign in (1.0, -1.0, 1.0, -1.0):
        x = torch.full((2,), sign)
        assert torch.equal(captured(x), program(x))


def test_while_on_a_tensor():
    def program(x):
        steps = 0
        while x.sum() < 20:
            x = x * 2
            steps += 1
        return x, steps

    check(program, torch.ones(2), recaptures=None)


def test_break_in_a_for_loop():
    def program(x, n):
        for i in range(n):
            x = x + i
            graph_break()
            x = x * 2
        return x

    report = check(program, torch.ones(2), 3)
    assert report.first.breaks.keys() == {"explicit"}


def test_breaks_in_a_long_loop_do_not_nest():
    def program(x):
        for _ in range(1500):
            x = x + 1
            graph_break()
        return x

    assert capture(program)(torch.zeros(1)).item() == 1500


def test_break_in_a_loop_over_a_list():
    def program(x, names):
        log = []
        for index, name in enumerate(names):
            x = x + index
            if name == "stop":
                graph_break()
            log.append(name)
        return x, log

    check(program, torch.ones(2), ["a", "stop", "b", "stop"])


def test_break_in_a_comprehension():
    def noisy(x):
        graph_break()
        return x + 1

    def program(x):
        return [noisy(x * i) for i in range(3)]

    check(program, torch.ones(2))


def test_break_in_a_nested_loop_with_else():
    def program(x):
        for i in range(2):
            for j in range(2):
                if i == j:
                    graph_break()
                x = x + i * j
            else:
                x = x * 3
        return x

    check(program, torch.ones(2))


def test_short_circuit_on_tensors():
    def program(x, y):
        return (x.any() and y) + 1, (x.sum() > 5 or y)

    check(program, torch.ones(2), torch.zeros(2), recaptures=None)


def test_all_and_any_on_tensors_raise_for_many_elements():
    def program(x):
        if x:
            return 1
        return 2

    check(program, torch.ones(2), recaptures=None)


def test_deep_recursion_limit_is_the_users():
    def forever(x):
        return forever(x) + 1

    def program(x):
        try:
            return forever(x)
        except RecursionError:
            return x * 2

    check(program, torch.ones(2), recaptures=None)


def test_iterators_of_code_objects():
    """Their classes are not prepared by CPython, so that nothing can be asked about them."""

    def program(x, code):
        return x + 1, list(code.co_lines()), next(code.co_positions())

    check(program, torch.ones(2), test_iterators_of_code_objects.__code__, recaptures=None)


def test_a_loop_that_is_too_long_runs_natively_at_once(monkeypatch):
    monkeypatch.setattr(trace, "STRETCH", 20)
    monkeypatch.setattr(trace, "TURN_LIMIT", 20)

    def long(numbers):
        total = 0
        for number in numbers:
            total += number
        return total

    def program(x, numbers):
        x = x + 1
        total = long(numbers)
        return x * total

    def in_the_frame_itself(x, numbers):
        for number in numbers:
            x = x + number
        return x

    check(program, torch.ones(2), list(range(30)), graphs=2, breaks=["too-long"], recaptures=None)
    check(in_the_frame_itself, torch.ones(2), list(range(30)), graphs=0, breaks=["too-long"])
    assert counters().captures == counters().skips == 1
    check(in_the_frame_itself, torch.ones(2), list(range(10)), graphs=1, breaks=[])


def halve(number):
    return number // 2 if number % 2 == 0 else 3 * number + 1


def steps_to_one(number):
    steps = 0
    while number > 1:
        number, steps = halve(number), steps + 1
    return steps


def test_long_computing_without_tensors_runs_natively(monkeypatch):
    """What takes a moment natively must not take minutes of tracing, whether loops or calls make it long."""
    monkeypatch.setattr(trace, "STRETCH", 2_000)

    def longest(x, limit):
        y = x + 1
        return y * max([steps_to_one(number) for number in range(limit)])

    reset()
    captured = capture(longest, dynamic=False)
    for _ in range(2):
        assert torch.equal(captured(torch.ones(2), 100), longest(torch.ones(2), 100))
    assert counters().breaks["too-long"] == 1
    assert counters().captures < 20


def collatz(limit):
    return max([steps_to_one(number) for number in range(limit)])


@pytest.mark.parametrize("door", ["call", "map", "call after a loop", "method"])
def test_what_is_too_long_is_traced_once(monkeypatch, door):
    """Whatever numbers it is given next, and in which frame it was found: each trace would be as long."""
    monkeypatch.setattr(trace, "STRETCH", 2_000)

    class Longest:
        def run(self, limit):
            return collatz(limit)

    programs = {
        "call": lambda x, limit: (x + 1) * collatz(limit) + 1,
        "map": lambda x, limit: (x + 1) * max(map(collatz, [limit])) + 1,
        "call after a loop": lambda x, limit: (x + sum([1 for _ in range(90)])) * collatz(limit) + 1,
        "method": lambda x, limit: (x + 1) * Longest().run(limit) + 1,
    }
    program = programs[door]
    reset()
    captured = capture(program, dynamic=False)
    for limit in range(100, 106):
        assert torch.equal(captured(torch.ones(2), limit), program(torch.ones(2), limit))
    codes = [event.details["code"].rpartition(".")[2] for event in LOG.recent("capture")]
    assert not {"collatz", "run"}.intersection(codes)
    assert codes.count("steps_to_one") <= 9
    assert counters().graphs == 2


def test_a_long_loop_over_tensors_is_one_graph(monkeypatch):
    monkeypatch.setattr(trace, "STRETCH", 2_000)

    def program(x):
        for turn in range(110):
            x = x + turn
            for part in range(50):
                turn += part
        return x

    one_graph(program, torch.ones(2), ops=110, gradients=False)
