"""Objects known by their identity as keys of dicts and sets: one that is no key in one call may be one in the next."""

import pytest
import torch

from tracer import capture, counters, reset


class Plain:
    pass


known, other = Plain(), Plain()
table = {known: 1}


def contains(key, x):
    return x + (key in table)


def get(key, x):
    return x + table.get(key, 5)


def get_item(key, x):
    try:
        return x + table[key]
    except KeyError:
        return x


def set_item(key, x):
    copied = dict(table)
    copied[key] = 3
    return x + len(copied)


def set_default(key, x):
    copied = dict(table)
    copied.setdefault(key, 5)
    return x + sum(copied.values())


def pop(key, x):
    copied = dict(table)
    copied.pop(key, None)
    return x + len(copied)


def delete(key, x):
    copied = dict(table)
    try:
        del copied[key]
    except KeyError:
        return x
    return x + 7


def display(key, x):
    return x + len({**table, key: 1})


def union(key, x):
    return x + len(table | {key: 1})


def comprehension(key, x):
    return x + len({each: 1 for each in (*table, key)})


def equal(key, x):
    return x + (table == {key: 1})


def of_keys(key, x):
    return x + len(table.keys() & {key}) + 2 * (key in table.keys())


def of_a_set_of_keys(key, x):
    return x + (key in set(table))


def of_a_set_that_is_filled(key, x):
    members = {key}
    for each in table:
        members.add(each)
    return x + len(members)


PROGRAMS = [
    contains,
    get,
    get_item,
    set_item,
    set_default,
    pop,
    delete,
    display,
    union,
    comprehension,
    equal,
    of_keys,
    of_a_set_of_keys,
    of_a_set_that_is_filled,
]


@pytest.mark.parametrize("first", [known, other], ids=["found first", "missed first"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_key_that_is_found_in_one_call_and_not_in_another(program, first):
    x = torch.zeros(2)
    reset()
    captured = capture(program, fullgraph=True)
    second = other if first is known else known
    for key in (first, second, first, second):
        assert torch.equal(captured(key, x), program(key, x))
    assert counters().captures == 2


def test_each_of_many_keys_from_outside_is_looked_up_without_a_break():
    large = {Plain(): index for index in range(300)}
    captured, x = capture(lambda x: x + sum(large[key] for key in large), fullgraph=True), torch.zeros(2)
    assert torch.equal(captured(x), captured(x)) and captured(x)[0] == sum(range(300))


def test_object_that_is_none_of_many_keys_breaks():
    large = {Plain(): index for index in range(300)}
    captured = capture(lambda key, x: x + large.get(key, 1000))
    x, present = torch.zeros(2), next(iter(large))
    for key in (other, present, other):
        assert torch.equal(captured(key, x), x + large.get(key, 1000))
