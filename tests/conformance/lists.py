"""list and tuple: methods, operators, comparisons, aliasing."""

from __future__ import annotations

from .catalogue import program, raising


@program(([3, 1, 2],))
def list_methods(items):
    items.append(4)
    items.extend((5, 6))
    items.insert(0, "first")
    items.insert(-1, "before last")
    items.insert(100, "end")
    items.remove(1)
    popped = items.pop(), items.pop(0), items.pop(-2)
    items.reverse()
    return popped, items, items.index(2), items.count(3), len(items), items.copy() is items


@program()
def list_errors():
    messages = []
    for action in (
        lambda: [].pop(),
        lambda: [1].pop(5),
        lambda: [1].remove(2),
        lambda: [1].index(2),
        lambda: [1, 2, 1].index(1, 1, 2),
        lambda: [1].extend(5),
        lambda: [1] + (2,),
        lambda: [1] * "a",
        lambda: [1] < [None] and [1] < ["a"],
        lambda: [1].insert("a", 1),
        lambda: [1].append(),
        lambda: [1].sort(None),
    ):
        try:
            action()
        except (IndexError, ValueError, TypeError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program(([1, 2],))
def list_operators(items):
    other = items
    items += [3]
    third = items + [4]
    items *= 2
    return items is other, third, [0] * 3, 2 * [1, 2], [1] * 0, [] + [], items, 3 in items, [1] in [[1]]


@program(([1],))
def plus_equals_with_any_iterable(items):
    items += "ab"
    items += (x for x in range(2))
    items += {"k": 1}
    return items


@program()
def comparisons():
    return (
        [1, 2] == [1, 2],
        [1, 2] != [1, 3],
        [1, 2] < [1, 3],
        [1] < [1, 0],
        [] < [0],
        [2] > [1, 9],
        (1, "a") <= (1, "b"),
        [1] == (1,),
        [[1]] == [[1]],
        (1, 2, 3) >= (1, 2),
        [1.0] == [1],
        [True] == [1],
    )


@program()
def construction():
    return (
        list(),
        list("abc"),
        list(range(3)),
        list({"a": 1}),
        [*range(2)],
        list((1, 2)),
        [[]] * 2,
        list(x for x in "xy"),
    )


@program()
def repeated_inner_list_is_shared():
    rows = [[0]] * 3
    rows[0].append(1)
    separate = [[0] for _ in range(3)]
    separate[0].append(1)
    return rows, separate


@program(([1, 2, 3],))
def clear_and_delete(items):
    other = items[:]
    items.clear()
    del other[0], other[-1]
    return items, other


@program(([1, [2]],))
def aliasing(items):
    a = items
    b = items[1]
    b.append(a[0])
    a[0] = b
    return a[0] is a[1], items


@program(([],))
def list_contains_itself(items):
    items.append(items)
    return items[0] is items, len(items)


@program(([],))
def append_return_value(items):
    return items.append(1), items.extend([2]), items.sort(), items.reverse(), items


@program(([5, 3],))
def stack_and_queue(items):
    items.append(7)
    a = items.pop()
    b = items.pop(0)
    items.insert(0, 1)
    return a, b, items


@program(((1, 2, 3, 2),))
def tuple_methods(t):
    return (
        t.count(2),
        t.index(3),
        t + (4,),
        t * 2,
        t[0],
        t[-2:],
        len(t),
        2 in t,
        (),
        (1,),
        tuple("ab"),
        tuple([1]),
        t == (1, 2, 3, 2),
    )


@program(raising(TypeError, (1, 2)))
def tuple_is_immutable(t):
    t[0] = 5


@program(raising(TypeError, ([1],)))
def tuple_plus_equals_on_item(t):
    t[0] += [2]


@program(((1, [2]),))
def tuple_with_mutable(t):
    t[1].append(3)
    return t, t[1]


@program()
def tuple_hash_and_keys():
    return {(1, 2): "a"}[(1, 2)], hash((1, "a")) == hash((1, "a")), {(1, (2, 3))} == {(1, (2, 3))}


@program()
def tuple_rebinding():
    t = (1, 2)
    u = t
    t += (3,)
    return t, u


@program()
def equality_uses_identity_first():
    class Never:
        def __eq__(self, other):
            return False

    n = Never()
    return n == n, [n] == [n], n in [n], [n].index(n), [n].count(n), (n,) == (n,), {"k": n} == {"k": n}


@program()
def search_uses_eq():
    class Even:
        def __eq__(self, other):
            return other % 2 == 0

    items = [1, 3, 4, 6]
    return items.index(Even()), items.count(Even()), Even() in items, items.remove(Even()), items


@program(([[3, 1], [2]],))
def sort_inner(rows):
    for row in rows:
        row.sort()
    rows.sort(key=len)
    return rows


@program((4,))
def matrix(n):
    m = [[i * n + j for j in range(n)] for i in range(n)]
    for i in range(n):
        for j in range(i):
            m[i][j], m[j][i] = m[j][i], m[i][j]
    return m, [row[::-1] for row in m]


@program()
def subclass():
    class Log(list):
        def append(self, item):
            super().append(("logged", item))

        def __getitem__(self, i):
            return ("got", super().__getitem__(i))

    log = Log([1])
    log.append(2)
    log += [3]
    log.extend([4])
    return log, log[0], list(log), log.pop(), [*log], type(log + []).__name__, log.index(1)


@program()
def length_hint_and_iteration():
    items = [1, 2, 3]
    iterator = iter(items)
    next(iterator)
    items.append(4)
    return iterator.__length_hint__(), list(iterator), list(iterator)
