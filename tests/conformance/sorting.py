"""sorted, list.sort, min and max: keys, stability, reverse, errors."""

from __future__ import annotations

import operator

from .catalogue import program, raising


@program(([3, 1, 2],), ([],), ([1],), ([5, 4, 3, 2, 1],), (["b", "a", "C"],), ([2.5, -1, True],), ([[2], [1, 5], []],))
def plain(items):
    return sorted(items), sorted(items, reverse=True), min(items, default=None), max(items, default="none"), items


@program(([3, 1, 2],))
def in_place(items):
    result = items.sort(), list(items), items.sort(reverse=True), items
    return result


@program((["pear", "fig", "apple", "kiwi"],))
def keys(items):
    return (
        sorted(items, key=len),
        sorted(items, key=lambda s: (-len(s), s)),
        sorted(items, key=str.lower, reverse=True),
        min(items, key=len),
        max(items, key=len),
        sorted(items, key=operator.itemgetter(-1)),
    )


@program()
def stability():
    rows = [(1, "a"), (0, "b"), (1, "c"), (0, "d")]
    return sorted(rows, key=lambda r: r[0]), sorted(rows, key=lambda r: r[0], reverse=True)


@program((100,))
def long_lists(n):
    items = [(i * 37) % n for i in range(n)]
    return sorted(items), sorted(items, key=lambda x: x % 10), sorted(items, reverse=True)[:5]


@program()
def custom_less_than():
    class V:
        def __init__(self, n):
            self.n = n

        def __lt__(self, other):
            return self.n < other.n

    return [v.n for v in sorted([V(3), V(1), V(2)])], max(V(1), V(5), key=lambda v: v.n).n, min([V(4), V(2)]).n


@program(raising(TypeError, [1, "a"]), ([2, 1],))
def not_comparable(items):
    return sorted(items)


@program(raising(ValueError, [3, 1, 2]))
def error_in_key(items):
    def key(x):
        if x == 1:
            raise ValueError(x)
        return x

    items.sort(key=key)


@program(([3, 1, 2],))
def key_is_called_once_each(items):
    log = []

    def key(x):
        log.append(x)
        return -x

    return sorted(items, key=key), log


@program()
def modified_during_sort():
    items = [3, 1, 2]
    try:
        items.sort(key=lambda x: items.append(x) or x)
    except ValueError as error:
        return str(error), items


@program()
def sort_other_iterables():
    return sorted("hello"), sorted({3, 1}), sorted({"b": 1, "a": 2}), sorted(x * x for x in (-2, 1)), sorted((2, 1))


@program()
def extremes():
    return (
        min(3, 1, 2),
        max("a", "b"),
        max([1, 5], [2]),
        min([], default=0),
        max(range(5)),
        max((x for x in "abz"), key=ord),
        min(1, 1.0),
        max(1, 1.0, True),
        min([(1, "b"), (1, "a")]),
        max({"a": 1, "b": 0}),
        max(-5, 3, key=abs),
    )


@program()
def extreme_errors():
    messages = []
    for action in (lambda: max([]), lambda: min(5), lambda: max(), lambda: max(1, "a"), lambda: max(1, 2, default=3)):
        try:
            action()
        except (TypeError, ValueError) as error:
            messages.append(str(error))
    return messages


@program(([5, 3, 8, 1],))
def quick_sort(items):
    def sort(xs):
        if len(xs) <= 1:
            return xs
        pivot, *rest = xs
        return sort([x for x in rest if x < pivot]) + [pivot] + sort([x for x in rest if x >= pivot])

    return sort(items)


@program(([5, 3, 8, 1, 9, 2],))
def merge_sort(items):
    def sort(xs):
        if len(xs) < 2:
            return xs
        half = len(xs) // 2
        left, right, result = sort(xs[:half]), sort(xs[half:]), []
        while left and right:
            result.append((left if left[0] <= right[0] else right).pop(0))
        return result + left + right

    return sort(items)


@program()
def multiple_keys():
    people = [{"n": "b", "a": 2}, {"n": "a", "a": 2}, {"n": "c", "a": 1}]
    return sorted(people, key=operator.itemgetter("a", "n")), sorted(
        people, key=lambda p: (p["a"], p["n"]), reverse=True
    )
