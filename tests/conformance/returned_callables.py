"""Functions, iterators and generators that leave the program that made them, and state shared through closures."""

from __future__ import annotations

import functools
import itertools
import operator

from tests.conformance.catalogue import program

calls = 0
totals = {"count": 0}


@program()
def closure_is_called_later():
    count = 0

    def step(by=1):
        nonlocal count
        count += by
        return count

    step()
    step(5)
    return step, count


@program()
def two_closures_share_a_cell():
    value = [1]
    number = 1

    def read():
        return number, value

    def write(x):
        nonlocal number
        number = x
        value.append(x)

    write(5)
    return read, write, read()


@program()
def function_attributes():
    def f(a, b=2, *, c=3):
        """Text."""
        return a + b + c

    f.note = ["x"]
    f.__name__ = "renamed"
    return f, f(1), f.__name__, f.__doc__, f.__defaults__, f.__kwdefaults__, f.note, vars(f)


@program()
def recursive_closure():
    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)

    return fact(10), fact


@program()
def mutually_recursive():
    def even(n):
        return True if n == 0 else odd(n - 1)

    def odd(n):
        return False if n == 0 else even(n - 1)

    return even(10), odd(7), even(3)


@program()
def default_is_one_list():
    def add(x, items=[]):  # noqa: B006
        items.append(x)
        return items

    first = add(1)
    second = add(2)
    return first is second, second, add.__defaults__


@program()
def late_binding():
    functions = [lambda: i for i in range(3)]
    bound = [lambda i=i: i for i in range(3)]
    return [f() for f in functions], [f() for f in bound]


@program()
def cell_deleted():
    value = 1

    def read():
        return value

    before = read()
    del value
    try:
        read()
    except NameError as error:
        return before, str(error)


@program(watches=("calls", "totals"))
def global_counter():
    global calls
    calls += 1
    totals["count"] += calls
    totals.setdefault("new", []).append(calls)

    def bump():
        global calls
        calls += 10

    bump()
    return calls, totals


@program()
def decorated():
    log = []

    def logged(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            log.append((function.__name__, args, kwargs))
            return function(*args, **kwargs)

        return wrapper

    @logged
    def add(a, b=1):
        """Adds."""
        return a + b

    return add(1), add(1, b=5), log, add.__name__, add.__doc__, add.__wrapped__(2)


@program()
def partials():
    add = functools.partial(operator.add, 1)
    named = functools.partial(dict, a=1)
    outer = functools.partial(named, b=2)
    return add(2), named(c=3), outer(a=9), outer.func is dict, outer.keywords, add.args, add


@program()
def generator_not_started():
    def numbers(n):
        yield from range(n)

    iterator = numbers(3)
    return iterator.gi_running, sum(numbers(4)), type(iterator).__name__


@program(([1, 2, 3],))
def half_consumed(items):
    iterator = iter(items)
    first = next(iterator)
    items.append(4)
    return first, list(iterator), next(iterator, "end")


@program()
def half_consumed_generators():
    def numbers():
        for i in range(5):
            yield i

    iterator = numbers()
    taken = [next(iterator), next(iterator)]
    return taken, list(zip(iterator, "ab")), list(iterator)


@program()
def iterators_share_their_source():
    source = iter(range(6))
    pairs = list(zip(source, source))
    letters = iter("abcd")
    return pairs, list(zip(letters, itertools.islice(letters, 1, None))), list(letters)


@program()
def enumerate_and_reversed():
    items = ["a", "b", "c"]
    return list(enumerate(reversed(items), 5)), list(reversed(list(enumerate(items)))), [*reversed(range(3))]


@program()
def send_and_return():
    def accumulate():
        total = 0
        while (x := (yield total)) is not None:
            total += x
        return total

    iterator = accumulate()
    steps = [next(iterator), iterator.send(3), iterator.send(4)]
    try:
        iterator.send(None)
    except StopIteration as stop:
        return steps, stop.value


@program()
def delegation_returns_a_value():
    def inner():
        received = yield 1
        return ("inner", received)

    def outer():
        result = yield from inner()
        yield result

    iterator = outer()
    return next(iterator), iterator.send("x"), list(iterator)


@program()
def map_and_filter_are_lazy():
    log = []

    def noted(x):
        log.append(x)
        return x * 2

    mapped = map(noted, [1, 2, 3])
    before = list(log)
    first = next(mapped)
    return before, first, log, list(filter(None, [0, 1, "", "a", [], [0]])), list(filter(lambda x: x > 1, mapped)), log


@program()
def iteration_with_changes():
    items = [1, 2, 3]
    seen = []
    for item in items:
        seen.append(item)
        if item < 3:
            items.append(item + 10)
        if len(items) > 6:
            break
    return seen, items


@program()
def arguments_merged():
    def f(*args, a=0, **kwargs):
        return args, a, kwargs

    extra = {"b": 2}
    more = {"c": 3}
    return f(*[1, 2], *(3,), **extra, **more), f(*"ab", a=1, **{"x y": 1}), f(**dict(a=5)), f(*range(2), **{})


@program()
def keywords_from_a_dictionary():
    def f(x, /, y, *, z):
        return x, y, z

    space = {"y": 1, "z": 2}
    messages = []
    for action in (lambda: f(**space), lambda: f(0, 1, **space), lambda: f(0, **space, w=1), lambda: f(0, **{1: 2})):
        try:
            action()
        except TypeError as error:
            messages.append(str(error).split("<locals>.")[-1])
    return f(0, **space), space, messages


@program()
def methods_as_values():
    items = []
    push = items.append
    for i in range(3):
        push(i)
    upper = "abc".upper
    join = ",".join
    return items, upper(), join(map(str, items)), list(map(str.upper, ["a"])), push.__self__ is items, push.__name__


@program()
def cached_function():
    @functools.lru_cache(maxsize=None)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    return fib(20)


@program()
def reduce_and_accumulate():
    return (
        functools.reduce(operator.mul, [1, 2, 3, 4], 2),
        functools.reduce(lambda a, b: a + [b], [1, 2], []),
        list(itertools.accumulate([1, 2, 3], operator.mul, initial=10)),
        list(itertools.chain.from_iterable([[1], (2, 3), "a"])),
        list(itertools.starmap(pow, [(2, 3), (3, 2)])),
        [list(g) for _, g in itertools.groupby("aabc")],
        list(itertools.takewhile(lambda x: x < 3, itertools.count())),
        list(itertools.pairwise([1, 2, 3])),
    )


@program()
def nested_scopes():
    x = 1

    def outer():
        x = 2

        def inner():
            nonlocal x
            x += 10
            return x

        return inner(), x

    return outer(), x, [x for x in range(3)], x


@program()
def conditional_lambda():
    table = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b}
    return [(name, f(5, 3)) for name, f in sorted(table.items())], (lambda *a, **k: (a, k))(1, z=2)
