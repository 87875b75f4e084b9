"""zip, map, filter, enumerate, reversed, any, all, sum, iter, next, range, and the other built-ins."""

from __future__ import annotations

from .catalogue import program, raising


@program()
def zips():
    return (
        list(zip([1, 2], "ab")),
        list(zip([1, 2, 3], "a")),
        list(zip()),
        list(zip("ab")),
        dict(zip("ab", [1, 2])),
        list(zip(*[(1, 2), (3, 4)])),
        list(zip([1], [2], strict=True)),
        list(zip(range(3), range(3, 6), range(6, 9))),
    )


@program()
def strict_zip():
    messages = []
    for sources in (([1], [1, 2]), ([1, 2], [1]), ([1], [1], []), ([], [], [1])):
        try:
            list(zip(*sources, strict=True))
        except ValueError as error:
            messages.append(str(error))
    return messages


@program()
def zip_consumption():
    a, b = iter([1, 2, 3]), iter([4])
    return list(zip(a, b)), list(a)


@program()
def maps():
    return (
        list(map(str, [1, 2])),
        list(map(lambda a, b: a + b, [1, 2, 3], [10, 20])),
        list(map(None.__class__.__call__, [])),
        sum(map(len, ["a", "bb"])),
        list(map(max, [1, 5], [3, 2], [2, 9])),
        next(map(abs, [-5])),
    )


@program()
def map_is_lazy():
    log = []
    mapped = map(log.append, range(3))
    before = list(log)
    next(mapped)
    return before, log, list(mapped), log


@program()
def filters():
    return (
        list(filter(lambda x: x > 1, [1, 2, 3])),
        list(filter(None, [0, 1, "", "a", []])),
        list(filter(str.isalpha, "a1b")),
    )


@program()
def enumerates():
    return (
        list(enumerate("ab")),
        list(enumerate("ab", 5)),
        list(enumerate([], start=1)),
        dict(enumerate("xy", start=-1)),
    )


@program()
def reverses():
    class Sequence:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return i * 10

    class Own:
        def __reversed__(self):
            return iter("own")

    return (
        list(reversed([1, 2, 3])),
        list(reversed("ab")),
        list(reversed((1, 2))),
        list(reversed(range(3))),
        list(reversed({"a": 1, "b": 2})),
        list(reversed(Sequence())),
        list(reversed(Own())),
    )


@program(raising(TypeError))
def reverse_of_a_set():
    return reversed({1})


@program(([1, 0],), ([],), ([0, ""],), ([[], 1],))
def any_and_all(items):
    return any(items), all(items), any(x == 1 for x in items), all(not x for x in items)


@program()
def any_stops_early():
    log = []
    return any(log.append(x) or x > 1 for x in range(5)), log, all(log.append(x) or x < 1 for x in range(5)), log


@program()
def sums():
    return (
        sum([1, 2, 3]),
        sum([0.1] * 10),
        sum([], 5),
        sum([[1], [2]], []),
        sum((1, 2), start=10),
        sum(x for x in range(4)),
        sum([True, True]),
    )


@program()
def sum_errors():
    messages = []
    for arguments in ((["a"],), (["a"], ""), ([1, "a"],), (5,), ([b"a"], b"")):
        try:
            sum(*arguments)
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def iter_and_next():
    iterator = iter([1, 2])
    values = [next(iterator), next(iterator), next(iterator, "end")]
    try:
        next(iterator)
    except StopIteration as stop:
        return values, stop.args, iter(iterator) is iterator


@program()
def iter_with_sentinel():
    state = [0]

    def step():
        state[0] += 1
        return state[0]

    return list(iter(step, 4)), state


@program()
def iter_errors():
    messages = []
    for action in (
        lambda: iter(5),
        lambda: iter(5, 5),
        lambda: next([]),
        lambda: zip(1),
        lambda: enumerate(5),
        lambda: map(len),
        lambda: map(len, 5),
    ):
        try:
            action()
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def conversions():
    return (
        int("5"),
        float("1.5"),
        str(5),
        bool([]),
        list("ab"),
        tuple([1]),
        set([1, 1]),
        dict([(1, 2)]),
        bytes([65]),
        complex(1, 2),
        frozenset("a"),
    )


@program()
def lengths_and_hashes():
    return (
        len("abc"),
        len({}),
        len(range(0, 10, 3)),
        hash(1) == hash(1.0),
        hash("a") == hash("a"),
        hash(()) == hash(()),
        len((1,)),
    )


@program()
def object_functions():
    class A:
        x = 1

    a = A()
    setattr(a, "y", 2)
    before = getattr(a, "x"), getattr(a, "z", 0), hasattr(a, "y"), vars(a).copy()
    delattr(a, "y")
    return before, vars(a), callable(A), isinstance(a, A), type(a) is A


@program()
def number_functions():
    return abs(-3), divmod(17, 5), pow(2, 3), pow(2, 3, 5), round(2.567, 1), bin(5), hex(255), oct(8), ord("a"), chr(98)


@program()
def evaluation():
    space = {"a": 2}
    exec("b = a * 3", space)
    return eval("1 + 2"), eval("a + b", {"a": 1, "b": 2}), space["b"]


@program()
def compiled():
    code = compile("x + 1", "<made>", "eval")
    return eval(code, {"x": 4})


@program()
def globals_and_locals():
    x = 1
    names = sorted(locals())
    return names, "program" in globals(), x


@program()
def nested_iterators():
    return list(enumerate(zip("ab", map(str, filter(None, [0, 1, 2]))))), list(
        map(list, zip(*map(reversed, [(1, 2), (3, 4)])))
    )


@program()
def length_must_be_sensible():
    class Bad:
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

    messages = []
    for n in (-1, "a", 2.5, 1 << 100):
        try:
            len(Bad(n))
        except (ValueError, TypeError, OverflowError) as error:
            messages.append((type(error).__name__, str(error)))
    return messages


@program()
def ranges():
    r = range(1, 10, 3)
    return (
        list(r),
        r[1],
        r[-1],
        len(r),
        4 in r,
        5 in r,
        r.index(7),
        r.count(4),
        r == range(1, 11, 3),
        list(r[::-1]),
        bool(range(0)),
    )


@program()
def printing_to_a_buffer():
    import io

    buffer = io.StringIO()
    print(1, "a", [2], sep="-", end="!", file=buffer)
    print(file=buffer)
    return buffer.getvalue()


@program(([1, 2, 3, 4],))
def functional_pipeline(items):
    return sum(map(lambda x: x * x, filter(lambda x: x % 2 == 0, items))), list(zip(items, items[1:]))
