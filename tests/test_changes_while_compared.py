"""An `__eq__` that changes the container that C code is looking through: the rest is what CPython makes of it."""

from collections import OrderedDict, deque

import pytest
import torch

from tracer import capture, counters, reset


class Changing:
    """Changes a container each time it is compared, and answers what it was told to."""

    def __init__(self, container, change, answer):
        self.container = container
        self.change = change
        self.answer = answer
        self.calls = 0

    def __hash__(self):
        return 1

    def __eq__(self, other):
        self.calls += 1
        if self.calls < 9:
            self.change(self.container)
        return self.answer


def clear(container):
    container.clear()


def add(container):
    if isinstance(container, dict):
        container[len(container) + 100] = 1
    elif isinstance(container, set):
        container.add(len(container) + 100)
    else:
        container.append(len(container) + 100)


def replace(container):
    if isinstance(container, dict):
        container.pop(3, None)
        container[77] = 1
    elif isinstance(container, set):
        container.discard(3)
        container.add(77)
    else:
        container.pop()
        container.append(77)


def set_with_key(change, answer):
    container = set()
    container.update((Changing(container, change, answer), 3))
    return container, {1, 3}


def dict_with_key(change, answer):
    container = {}
    container[Changing(container, change, answer)] = 1
    container[3] = 4
    return container, {1: 1, 3: 4}


def dict_with_value(change, answer, cls=dict):
    container = cls()
    container[1] = Changing(container, change, answer)
    container[3] = 4
    return container, cls({1: 1, 3: 4})


def ordered_dict(change, answer):
    return dict_with_value(change, answer, OrderedDict)


def sequence(change, answer, cls):
    container = cls()
    container += [Changing(container, change, answer), 3, 1]
    return container, cls([1, 3, 1])


OPERATIONS = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "in": lambda left, right: 1 in left,
    "remove": lambda left, right: left.remove(1),
    "index": lambda left, right: left.index(1),
    "count": lambda left, right: left.count(1),
    "<": lambda left, right: left < right,
    "get": lambda left, right: left.get(1),
    "pop": lambda left, right: left.pop(1, 5),
}
BUILDERS = {
    "set": (set_with_key, ("==", "!=", "in", "remove")),
    "key": (dict_with_key, ("==", "in", "get", "pop")),
    "value": (dict_with_value, ("==", "!=")),
    "ordered": (ordered_dict, ("==", "!=")),
    "list": (
        lambda change, answer: sequence(change, answer, list),
        ("==", "!=", "<", "in", "remove", "index", "count"),
    ),
    "deque": (lambda change, answer: sequence(change, answer, deque), ("==", "!=", "in", "remove", "index", "count")),
}
CASES = [(kind, operation) for kind, (_, operations) in BUILDERS.items() for operation in operations]


def shown(result):
    """A result with instances by the name of their class, and sets in an order of their own."""
    if isinstance(result, dict):
        return shown(list(dict.items(result)))
    if isinstance(result, (set, list, deque, tuple)):
        parts = [repr(shown(part)) for part in result]
        return type(result).__name__, sorted(parts) if type(result) is set else parts
    return type(result).__name__ if isinstance(result, Changing) else result


def program(x, left, right, operation):
    try:
        answer = operation(left, right)
    except Exception as error:  # noqa: BLE001  whatever CPython raises is compared
        answer = type(error), error.args
    return x + 1, answer


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("change", [clear, add, replace])
@pytest.mark.parametrize(("kind", "operation"), CASES)
def test_comparisons_that_change_what_they_look_through(kind, operation, change, answer):
    build = BUILDERS[kind][0]
    if kind == "list" and operation == "<":
        answer = False  # an instance has no `<`
    plain = build(change, answer)
    expected = program(torch.ones(1), *plain, OPERATIONS[operation])[1]

    def with_containers_of_its_own(x):
        left, right = build(change, answer)
        return *program(x, left, right, OPERATIONS[operation]), left, right

    reset()
    left, right = build(change, answer)
    _, observed = capture(program, strict=True)(torch.ones(1), left, right, OPERATIONS[operation])
    assert shown((observed, left, right)) == shown((expected, *plain))
    _, *observed = capture(with_containers_of_its_own, strict=True)(torch.ones(1))
    assert shown(tuple(observed)) == shown((expected, *plain))
    assert counters().tracer_bugs == 0


class Counting:
    """Counts in its own dictionary how often it was hashed and compared."""

    def __init__(self):
        self.hashed = self.compared = 0

    def __hash__(self):
        self.hashed += 1
        return 5

    def __eq__(self, other):
        self.compared += 1
        return self is other


@pytest.mark.parametrize(
    "ask", [lambda table: 5 in table, lambda table: table.get(5), lambda table: table.setdefault(5, 1)]
)
def test_no_equality_of_a_key_is_asked_while_a_constant_is_looked_up_by_the_tracer(ask):
    def program(x, table):
        return x + 1, ask(table)

    plain, key = {Counting(): 1}, Counting()
    table = {key: 1}
    expected = program(torch.ones(1), plain)[1]
    assert capture(program)(torch.ones(1), table)[1] == expected
    (plain_key,) = (each for each in plain if isinstance(each, Counting))
    assert (key.hashed, key.compared) == (plain_key.hashed, plain_key.compared)


def test_keys_that_count_how_they_are_used():
    def program(x):
        first, second = Counting(), Counting()
        tables = {first: 1}, {second: 2}
        return x + 1, tables[0].get(first), first.hashed, first.compared, second.hashed, second.compared

    assert capture(program)(torch.ones(1))[1:] == program(torch.ones(1))[1:]
