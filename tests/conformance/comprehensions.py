"""List, set, dict comprehensions and generator expressions; nesting, conditions, walrus."""

from __future__ import annotations

from .catalogue import program


@program((5,), (0,))
def list_comprehension(n):
    return [i * i for i in range(n)]


@program((10,))
def with_conditions(n):
    return [i for i in range(n) if i % 2 if i % 3], [i if i % 2 else -i for i in range(n)]


@program((3, 4))
def two_loops(n, m):
    return [(i, j) for i in range(n) for j in range(m) if i < j]


@program((3,))
def nested(n):
    return [[i * j for j in range(i + 1)] for i in range(n)]


@program((3,))
def deeply_nested(n):
    return [[[k for k in range(j)] for j in range(i)] for i in range(n + 1)]


@program(("hello world",))
def set_comprehension(text):
    return {c for c in text if c.isalpha()}


@program(("hello",))
def dict_comprehension(text):
    return {c: text.count(c) for c in text}, {v: k for k, v in enumerate(text)}


@program((6,))
def generator_expression(n):
    return sum(i * i for i in range(n)), list(i for i in range(n) if i & 1), tuple(-i for i in range(n))


@program()
def scope_does_not_leak():
    i = "outer"
    squares = [i for i in range(3)]
    return i, squares


@program()
def first_iterable_is_evaluated_outside():
    x = [[1, 2], [3]]
    return [x for x in x for x in x]


@program(([[1, 2], [3], []],))
def flatten(rows):
    return [item for row in rows for item in row], {len(row) for row in rows}


@program(([1, 5, 2, 8],))
def walrus_in_condition(items):
    return [y for x in items if (y := x * 2) > 5], y


@program(([3, 1, 2],))
def walrus_accumulates(items):
    total = 0
    return [total := total + x for x in items], total


@program(([1, 2, 3],))
def walrus_in_any(items):
    if any((found := x) > 1 for x in items):
        return found
    return None


@program(("abc", 3))
def closure_over_comprehension_variables(text, n):
    k = 2
    return [[c * k + str(j) for c in text] for j in range(n)]


@program(([(1, (2, 3)), (4, (5, 6))],))
def unpacking_targets(items):
    return [a + b * c for a, (b, c) in items], {a: [*rest] for a, rest in items}, [y for x, (y, *_) in items]


@program()
def generator_is_lazy():
    seen = []

    def note(x):
        seen.append(x)
        return x

    items = (note(i) for i in range(5))
    first = next(items)
    before = list(seen)
    second = next(items)
    return first, before, second, seen


@program()
def outer_iterable_is_eager():
    def fail():
        raise ValueError("made at once")

    try:
        (x for x in fail())
    except ValueError as error:
        return str(error)


@program()
def inner_iterable_is_lazy():
    def fail():
        raise ValueError("made late")

    items = (y for x in [1] for y in fail())
    try:
        next(items)
    except ValueError as error:
        return str(error)


@program()
def exception_inside():
    try:
        return [1 / x for x in (1, 0, 2)]
    except ZeroDivisionError as error:
        return error.args


@program(({"a": 1, "b": 2},))
def over_dict_views(mapping):
    return (
        [k for k in mapping],
        [v for v in mapping.values()],
        {v: k for k, v in mapping.items()},
        {k: v for k, v in mapping.items() if v > 1},
    )


@program(([1, 2, 3], [4, 5, 6]))
def dot_product(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


@program(([[1, 2, 3], [4, 5, 6]],))
def transpose(rows):
    return [[row[i] for row in rows] for i in range(len(rows[0]))], [list(r) for r in zip(*rows, strict=True)]


@program()
def lambdas_in_comprehension():
    return [f(10) for f in [lambda x, k=k: x * k for k in range(4)]]


@program((30,))
def primes(n):
    return [p for p in range(2, n) if all(p % d for d in range(2, int(p**0.5) + 1))]


@program()
def dict_comprehension_evaluation_order():
    seen = []

    def note(x):
        seen.append(x)
        return x

    result = {note(("key", i)): note(("value", i)) for i in range(2)}
    return result, seen


@program()
def chained_conditionals():
    return ["even" if i % 2 == 0 else "three" if i % 3 == 0 else "odd" for i in range(8)]


@program()
def star_in_displays():
    a, b = [1, 2], (3,)
    return [*a, *b], (*a, 0, *b), {*a, *b}, {**{"x": 1}, "y": 2, **{"x": 3}}, [*[], *()], [*"ab"]


@program()
def comprehension_in_default():
    def inner(items=[i * 2 for i in range(3)]):
        return items

    return inner()


@program()
def comprehension_in_class_body():
    class Inner:
        size = 3
        values = [i for i in range(size)]

    return Inner.values


@program(([1, 2, 3],))
def conditional_walrus_reuse(items):
    return {x: half for x in items if (half := x / 2) and half >= 1}


@program()
def generator_passed_around():
    def consume(items, n):
        return [next(items) for _ in range(n)]

    squares = (i * i for i in range(10))
    return consume(squares, 2), consume(squares, 3), list(squares)
