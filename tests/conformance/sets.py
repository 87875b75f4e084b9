"""set and frozenset."""

from __future__ import annotations

from .catalogue import program, raising


@program(({1, 2, 3}, {2, 3, 4}))
def operators(a, b):
    return a & b, a | b, a - b, a ^ b, a <= b, a < b, a >= {1}, a > {1}, a == {3, 2, 1}, a != b, a.isdisjoint({9})


@program(({1, 2},))
def methods(s):
    s.add(3)
    s.add(1)
    s.discard(9)
    s.remove(1)
    s.update([5, 6], (7,))
    s.difference_update({5})
    s.intersection_update(range(10))
    s.symmetric_difference_update({6, 8})
    return (
        s,
        len(s),
        8 in s,
        s.union([1], [2]),
        s.intersection([2, 3]),
        s.difference([2]),
        s.symmetric_difference([2, 99]),
    )


@program(({1, 2},))
def in_place(s):
    other = s
    s |= {3}
    s &= {1, 3}
    s -= {1}
    s ^= {9}
    return s is other, s


@program(raising(KeyError))
def remove_missing():
    {1}.remove(5)


@program(raising(KeyError))
def pop_empty():
    set().pop()


@program()
def construction():
    return (
        set(),
        set("aab"),
        {1, 1.0, True},
        {*"ab"},
        set(range(3)),
        frozenset([1, 2]),
        {x % 3 for x in range(10)},
        set({"a": 1}),
    )


@program()
def frozen():
    f = frozenset([1, 2])
    return (
        f | {3},
        type(f | {3}).__name__,
        type({3} | f).__name__,
        f == {1, 2},
        {f: 1}[frozenset([2, 1])],
        hash(f) == hash(frozenset([2, 1])),
        f.union([5]),
        f.copy() is f,
    )


@program()
def errors():
    messages = []
    for action in (
        lambda: {[]},
        lambda: {1} | [2],
        lambda: {1} < [2],
        lambda: set(5),
        lambda: frozenset().add(1),
        lambda: {1}.union(5),
        lambda: {1}.__getitem__(0),
    ):
        try:
            action()
        except (TypeError, AttributeError) as error:
            messages.append(str(error))
    return messages


@program(([3, 1, 3, 2, 1],))
def unique(items):
    seen = set()
    return [x for x in items if not (x in seen or seen.add(x))], sorted(set(items)), len(set(items))


@program()
def pop_one():
    s = {5}
    return s.pop(), s, bool(s)


@program()
def relations():
    a, b = {1, 2}, {1, 2, 3}
    return (
        a.issubset(b),
        b.issuperset(a),
        a <= a,
        a < a,
        a.issubset([1, 2, 5]),
        set() <= a,
        a | set() == a,
        a.isdisjoint([]),
    )


@program()
def membership_of_sets_in_sets():
    return {1} in {frozenset([1])}, frozenset([1]) in {frozenset([1])}, {1, 2} == frozenset([1, 2])


@program(({1, 2, 3},))
def argument_is_mutated(s):
    for x in list(s):
        if x % 2:
            s.remove(x)
    copy = s.copy()
    copy.clear()
    return s, copy


@program()
def subclass():
    class Tags(set):
        def add(self, item):
            super().add(item.lower())

    t = Tags()
    t.add("A")
    return t, type(t | {"b"}).__name__, "a" in t


@program()
def custom_elements():
    class E:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return self.n == other.n

        def __hash__(self):
            return hash(self.n)

    return len({E(1), E(1), E(2)}), E(1) in {E(1)}, len({E(1)} & {E(1), E(3)})
