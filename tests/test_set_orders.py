"""Orders of sets from outside: equal sets may list their members in other orders, which are guarded where used."""

import gc
import weakref

import pytest
import torch

from tests.check import BACKENDS
from tests.same import differences
from tracer import capture, counters, reset

X = torch.arange(4.0)


def filled(*members):
    """A set that was filled in this order, so that members whose places collide are listed in it."""
    result = set()
    for member in members:
        result.add(member)
    return result


def frozen(*members):
    return frozenset(filled(*members))


def colliding(count):
    """Texts that share the last three bits of their hashes, of which the first that comes is listed first."""
    texts = iter(f"name{number}" for number in range(10_000))
    first = next(texts)
    return [first, *(text for text in texts if hash(text) % 8 == hash(first) % 8)][:count]


assert list(filled(8, 0)) == [8, 0] and list(filled(0, 8)) == [0, 8] and list(frozen(8, 0)) == [8, 0]


def holds(program, *worlds, backend="eager", captures=None):
    """Each world is a function that gives arguments; plain and captured are called with those, one after the other."""
    reset()
    captured = capture(program, backend=backend, strict=True)
    for number, world in enumerate(worlds):
        expected, observed = program(*world()), captured(*world())
        assert not differences(expected, observed, f"call {number + 1}"), (expected, observed)
    if captures is not None:
        assert counters().captures == captures, counters()


def weighted(numbers, x):
    """A result that tells the order of numbers."""
    total = x
    for number in numbers:
        total = total * 2 + number
    return total


USES = {
    "iteration": lambda members, x: weighted(members, x),
    "list": lambda members, x: weighted(list(members), x),
    "tuple": lambda members, x: (tuple(members), x + 1),
    "repr": lambda members, x: (repr(members), x + 1),
    "format": lambda members, x: (f"{members}", x + 1),
    "next": lambda members, x: x + next(iter(members)),
    "unpacking": lambda members, x: (lambda first, *rest: x + first)(*members),
    "star": lambda members, x: weighted([*members, 5], x),
    "comprehension": lambda members, x: weighted([number + 1 for number in members], x),
    "enumerate": lambda members, x: weighted([place * number for place, number in enumerate(members)], x),
    "zip": lambda members, x: (dict(zip(members, "ab")), x + 1),
    "dict.fromkeys": lambda members, x: (list(dict.fromkeys(members)), x + 1),
    "sorted by an equal key": lambda members, x: weighted(sorted(members, key=lambda number: 0), x),
    "max by an equal key": lambda members, x: x + max(members, key=lambda number: 0),
    "a copy": lambda members, x: weighted(members.copy(), x),
    "another set": lambda members, x: weighted(set(members), x),
    "a frozenset": lambda members, x: weighted(frozenset(members), x),
    "union": lambda members, x: weighted(members | {3}, x),
    "reflected union": lambda members, x: weighted({3} | members, x),
    "intersection": lambda members, x: weighted(members & {8, 0}, x),
    "intersection by a method": lambda members, x: weighted(members.intersection([0, 8]), x),
    "difference": lambda members, x: weighted(members - {3}, x),
    "symmetric difference": lambda members, x: weighted(members ^ {3}, x),
    "update": lambda members, x: (lambda other: (other.update(members), weighted(other, x)))(set()),
    "in place": lambda members, x: (lambda other: weighted(other.__ior__(members), x))(set()),
    "a returned copy": lambda members, x: (set(members), x + 1),
    "a returned union": lambda members, x: (members | {3}, x + 1),
    "a returned frozenset": lambda members, x: (frozenset(members), x + 1),
    "a returned list": lambda members, x: (x + 1, [*members]),
    "map": lambda members, x: weighted(map(lambda number: number + 1, members), x),
    "join": lambda members, x: (",".join(map(str, members)), x + 1),
    "torch.tensor": lambda members, x: x[:2] + torch.tensor(list(members)),
    "sum of texts": lambda members, x: (sum([[number] for number in members], []), x + 1),
    "reduce": lambda members, x: (__import__("functools").reduce(lambda a, b: a * 3 + b, members), x + 1),
}
"""Programs that use the order of the members."""


def listed(value):
    """A result with the order of each set in it."""
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, list(value)
    if isinstance(value, (tuple, list)):
        return [listed(each) for each in value]
    return list(value.items()) if isinstance(value, dict) else value


