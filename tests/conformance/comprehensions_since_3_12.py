"""Comprehensions that Python 3.12 and later inline (PEP 709): what they hide, leave unbound and close over."""

from __future__ import annotations

from .catalogue import program

COUNT = 0


@program((3,))
def comprehension_hides_its_variable(n):
    i = "outer"
    squares = [i * i for i in range(n)]
    return i, squares


@program((3,))
def comprehension_leaves_unbound(n):
    [i for i in range(n)]
    try:
        return i
    except UnboundLocalError as error:
        return str(error)
    i = 1


@program((3,))
def comprehension_and_a_cell(n):
    x = "outer"
    functions = [lambda: x for x in range(n)]
    return [function() for function in functions], x


@program((3,))
def comprehension_cell_beside_an_outer_cell(n):
    x = "outer"

    def read():
        return x

    inner = [(lambda: x * 2) for x in range(n)]
    x = x + "!"
    return read(), [each() for each in inner], x


@program((4,))
def comprehension_with_a_walrus(n):
    values = [last := i * 2 for i in range(n)]
    return values, last


@program((3,))
def comprehension_raises(n):
    i = "kept"
    try:
        [1 // (i - 1) for i in range(n)]
    except ZeroDivisionError:
        return i
    return None


@program((3,))
def comprehension_raises_in_the_iterable(n):
    i = "kept"
    try:
        [i for i in n]
    except TypeError as error:
        return i, str(error)
    return None


@program((3,))
def nested_comprehensions(n):
    i = j = "outer"
    table = [[i * j for j in range(i + 1)] for i in range(n)]
    return table, {i: [j for j in range(i)] for i in range(n)}, {j for i in range(n) for j in range(i)}, i, j


@program((3,))
def comprehension_reads_locals(n):
    y = 5
    return [sorted(name for name in locals() if name in ("n", "y", "i")) for i in range(1)]


@program((3,))
def locals_after_a_comprehension(n):
    [i for i in range(n)]
    return sorted(locals())


@program((3,))
def comprehension_in_a_class_body(n):
    class Table:
        base = n
        rows = [i for i in range(base)]
        names = [__qualname__.split(".")[-1] for i in range(1)] if False else ["none"]

    return Table.rows, Table.base, Table.names, "i" in vars(Table)


@program((3,))
def comprehension_in_a_lambda(n):
    return (lambda m: [m + i for i in range(m)])(n)


@program((3,))
def comprehension_deletes_nothing(n):
    i = 1
    del i
    rows = [i for i in range(n)]
    try:
        i
    except UnboundLocalError:
        return rows
    return None


@program((3,))
def comprehension_variable_is_a_parameter(n):
    return [n for n in range(n)], n


@program((3,))
def comprehension_variable_is_global(n):
    global COUNT
    COUNT = n
    return [COUNT for COUNT in range(n)], COUNT


program_watching = program((2,), watches=("COUNT",))


@program_watching
def comprehension_writes_a_global(n):
    global COUNT
    [COUNT := i for i in range(n)]
    return COUNT


@program((3,))
def comprehension_variable_is_nonlocal(n):
    x = "outer"

    def inner():
        nonlocal x
        x = "changed"
        return [x for x in range(n)], x

    return inner(), x


@program((3,))
def comprehension_with_conditions_and_unpacking(n):
    pairs = [(i, i + 1) for i in range(n)]
    return [a + b for a, b in pairs if a if b > 1], [first for first, *_ in pairs], {**{k: v for k, v in pairs}}


@program((3,))
def comprehension_in_a_generator(n):
    def rows():
        i = "mine"
        for k in range(n):
            yield [i for i in range(k)], i

    return list(rows())


@program((3,))
def generator_expression_is_not_inlined(n):
    i = "outer"
    generator = (i for i in range(n))
    return next(generator), i, list(generator)


@program((3,))
def comprehension_calls_a_closure_of_itself(n):
    return [(lambda i=i: i)() + (lambda: i)() for i in range(n)]
