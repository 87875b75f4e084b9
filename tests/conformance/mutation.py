"""What a call changes: its arguments, objects reached from them, aliases among arguments and results."""

from __future__ import annotations

from .catalogue import program, raising


class Box:
    def __init__(self, value=None):
        self.value = value


SHARED = [1]


@program(([1], {"a": 1}, {1}, Box()))
def every_container(items, mapping, chosen, box):
    items.append(2)
    mapping["b"] = items
    chosen.add(3)
    box.value = mapping
    box.extra = chosen


@program(([1],))
def returned_argument(items):
    return items


@program(([1], [2]))
def returned_in_a_container(a, b):
    return {"a": a, "b": [b, b], "copy": a[:]}


@program((SHARED, SHARED), ([1], [1]))
def aliased_arguments(a, b):
    a.append(2)
    return a is b, len(b)


@program(([[1], [2]],))
def elements_swap(items):
    items[0], items[1] = items[1], items[0]
    items[0].append(items[1])


@program((Box(Box([1])),))
def nested_attributes(box):
    box.value.value.append(2)
    box.value.other = box
    inner = box.value
    box.value = inner.value
    return inner.other is box


@program(([3, 1, 2],))
def sort_and_reverse(items):
    items.sort()
    first = list(items)
    items.reverse()
    items[:] = [x * 2 for x in items]
    return first


@program(({"a": {"b": []}},))
def rebind_and_mutate(mapping):
    inner = mapping["a"]
    mapping["a"] = {"new": inner}
    inner["b"].append(mapping["a"] is not inner)
    mapping = {"local": 1}
    return mapping


@program(([],))
def mutation_in_callee(items):
    def add(target, n):
        target.append(n)
        if n:
            add(target, n - 1)
        return target

    return add(items, 3) is items


@program(([1, 2, 3],))
def mutation_in_comprehension(items):
    return [items.pop() for _ in range(2)], items


@program(([1],))
def mutation_through_closure(items):
    def add():
        items.append(len(items))

    add()
    add()


@program(([1],))
def mutation_through_bound_method(items):
    add = items.append
    for f in [add] * 3:
        f(len(items))


@program(([], []))
def move_between(a, b):
    for i in range(4):
        (a if i % 2 else b).append(i)
    a.extend(b)
    b.clear()


@program((Box([1]),))
def default_then_set(box):
    missing = getattr(box, "missing", None)
    box.missing = box.value if missing is None else missing
    box.value = None
    return box.missing


@program(raising(ValueError, [1], Box()))
def mutation_before_exception(items, box):
    items.append(2)
    box.value = items
    raise ValueError(items)


@program((Box(),))
def cycle_is_made(box):
    box.value = [box, {"box": box}]
    return box.value[1]["box"] is box


@program((Box(1),))
def attribute_added_and_deleted(box):
    box.a = 1
    box.b = 2
    del box.a
    del box.value
    box.value = "last"
    return list(vars(box))


@program(([1, 2],))
def identity_in_results(items):
    a = items
    b = [items]
    c = b + [a]
    return a, b, c, b[0] is c[1], (items, [items])


@program(([1],))
def augmented_assignment_on_argument(items):
    before = items
    items += [2]
    items = items + [3]
    items += [4]
    return before, items


@program((1, "a", (1, [2])))
def immutable_arguments_do_not_change(n, s, t):
    n += 1
    s += "b"
    t[1].append(3)
    t += (4,)
    return n, s, t


@program((Box(0),))
def counters(box):
    for _ in range(5):
        box.value += 1
    box.history = getattr(box, "history", []) + [box.value]
    box.history += ["end"]


@program(([5, [6]],))
def replaced_while_held(items):
    inner = items[1]
    items[1] = inner + [7]
    inner.append(8)
    return inner, items


@program(([],))
def object_born_here_and_stored(items):
    class Local:
        pass

    thing = Local()
    thing.items = items
    items.append(thing)
    thing.name = "local"


@program((iter([1, 2, 3]),))
def iterator_argument(iterator):
    first = next(iterator)
    return first, [x * 10 for x in iterator]