@pytest.mark.parametrize("make", [filled, frozen], ids=["set", "frozenset"])
@pytest.mark.parametrize("name", USES)
def test_another_order_of_equal_members_is_another_program(name, make):
    program = USES[name]

    def looked_at(members, x):
        return program(members, x)

    reset()
    captured = capture(looked_at, strict=True)
    for order in ((0, 8), (8, 0), (0, 8)):
        expected, observed = program(make(*order), X), captured(make(*order), X)
        assert not differences(listed(expected), listed(observed), f"with {order}")


UNORDERED = {
    "membership": lambda members, x: x + (8 in members),
    "length": lambda members, x: x + len(members),
    "truth": lambda members, x: x + 1 if members else x,
    "equality": lambda members, x: x + (members == {0, 8}),
    "subset": lambda members, x: x + (members <= {0, 8, 9}),
    "disjoint": lambda members, x: x + members.isdisjoint({1}),
    "union that nobody lists": lambda members, x: x + (3 in (members | {3})),
}


@pytest.mark.parametrize("make", [filled, frozen], ids=["set", "frozenset"])
@pytest.mark.parametrize("name", UNORDERED)
def test_an_order_that_is_not_used_is_not_guarded(name, make):
    holds(UNORDERED[name], lambda: (make(0, 8), X), lambda: (make(8, 0), X), captures=1)


class Holder:
    def __init__(self, members):
        self.members = members
        self.__dict__["nested"] = {"a": [members]}


MEMBERS = {0, 8}


def test_through_every_door():
    def at(reach):
        return lambda holder, x: weighted(reach(holder), x)

    doors = {
        "attribute": (at(lambda holder: holder.members), Holder),
        "nested": (at(lambda holder: holder.nested["a"][0]), Holder),
        "in a tuple": (at(lambda holder: holder[1]), lambda members: (1, members)),
        "in a dict": (at(lambda holder: holder["a"]), lambda members: {"a": members}),
        "a key": (at(lambda holder: next(iter(holder))), lambda members: {frozenset(members): 1}),
        "in a key": (at(lambda holder: next(iter(holder))[0]), lambda members: {(frozenset(members), 2): 1}),
        "a member": (at(lambda holder: next(iter(holder))), lambda members: {frozenset(members)}),
        "of a subclass": (at(lambda holder: holder), type("Kind", (set,), {})),
        "of a frozen subclass": (at(lambda holder: holder), type("Kind", (frozenset,), {})),
        "two that were one": (lambda pair, x: weighted(pair[1], x), lambda members: (members, members)),
        "views of equal dicts": (
            at(lambda holder: holder.keys() & holder.keys()),
            lambda members: dict.fromkeys(members),
        ),
        "a frozenset in a tuple of constants": (
            at(lambda holder: [number for part in holder for number in part]),
            lambda members: (frozenset(members), frozenset(members)),
        ),
    }
    for name, (program, make) in doors.items():
        for kind in (filled, frozen):
            try:
                holds(program, *((lambda order=order: (make(kind(*order)), X)) for order in ((0, 8), (8, 0), (0, 8))))
            except AssertionError as error:
                raise AssertionError(f"{name} of a {kind(1)}") from error


def test_one_set_that_becomes_two():
    def program(first, second, x):
        return weighted(second, x)

    one = frozen(0, 8)
    holds(program, lambda: (one, one, X), lambda: (one, frozen(8, 0), X), lambda: (frozen(8, 0), one, X))


