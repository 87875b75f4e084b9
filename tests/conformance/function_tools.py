"""functools: partial, wraps, reduce, lru_cache, cmp_to_key, singledispatch, cached_property, total_ordering."""

from __future__ import annotations

import functools
import operator

from .catalogue import program, raising


@program((2, 3))
def partial(a, b):
    def inner(x, y, z=0, *, k=1):
        return x, y, z, k

    first = functools.partial(inner, a)
    second = functools.partial(first, b, k=5)
    return (
        first(b),
        first(b, 9, k=2),
        second(),
        second(z=4),
        second(k=7),
        second.func is inner,
        second.args,
        second.keywords,
    )


@program(raising(TypeError))
def partial_with_too_many():
    return functools.partial(lambda x: x, 1)(2)


@program()
def partial_of_builtin():
    return functools.partial(int, base=2)("101"), list(map(functools.partial(pow, 2), range(4)))


@program()
def partial_in_class():
    class Thing:
        def scale(self, factor, x):
            return factor * x

        double = functools.partialmethod(scale, 2)
        stored = functools.partial(max, 3)

    return Thing().double(5), Thing().stored(1)


@program()
def wraps():
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*items, **named):
            """Wrapper."""
            return "wrapped", function(*items, **named)

        return wrapper

    @decorate
    def inner(x: int) -> int:
        """Inner."""
        return x

    return inner(5), inner.__name__, inner.__doc__, inner.__wrapped__(6), inner.__annotations__


@program()
def reduce():
    return (
        functools.reduce(lambda a, b: a * b, [1, 2, 3, 4]),
        functools.reduce(operator.add, "abc", ">"),
        functools.reduce(lambda a, b: a + b, [], "start"),
        functools.reduce(lambda a, b: (a, b), range(4)),
    )


@program(raising(TypeError))
def reduce_of_nothing():
    return functools.reduce(lambda a, b: a, [])


@program()
def lru_cache():
    calls = []

    @functools.lru_cache(maxsize=2)
    def square(x):
        calls.append(x)
        return x * x

    values = [square(i) for i in (1, 2, 1, 3, 2)]
    return values, calls, square.cache_info(), square.__wrapped__(9)


@program((15,))
def cache_recursion(n):
    @functools.cache
    def fibonacci(k):
        return k if k < 2 else fibonacci(k - 1) + fibonacci(k - 2)

    return fibonacci(n), fibonacci.cache_info().misses


@program()
def cache_returns_the_same_object():
    @functools.lru_cache
    def make(x):
        return [x]

    return make(1) is make(1), make(1) is make(2)


@program()
def cache_clear():
    @functools.cache
    def inner():
        log.append(1)

    log = []
    inner()
    inner()
    inner.cache_clear()
    inner()
    return log


@program()
def cmp_to_key():
    def compare(a, b):
        return (a % 3 > b % 3) - (a % 3 < b % 3)

    return sorted(range(8), key=functools.cmp_to_key(compare)), max([1, 5, 3], key=functools.cmp_to_key(compare))


@program()
def single_dispatch():
    @functools.singledispatch
    def describe(x):
        return "thing"

    @describe.register
    def _(x: int):
        return f"int {x}"

    @describe.register(list)
    def _(x):
        return [describe(i) for i in x]

    return describe(1), describe(True), describe("s"), describe([1, "a"]), describe.dispatch(bool)(3)


@program()
def cached_property():
    log = []

    class Thing:
        @functools.cached_property
        def value(self):
            log.append("once")
            return [1]

    thing = Thing()
    same = thing.value is thing.value
    stored = "value" in thing.__dict__
    del thing.value
    return same, stored, thing.value, log


@program()
def total_ordering():
    @functools.total_ordering
    class Size:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return self.n == other.n

        def __lt__(self, other):
            return self.n < other.n

    a, b = Size(1), Size(2)
    return a < b, a <= b, a > b, a >= b, a == b, a != b, max(a, b).n


@program()
def partial_attributes():
    function = functools.partial(print, sep="-")
    function.note = "kept"
    return function.note, function.keywords, function.args


@program()
def compose_with_reduce():
    functions = [lambda x: x + 1, lambda x: x * 2, str]
    return functools.reduce(lambda f, g: lambda x: g(f(x)), functions)(3)


@program()
def single_dispatch_method():
    class Printer:
        @functools.singledispatchmethod
        def show(self, x):
            return "other"

        @show.register
        def _(self, x: int):
            return "int"

    return Printer().show(1), Printer().show("a")
