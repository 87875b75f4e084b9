"""Generators and iterators run inside a captured program, passed to it and returned from it."""

import itertools

import torch

from tests.check import check, one_graph
from tracer import graph_break


def scaled(x, factors):
    for factor in factors:
        yield x * factor


def test_generator_consumed_by_a_loop():
    def program(x):
        total = x
        for value in scaled(x, [1, 2, 3]):
            total = total + value
        return total

    one_graph(program, torch.ones(2))


def test_generator_consumed_by_builtins():
    def program(x):
        return list(scaled(x, (1, 2))), tuple(scaled(x, range(2))), sum(scaled(x, [1, 2, 3]))

    one_graph(program, torch.ones(2))


def test_generator_expression():
    def program(x):
        return torch.stack(list(x + i for i in range(4) if i % 2)), any(i > 2 for i in range(4)), max(i for i in (1, 2))

    one_graph(program, torch.ones(2))


def test_generator_is_lazy():
    def program(x, log):
        def numbers():
            for index in itertools.count():
                log.append(index)
                yield x + index

        for value in numbers():
            if len(log) == 3:
                break
        return value

    one_graph(program, torch.ones(2), [])


def test_yield_from_and_return_value():
    def inner(x):
        yield x + 1
        yield x + 2
        return "done"

    def outer(x, log):
        log.append((yield from inner(x)))
        yield x + 3

    def program(x, log):
        return list(outer(x, log))

    one_graph(program, torch.ones(2), [])


def test_send_into_a_generator():
    def accumulate(x):
        while True:
            factor = yield x
            x = x * factor

    def program(x):
        running = accumulate(x)
        next(running)
        return running.send(2), running.send(3)

    check(program, torch.ones(2))


def test_throw_and_close():
    def guarded(x, log):
        try:
            yield x
            yield x + 1
        except ValueError:
            log.append("thrown")
            yield x + 2
        finally:
            log.append("closed")

    def program(x, log):
        running = guarded(x, log)
        next(running)
        value = running.throw(ValueError("now"))
        running.close()
        return value

    check(program, torch.ones(2), [])


def test_generator_with_finally_left_early():
    def numbers(x, log):
        try:
            yield x + 1
            yield x + 2
        finally:
            log.append("cleaned up")

    def program(x, log):
        for value in numbers(x, log):
            return value, len(log)

    check(program, torch.ones(2), [])


def test_itertools():
    def program(x):
        pairs = [x * a + b for a, b in itertools.product((1, 2), (3, 4))]
        chained = list(itertools.chain([1], (2,), range(3, 5)))
        sliced = list(itertools.islice(itertools.count(10, 5), 3))
        grouped = {key: list(group) for key, group in itertools.groupby([1, 1, 2])}
        zipped = list(itertools.zip_longest([1, 2], [3], fillvalue=0))
        sums = list(itertools.accumulate([1, 2, 3]))
        repeated = list(itertools.repeat(x, 2))
        starred = list(itertools.starmap(pow, [(2, 3), (3, 2)]))
        return pairs, chained, sliced, grouped, zipped, sums, repeated, starred

    one_graph(program, torch.ones(2))


def test_zip_map_filter_enumerate_reversed_sorted():
    def program(x, names):
        out = {}
        for index, (name, value) in enumerate(zip(names, map(lambda i: x + i, range(3)), strict=True), start=1):
            out[name] = value * index
        return out, list(filter(None, [0, 1, 2])), list(reversed(names)), sorted(names, reverse=True)

    one_graph(program, torch.ones(2), ["b", "c", "a"])


def test_iterator_argument_is_advanced():
    def program(numbers, x):
        return x * next(numbers)

    check(program, iter([2.0, 3.0, 4.0]), torch.ones(2), recaptures=None)


def test_generator_argument_is_advanced():
    def make():
        return (i * 1.5 for i in range(5)), torch.ones(2)

    def program(numbers, x):
        first = next(numbers)
        return x * first, list(numbers)

    check(program, make=make, recaptures=None)


def test_generator_is_returned():
    def program(x):
        y = x + 1
        return (y * i for i in range(3))

    report = check(program, torch.ones(2), recaptures=None)
    assert torch.equal(torch.stack(list(report.outcomes[-1].result)), torch.tensor([[0.0, 0], [2, 2], [4, 4]]))


def test_tensor_is_iterated_over():
    def program(x):
        first, second = x
        return [row * 2 for row in x], first - second, [*x]

    one_graph(program, torch.arange(6.0).reshape(2, 3))


def test_iterator_class_of_the_user():
    class Countdown:
        def __init__(self, start):
            self.left = start

        def __iter__(self):
            return self

        def __next__(self):
            if self.left == 0:
                raise StopIteration
            self.left -= 1
            return self.left

    def program(x):
        return [x * i for i in Countdown(3)]

    one_graph(program, torch.ones(2))


def test_sequence_protocol_iteration():
    class Squares:
        def __getitem__(self, index):
            if index > 3:
                raise IndexError(index)
            return index * index

    def program(x):
        return [x + i for i in Squares()]

    one_graph(program, torch.ones(2))


def test_break_inside_a_generator():
    def numbers(x):
        yield x + 1
        graph_break()
        yield x + 2

    def program(x):
        return [value * 2 for value in numbers(x)]

    check(program, torch.ones(2), recaptures=None)


def test_break_between_two_steps_of_a_generator():
    def program(x):
        running = scaled(x, [1, 2, 3])
        first = next(running)
        graph_break()
        return first + next(running), list(running)

    check(program, torch.ones(2), recaptures=None)


def test_two_part_iter():
    def program(x):
        numbers = [1, 2, 3, 0, 4]
        pull = iter(lambda: numbers.pop(0), 0)
        return x * sum(pull), numbers

    check(program, torch.ones(2))