def test_global_closure_and_default():
    members = {0, 8}

    def program(x, default=members):
        return weighted(MEMBERS, x), weighted(members, x), weighted(default, x)

    captured = capture(program, strict=True)
    for order in ((0, 8), (8, 0), (0, 8)):
        for each in (members, MEMBERS):
            each.clear()
            each.update(order)
        assert not differences(program(X), captured(X), f"with {order}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_and_breaks(backend):
    def program(members, x):
        total = weighted(members, x)
        torch._dynamo.graph_break()
        return total + weighted(members, x * 2)

    holds(
        program,
        *((lambda order=order: (filled(*order), X)) for order in ((0, 8), (8, 0), (0, 8))),
        backend=BACKENDS[backend],
    )


def test_texts():
    first, second, third = colliding(3)

    def program(members, x):
        return "".join(members), x + 1

    orders = [(first, second, third), (third, second, first), (second, first, third)]
    holds(program, *((lambda order=order: (filled(*order), X)) for order in orders))


def test_a_changed_set():
    def program(members, x):
        members.add(3)
        return weighted(members, x)

    holds(program, *((lambda order=order: (filled(*order), X)) for order in ((0, 8), (8, 0), (0, 8))))


def test_a_set_with_a_larger_table():
    """Members that come to a set are put where its table has room."""

    def grown():
        members = set(range(100))
        members -= set(range(100)) - {0, 8}
        return members

    def program(members, x):
        members.add(32)
        return weighted(members, x), weighted(members | {16}, x)

    holds(program, lambda: ({0, 8}, X), lambda: (grown(), X))
    holds(program, lambda: (grown(), X), lambda: ({0, 8}, X))


def test_popped():
    def program(members, x):
        return x + members.pop(), x + members.pop()

    holds(program, *((lambda order=order: (filled(*order), X)) for order in ((0, 8), (8, 0), (0, 8))))


def test_a_set_of_the_program_is_listed_as_it_was_filled():
    def program(x):
        members = {8, 1}
        members.add(0)
        members.discard(8)
        other = {16, 8}
        other.add(0)
        return members, other, x + 1

    holds(lambda x: [listed(each) for each in program(x)], lambda: (X,), lambda: (X,))
    expected, observed = program(X), capture(program, strict=True)(X)
    assert not differences(listed(expected), listed(observed), "the result")


def test_a_frozenset_that_is_given_back_is_the_one_of_the_call():
    def program(holder, x):
        return holder.members, [holder.members], x + 1

    captured = capture(program, strict=True)
    for order in ((0, 8), (8, 0), (0, 8)):
        holder = Holder(frozen(*order))
        members, (again,), _ = captured(holder, X)
        assert members is again is holder.members


@pytest.mark.parametrize("check", ["set items", "set order"])
def test_a_guard_keeps_no_function_alive_that_is_a_member(check):
    def member():
        return 1

    program = {
        "set items": lambda members, x: x + (members == set()),
        "set order": lambda members, x: x + len(list(members)),
    }[check]
    members = {member, 5}
    captured = capture(program, strict=True)
    captured(members, X)
    captured(members, X)
    reference = weakref.ref(member)
    del member, members
    gc.collect()
    assert reference() is None


def test_a_changed_set_lists_its_members_as_it_does_plainly():
    def add_and_remove(members, x):
        members.add(0)
        members.discard(8)
        members.add(8)
        return x + 1

    def refill(members, x):
        members.clear()
        members.update([16, 8, 0])
        return x + 1

    def grow(members, x):
        members |= set(range(40))
        members &= {39, 8, 7, 0}
        return x + 1

    for program in (add_and_remove, refill, grow):
        captured = capture(program, strict=True)
        for order in ((8,), (8, 16), (16, 8), (1, 8)):
            expected, observed = filled(*order), filled(*order)
            program(expected, X)
            captured(observed, X)
            assert list(observed) == list(expected), (program.__name__, order)


COLLIDING = (7, 15, 23, 8)
"""Their places depend on who came first, and a set that is filled in the order of another's places has others."""


def comprehended(x):
    return {number for number in COLLIDING}, x + 1


def added(x):
    numbers = set()
    for number in COLLIDING:
        numbers.add(number)
    return {*COLLIDING}, numbers, x + 1


def constructed(x):
    numbers = set(COLLIDING[:3])
    numbers.add(COLLIDING[3])
    more = set()
    more.update(COLLIDING[:2], COLLIDING[2:])
    return numbers, more, x + 1


def emptied(x):
    numbers = {1, 2, 3}
    numbers.clear()
    set.__init__(numbers, COLLIDING)
    return numbers, x + 1


@pytest.mark.parametrize("program", [comprehended, added, constructed, emptied])
def test_a_set_that_was_filled_is_given_back_as_it_was_filled_without_a_break(program):
    assert list(set(filled(*COLLIDING))) != list(set(list(filled(*COLLIDING))))
    reset()
    captured = capture(program, fullgraph=True)
    for _ in range(2):
        expected, observed = program(X), captured(X)
        for mine, theirs in zip(expected, observed, strict=True):
            assert listed(mine) == listed(theirs) if isinstance(mine, set) else True
    assert sum(counters().breaks.values()) == 0
