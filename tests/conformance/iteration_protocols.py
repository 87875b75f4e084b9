"""__iter__ and __next__, the __getitem__ fallback, hashing, iterators as objects, asynchronous code driven by hand."""

from __future__ import annotations

from .catalogue import program, raising


class Countdown:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if self.n <= 0:
            raise StopIteration
        self.n -= 1
        return self.n


@program((Countdown(3),))
def iterator_argument_is_consumed(items):
    return next(items), list(items), list(items), items.n


@program()
def separate_iterator_class():
    class Numbers:
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return Countdown(self.n)

    numbers = Numbers(3)
    return (
        list(numbers),
        [a for a in numbers for b in numbers],
        sum(numbers),
        max(numbers),
        2 in numbers,
        tuple(numbers),
    )


@program()
def getitem_fallback():
    log = []

    class Sequence:
        def __getitem__(self, i):
            log.append(i)
            if i > 2:
                raise IndexError
            return i * i

    s = Sequence()
    return list(s), 4 in s, [x for x in s], log


@program()
def getitem_other_error():
    class Sequence:
        def __getitem__(self, i):
            if i == 2:
                raise KeyError(i)
            return i

    seen = []
    try:
        for x in Sequence():
            seen.append(x)
    except KeyError as error:
        return seen, error.args


@program()
def getitem_ends_with_stop_iteration():
    class Sequence:
        def __getitem__(self, i):
            if i == 2:
                raise StopIteration
            return i

    return list(Sequence())


@program()
def iter_must_return_an_iterator():
    class A:
        def __iter__(self):
            return 5

    class B:
        def __iter__(self):
            return [1]

    messages = []
    for thing in (A(), B()):
        try:
            list(thing)
        except TypeError as error:
            messages.append(str(error))
    return messages


@program(raising(ValueError))
def error_in_next():
    class Broken:
        def __iter__(self):
            return self

        def __next__(self):
            raise ValueError("next")

    return list(Broken())


@program()
def iterator_state():
    iterator = iter([1, 2, 3])
    first = next(iterator)
    for second in iterator:
        break
    return first, second, list(iterator), next(iterator, "over")


@program()
def iterators_of_kinds():
    return [
        (next(iter(x)), type(iter(x)).__name__)
        for x in ([1], (1,), "1", {1}, {1: 2}, {1: 2}.values(), {1: 2}.items(), range(1, 2), b"1", frozenset([1]))
    ]


@program()
def length_hint():
    class Hinted:
        def __iter__(self):
            return iter([1, 2])

        def __length_hint__(self):
            return 10

    return list(Hinted())


@program()
def reversed_of_dict_views():
    d = {"a": 1, "b": 2}
    return list(reversed(d.keys())), list(reversed(d.values()))


@program()
def grouped_reading():
    iterator = iter(range(7))
    return list(zip(iterator, iterator)), next(iterator, None)


@program()
def hash_protocol():
    class A:
        def __init__(self, k):
            self.k = k

        def __hash__(self):
            return hash(self.k)

        def __eq__(self, other):
            return isinstance(other, A) and self.k == other.k

    class Huge:
        def __hash__(self):
            return 2**70

    return hash(A(5)) == hash(5), {A(1): "x"}[A(1)], len({A(1), A(1), A("1")}), hash(Huge()) == hash(2**70)


@program()
def hash_errors():
    class Bad:
        def __hash__(self):
            return "text"

    class Raises:
        def __hash__(self):
            raise KeyError("hash")

    messages = []
    for action in (
        lambda: hash(Bad()),
        lambda: {Raises(): 1},
        lambda: {}[Raises()],
        lambda: hash(([],)),
        lambda: {{}: 1},
    ):
        try:
            action()
        except (TypeError, KeyError) as error:
            messages.append(str(error))
    return messages


@program()
def hash_is_inherited_or_dropped():
    class A:
        def __hash__(self):
            return 1

    class B(A):
        pass

    class C(A):
        def __eq__(self, other):
            return True

    class D(A):
        __hash__ = A.__hash__

        def __eq__(self, other):
            return True

    return hash(B()), C.__hash__, hash(D()), len({D(), D()})


@program()
def equal_numbers_hash_equal():
    return (
        hash(1) == hash(1.0) == hash(True),
        hash(-1) == hash(-2),
        {1: "a"}[1.0],
        {1, 1.0, True},
        hash(0.5) == hash(0.5),
    )


def drive(coroutine):
    """Run a coroutine to its end, answering each wait with the number of waits so far."""
    waits, answer = [], None
    while True:
        try:
            waits.append(coroutine.send(answer))
            answer = len(waits)
        except StopIteration as stop:
            return waits, stop.value


class Wait:
    def __init__(self, tag):
        self.tag = tag

    def __await__(self):
        got = yield self.tag
        return ("got", got)


@program(may_break=True)
def coroutine():
    async def inner(tag):
        return await Wait(tag)

    async def outer():
        a = await inner("a")
        b = await inner("b")
        return a, b

    return drive(outer())


@program(may_break=True)
def asynchronous_loop_and_context():
    log = []

    class Source:
        def __init__(self):
            self.n = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.n += 1
            if self.n > 2:
                raise StopAsyncIteration
            return await Wait(self.n)

    class Manager:
        async def __aenter__(self):
            log.append("enter")
            return "managed"

        async def __aexit__(self, *error):
            log.append(error[0])
            return True

    async def outer():
        async with Manager() as m:
            async for x in Source():
                log.append((m, x))
            raise ValueError
        return [x async for x in Source()], {x: 1 async for x in Source() if x}

    return drive(outer()), log


@program(may_break=True)
def asynchronous_generator():
    async def items():
        for i in range(2):
            got = yield await Wait(i)
            assert got is None

    async def outer():
        return [x async for x in items()]

    return drive(outer())


@program(may_break=True)
def coroutine_is_closed():
    async def inner():
        return 1

    c = inner()
    name = type(c).__name__
    c.close()
    return name
