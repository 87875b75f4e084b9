"""copy and deepcopy: containers, instances, aliasing, cycles, hooks."""

from __future__ import annotations

import copy

from .catalogue import program


@program(([1, [2, {"a": [3]}]],))
def deep_containers(items):
    other = copy.deepcopy(items)
    other[1][1]["a"].append(4)
    return items, other, other[1] is items[1]


@program(([1, [2]],))
def shallow_containers(items):
    other = copy.copy(items)
    other[1].append(3)
    other.append(4)
    return items, other, other[1] is items[1]


@program(({"a": [1]},))
def several_ways(mapping):
    return [
        mapping.copy()["a"] is mapping["a"],
        dict(mapping) == mapping,
        copy.copy(mapping)["a"] is mapping["a"],
        copy.deepcopy(mapping)["a"] is mapping["a"],
        sorted(mapping) == [*mapping],
    ]


@program()
def aliasing_is_kept():
    shared = [1]
    a, b = copy.deepcopy([shared, shared])
    return a is b, a is shared


@program()
def cycles():
    items = [1]
    items.append(items)
    other = copy.deepcopy(items)
    return other[1] is other, other is items


@program()
def tuples():
    plain = (1, "a", (2,))
    mixed = (1, [2])
    return copy.deepcopy(plain) is plain, copy.deepcopy(mixed) is mixed, copy.copy(mixed) is mixed, copy.deepcopy(mixed)


@program()
def sets():
    items = {1, (2, 3)}
    return copy.copy(items), copy.deepcopy(items) == items, copy.deepcopy(frozenset([1]))


@program()
def instances():
    class Thing:
        def __init__(self):
            self.items = [1]
            self.me = self

    thing = Thing()
    shallow, deep = copy.copy(thing), copy.deepcopy(thing)
    return (
        shallow.items is thing.items,
        deep.items is thing.items,
        deep.me is deep,
        shallow.me is thing,
        type(deep) is Thing,
    )


@program()
def hooks():
    class Thing:
        def __init__(self, n):
            self.n = n

        def __copy__(self):
            return Thing(("copied", self.n))

        def __deepcopy__(self, memo):
            return Thing(("deep", copy.deepcopy(self.n, memo)))

    return copy.copy(Thing(1)).n, copy.deepcopy(Thing([2])).n, copy.deepcopy([Thing(3)])[0].n


@program()
def slots():
    class Thing:
        __slots__ = ("a", "b")

    thing = Thing()
    thing.a = [1]
    return copy.copy(thing).a is thing.a, copy.deepcopy(thing).a, hasattr(copy.copy(thing), "b")


@program()
def functions_and_classes_are_shared():
    def inner():
        return None

    return copy.deepcopy(inner) is inner, copy.deepcopy([int, len])[0] is int, copy.copy(int) is int


@program()
def state_hooks():
    class Thing:
        def __init__(self):
            self.keep, self.drop = [1], 2

        def __getstate__(self):
            return {"keep": self.keep}

        def __setstate__(self, state):
            self.__dict__.update(state, restored=True)

    return vars(copy.copy(Thing())), vars(copy.deepcopy(Thing()))


@program()
def memo():
    shared = [1]
    table = {}
    a = copy.deepcopy(shared, table)
    b = copy.deepcopy(shared, table)
    return a is b


@program()
def subclass_of_list_and_dict():
    class Items(list):
        pass

    class Table(dict):
        pass

    items, table = Items([[1]]), Table(a=[2])
    items.note = "kept"
    return (
        copy.copy(items).note,
        type(copy.deepcopy(items)).__name__,
        copy.deepcopy(table),
        copy.copy(items)[0] is items[0],
    )
