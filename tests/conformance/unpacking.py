"""Tuple, list, star and nested unpacking; swaps; displays with stars."""

from __future__ import annotations

from .catalogue import program, raising


@program(((1, 2, 3),), ([1, 2, 3],), ("abc",), (range(3),), ({1: 0, 2: 0, 3: 0},))
def three(items):
    a, b, c = items
    return a, b, c


@program(([1, 2, 3, 4],), ("ab",), (iter([1, 2, 3]),))
def stars(items):
    items = list(items)
    first, *rest = items
    *start, last = items
    a, *middle, b = items
    return first, rest, start, last, a, middle, b


@program()
def nested():
    (a, b), [c, (d, *e)], f = (1, 2), [3, (4, 5, 6)], 7
    return a, b, c, d, e, f


@program()
def swap():
    a, b, c = 1, 2, 3
    a, b = b, a
    a, b, c = c, a, b
    return a, b, c


@program(([1, 2, 3],))
def swap_items(items):
    items[0], items[2] = items[2], items[0]
    i = 0
    i, items[i] = 1, "x"
    return items, i


@program()
def chained_assignment():
    a = b = [1]
    c, d = e = (2, 3)
    x = y, z = "pq"
    return a is b, c, d, e, x, y, z


@program()
def single():
    (a,) = [1]
    [b] = "x"
    (*c,) = range(3)
    return a, b, c


@program(raising(ValueError, (1,)), raising(ValueError, (1, 2, 3)), raising(TypeError, 5), ((1, 2),))
def exact_length(items):
    a, b = items
    return a + b


@program()
def messages():
    results = []

    def attempt(action):
        try:
            action()
        except (ValueError, TypeError) as error:
            results.append(str(error))

    def too_many():
        a, b = 1, 2, 3  # type: ignore

    def too_few():
        a, b, c = iter([1])

    def star_too_few():
        a, b, *c = [1]

    def not_iterable():
        a, b = None  # type: ignore

    def star_after():
        *a, b, c = [1]

    for action in (too_many, too_few, star_too_few, not_iterable, star_after):
        attempt(action)
    return results


@program()
def partial_unpack_of_an_iterator():
    iterator = iter(range(10))
    try:
        a, b = iterator
    except ValueError:
        return next(iterator)


@program()
def displays():
    a, b = [1, 2], {"x": 1}
    return [*a, 3, *a], (*a,), {*a, 5}, {**b, "y": 2, **{"x": 9}}, [*b], [*range(2), *"ab"], (*a, *a), {**b}


@program()
def display_errors():
    messages = []
    for action in (lambda: [*5], lambda: (*None,), lambda: {**5}, lambda: {*[[]]}):
        try:
            action()
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def in_for_targets():
    return [a + b + sum(c) for a, (b, *c) in [(1, (2, 3, 4)), (5, (6,))]], [k + v for k, v in {"a": "b"}.items()]


@program()
def attribute_and_subscript_targets():
    class Holder:
        pass

    holder, items = Holder(), [0, 0]
    holder.x, items[0], (holder.y, *items[1:]) = 1, 2, (3, 4, 5)
    return holder, items


@program()
def evaluation_order():
    log = []

    def note(x):
        log.append(x)
        return x

    table = {}
    table[note("a")], table[note("b")] = note(1), note(2)
    return table, log


@program()
def return_and_yield_stars():
    def returned():
        rest = [2, 3]
        return 1, *rest

    def yielded():
        rest = [2, 3]
        yield 1, *rest

    return returned(), list(yielded())


@program()
def unpack_custom_iterables():
    class ByIter:
        def __iter__(self):
            return iter([1, 2])

    class ByItem:
        def __getitem__(self, i):
            return [3, 4][i]

    a, b = ByIter()
    c, d = ByItem()
    return a, b, c, d, [*ByItem(), *ByIter()]


@program()
def subscript_with_star():
    class Show:
        def __getitem__(self, key):
            return key

    rest = (1, 2)
    return Show()[*rest], Show()[0, *rest, 3]


@program((5,))
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


@program((48, 18))
def euclid(a, b):
    while b:
        a, b = b, a % b
    return a
