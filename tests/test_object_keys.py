"""Objects known by their identity as keys of dicts and sets: one that is no key in one call may be one in the next."""

import gc
import random
import weakref

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


def members_of(things, x):
    for thing in things:
        x = x * 2 + thing.number
    return x


def numbered(count):
    things = [Plain() for _ in range(count)]
    for number, thing in enumerate(things):
        thing.number = number
    return things


@pytest.mark.parametrize("kind", [set, weakref.WeakSet], ids=["set", "weak set"])
def test_members_of_a_set_from_outside_are_known(kind):
    reset()
    captured = capture(members_of, fullgraph=True)
    things = numbered(4)
    x, some = torch.ones(2), kind(things[:3])

    def agree():
        assert torch.equal(members_of(some, x), captured(some, x))

    agree()
    agree()
    assert counters().captures == 1
    things[0].number = 9
    agree()
    some.discard(things[1])
    agree()
    some.add(things[3])
    agree()
    some.clear()
    agree()


@pytest.mark.parametrize("kind", [set, frozenset, weakref.WeakSet], ids=["set", "frozen set", "weak set"])
def test_membership_in_a_set_from_outside(kind):
    def member(things, thing, x):
        return x + 1 if thing in things else x * 3

    reset()
    captured = capture(member, fullgraph=True)
    things = numbered(3)
    some, x = kind(things[:2]), torch.ones(2)
    for thing in (*things, *things):
        assert torch.equal(member(some, thing, x), captured(some, thing, x))


def test_a_guard_on_members_keeps_none_alive():
    captured = capture(members_of)
    things = numbered(2)
    some, gone = weakref.WeakSet(things), weakref.ref(things[0])
    captured(some, torch.ones(2))
    del things[0]
    gc.collect()
    assert gone() is None and len(some) == 1
    assert torch.equal(members_of(some, torch.ones(2)), captured(some, torch.ones(2)))


def test_members_of_a_set_in_another_order():
    reset()
    captured = capture(members_of)
    things, x, some = numbered(30), torch.ones(2), set()
    for _ in range(4):
        random.shuffle(things)
        some.clear()
        some.update(things)
        assert torch.equal(members_of(some, x), captured(some, x))


def test_tensors_and_modules_in_a_set():
    def program(x):
        for module in MODULES:
            x = module(x)
        for tensor in TENSORS:
            x = x + tensor
        return x

    reset()
    captured = capture(program, fullgraph=True)
    assert torch.equal(program(torch.ones(3)), captured(torch.ones(3)))


MODULES = {torch.nn.Linear(3, 3)}
TENSORS = {torch.arange(3.0)}


def add(some, things, x):
    some.add(things[3])
    return x + len(some)


def discard(some, things, x):
    some.discard(things[0])
    return x + len(some)


def exchange(some, things, x):
    some.discard(things[0])
    some.add(things[3])
    some.add(5)
    return x + len(some)


def fill_anew(some, things, x):
    some.clear()
    some.add(things[1])
    return x + len(some)


def add_and_list(some, things, x):
    some.add(things[3])
    return [x + thing.number for thing in some]


@pytest.mark.parametrize("program", [add, discard, exchange, fill_anew, add_and_list], ids=lambda f: f.__name__)
def test_a_set_of_objects_from_outside_is_changed(program):
    reset()
    captured, things, x = capture(program), numbered(4), torch.ones(2)
    for first in (things[:2], things[:2], things[:3], things):
        plain, changed = set(first), set(first)
        expected, result = program(plain, things, x), captured(changed, things, x)
        assert str(expected) == str(result) and plain == changed and list(plain) == list(changed)


def combine(some, things, x):
    some |= {things[3], things[1]}
    some.difference_update([things[0]])
    some ^= {things[2], things[3]}
    some.update(things[4:8], {things[5]: 1, things[9]: 2})
    return x + len(some)


def combine_with_another(some, things, x):
    some |= OTHERS
    OTHERS.add(things[0])
    OTHERS.discard(things[0])
    some.update(things[6:])
    some &= set(things[2:])
    some |= some
    some.remove(things[7])
    some.update(MORE)
    return x + len(some)


def fill_once_more(some, things, x):
    some.clear()
    some.add(things[1])
    some.pop()
    some.update(things)
    for thing in things[2:10]:
        some.discard(thing)
    some.update(things[5:9])
    return x + len(some)


OTHERS, MORE = {1}, set(numbered(5))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda graph, inputs: graph.forward])
@pytest.mark.parametrize("program", [exchange, combine, combine_with_another, fill_once_more], ids=lambda f: f.__name__)
def test_a_set_of_objects_lists_its_members_as_after_the_same_changes(program, backend):
    """By the addresses of its members, and by the order of the changes."""
    reset()
    captured, kept, x = capture(program, backend=backend, fullgraph=True), [], torch.ones(2)
    for size in range(17):
        kept.append((numbered(14), [object() for _ in range(size)]))
        things = kept[-1][0]
        for first in (things[:2], things[:3], things[:12]):
            plain, changed = set(first), set(first)
            assert torch.equal(program(plain, things, x), captured(changed, things, x))
            assert list(plain) == list(changed)
