"""Plain functions, one a language feature, that the tests of continuations enter at every instruction.

Each row of PROGRAMS is (function, arguments); a list argument is a log that the function may append to.
"""

from __future__ import annotations

import ast
import difflib
import fnmatch
import fractions
import shlex
import statistics
import string
import sys
import textwrap
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def straight(a, b):
    c = a + b * 2
    d = f"{a!r:>{b}}" + f"{c:x}"
    return [c, d, (a, b), {a: b, **{"k": d}}, a < b, not a, -b, a[0:1] if d is None else d[0:2:1]]


def branches(a, b):
    result = []
    if a > b and b or a is None:
        result.append("first")
    elif a not in (1, 2, 3):
        result.append("second")
    else:
        result.append("third")
    return result, a if b else -a, 0 < a < b


def loops(n):
    found = []
    for i in range(n):
        if i == 1:
            continue
        for j in range(i):
            if j == 3:
                break
            found.append((i, j))
        else:
            found.append("no break")
    else:
        found.append("end")
    while n:
        n -= 1
        found += [n]
    return found


def calls(log, *rest, flag=True, **named):
    def inner(*a, **k):
        return a, sorted(k.items())

    log.append(inner(1, *rest, x=2, **named))
    log.extend([inner(inner, key=inner(3)[0])[1][0][0], max(1, 2, key=lambda v: -v)])
    return log.index(log[0]), str.upper("a"), "b".upper(), inner(flag), sorted(rest, reverse=True)


def closures(x, log):
    total = 0

    def add(y):
        nonlocal total
        total += x + y
        return lambda: total

    for step in range(3):
        get = add(step)
        log.append(get())
    x = 5
    return add(1)(), total, x


def cell_argument_deleted(x):
    read = lambda: x  # noqa: E731
    first = read()
    del x
    try:
        read()
    except NameError as error:
        second = str(error)
    try:
        x  # noqa: B018
    except UnboundLocalError as error:
        third = str(error)
    x = 3
    return first, second, third, read()


def comprehensions(n):
    y = 2
    return (
        [i * y for i in range(n) if i],
        {i: [j for j in range(i)] for i in range(n)},
        {i % y for i in range(n)},
        sum(i for i in range(n)),
    )


def handlers(n, log):
    for value in (1, 0, "a", None, [], n):
        try:
            log.append(10 // value)
        except ZeroDivisionError as error:
            log.append(str(error))
            continue
        except (TypeError, KeyError):
            log.append(type(sys.exception()).__name__)
            if value is None:
                break
        else:
            log.append("fine")
        finally:
            log.append(("finally", value))
    return log, sys.exc_info()


def nested_handlers(log):
    try:
        try:
            raise KeyError("a")
        except KeyError as first:
            log.append(repr(sys.exception()))
            try:
                raise ValueError("b")
            except ValueError as second:
                log.append((repr(second.__context__), repr(sys.exception())))
                try:
                    log.index("nothing")
                except ValueError:
                    log.append("inner")
            log.append((repr(sys.exception()), repr(first)))
            raise IndexError("c") from first
        finally:
            log.append(repr(sys.exception()))
    except IndexError as third:
        log.append((repr(third.__cause__), repr(third.__context__)))
    log.append(sys.exception())
    try:
        raise OSError("d")
    except OSError as fourth:
        log.append(repr(fourth.__context__))
    return log


def uncaught(log):
    try:
        log.append(1)
        raise ValueError("not caught")
    except KeyError:
        log.append("never")
    finally:
        log.append(repr(sys.exception()))


def raised_in_handler(log):
    try:
        log.append(1 // 0)
    except ZeroDivisionError:
        log.append("handled")
        raise
    log.append("never")


def context_of_new_exception(log):
    try:
        log.append({}["missing"])
    except KeyError:
        pass
    raise ValueError("has no context")


def return_in_finally(log):
    for i in range(3):
        try:
            try:
                if i == 0:
                    continue
                return [i]
            finally:
                log.append(i)
        except TypeError:
            return None
    return log


def return_in_handler(x):
    try:
        try:
            return 1 // x
        except ZeroDivisionError as error:
            return [str(error)]
    finally:
        x = 4


class Manager:
    def __init__(self, log, swallow):
        self.log, self.swallow = log, swallow

    def __enter__(self):
        self.log.append("enter")
        return self

    def __exit__(self, kind, value, traceback):
        self.log.append(("exit", kind and kind.__name__, repr(value), traceback is None))
        return self.swallow


def contexts(log):
    with Manager(log, True) as first, Manager(log, False):
        log.append(first.swallow)
        raise ValueError("swallowed")
    log.append("after")
    for _ in range(2):
        with Manager(log, False):
            if len(log) > 6:
                break
            log.append("loop")
    with Manager(log, False):
        return log


def context_raises(log):
    with Manager(log, False):
        log.append("body")
        log.missing  # noqa: B018


@contextmanager
def managed(log) -> Iterator[int]:
    try:
        log.append("begin")
        yield 5
    finally:
        log.append("end")


def generator_context(log):
    with managed(log) as five:
        log.append(five)
        try:
            log.append(five // 0)
        except ZeroDivisionError:
            log.append("zero")
    return sum(x for x in log if isinstance(x, int))


def exception_groups(log):
    try:
        try:
            raise ExceptionGroup("many", [ValueError(1), TypeError(2), KeyError(3)])
        except* ValueError as group:
            log.append(("value", len(group.exceptions), repr(sys.exception())))
        except* TypeError:
            log.append(("type", repr(sys.exception())))
            raise OSError("again") from None
    except ExceptionGroup as rest:
        log.append([repr(each) for each in rest.exceptions])
    return log


def unpacking(items):
    a, (b, *c), *d = items
    (e, f), g = (a, b), c
    a, b = b, a
    first, *_ = d or [0]
    return a, b, c, d, e, f, g, first, [*items, *c], {**{"a": a}}, {*c}


def patterns(subject):
    match subject:
        case [1, x, *rest] if rest:
            return "list", x, rest
        case {"key": value, **others}:
            return "map", value, others
        case complex(real=r, imag=0.0):
            return "complex", r
        case str() | None as it:
            return "text", it
        case _:
            return "other", subject


def deletes(log):
    a = b = 1
    del a
    try:
        log.append(a)
    except UnboundLocalError as error:
        log.append(str(error))
    del log[0]
    c = {1: 2}
    del c[1]
    a = b
    return a, b, c, sorted(locals())


def attributes(x):
    x.a = 1
    x.a += 2
    x.b = x.c = [x.a]
    x.b[0] += 1
    x.b[0:1] = [x.b[0], 9]
    del x.c
    return x.a, x.b, sorted(vars(x)), getattr(x, "zz", None)


class Holder:
    def __repr__(self):
        return f"Holder({sorted(vars(self).items())})"


class Base:
    def method(self, x):
        return ["base", x]


class Derived(Base):
    def method(self, x, *rest):
        result = super().method(x)
        for each in rest:
            result.append(each)
            result += super().method(each)
        return result

    def captured(self, x):
        reader = lambda: (self, x)  # noqa: E731
        result = super().method(x)
        del x
        result.append(type(reader()[0] if result is None else self).__name__)
        return result + super().method(1)

    def shadow(self, a, b):
        c = a + b
        del a
        d = [b, c]
        del b
        return super().method(d), c

    def __repr__(self):
        return "Derived()"


def walrus_assert_import(n):
    import os.path as path
    from math import floor, pi

    if (m := n + 1) > 3:
        assert m > 3, "no"
    assert n < 100
    try:
        assert n > 50, f"small {n}"
    except AssertionError as error:
        return m, str(error), floor(pi), path.sep
    return m


GLOBAL = 1


def global_names(log):
    global GLOBAL
    before = GLOBAL
    GLOBAL = 7
    log.append(GLOBAL)
    GLOBAL = before
    return log, len(log), GLOBAL


def makes_classes(x):
    class Local(Base):
        y = x

        def method(self, z: int = 3, *, w: str = "w"):
            return super().method((z, w, x, self.y))

    @staticmethod
    def decorated(a, b=x):
        return a, b

    return Local().method(), decorated(1)


def wide(count: int) -> Callable[..., Any]:
    """A function with over 256 constants and variables, so that instructions need prefixes."""
    lines = ["def wide_function(n, log):", "    total = 0", "    for k in range(n):"]
    lines += [f"        v{i} = {i + 1000} + k" for i in range(count)]
    lines += ["        try:", f"            total += v{count - 1} // (k - 1)", "        except ZeroDivisionError as e:"]
    lines += ["            log.append(str(e)); log.append(sys.exception() is e)"]
    lines += [f"        total += v{i}" for i in range(0, count, 7)]
    lines += ["    return total, log"]
    space: dict[str, Any] = {"sys": sys}
    exec("\n".join(lines), space)
    return space["wide_function"]


PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (straight, (3, 4)),
    (branches, (3, 2)),
    (branches, (5, 0)),
    (branches, (2, 9)),
    (loops, (6,)),
    (calls, ([], 4, 2)),
    (closures, (2, [])),
    (cell_argument_deleted, (4,)),
    (comprehensions, (4,)),
    (handlers, (2, [])),
    (nested_handlers, ([],)),
    (uncaught, ([],)),
    (raised_in_handler, ([],)),
    (context_of_new_exception, ([],)),
    (return_in_finally, ([],)),
    (return_in_handler, (0,)),
    (return_in_handler, (2,)),
    (contexts, ([],)),
    (context_raises, ([],)),
    (generator_context, ([],)),
    (exception_groups, ([],)),
    (unpacking, ([1, [2, 3, 4], 5, 6],)),
    (unpacking, ([1],)),
    (patterns, ([1, 2, 3],)),
    (patterns, ({"key": 1, "b": 2},)),
    (patterns, (3 + 0j,)),
    (patterns, ("text",)),
    (patterns, (4,)),
    (deletes, ([1, 2],)),
    (attributes, (Holder(),)),
    (Derived.method, (Derived(), 1, 2, 3)),
    (Derived.captured, (Derived(), 1)),
    (Derived.shadow, (Derived(), 1, 2)),
    (walrus_assert_import, (4,)),
    (global_names, ([],)),
    (makes_classes, (8,)),
    (wide(260), (3, [])),
]

FROM_THE_STANDARD_LIBRARY: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (textwrap.dedent, ("  a\n    b\n  c",)),
    (textwrap.TextWrapper._wrap_chunks, (textwrap.TextWrapper(width=8), ["some", " ", "words", " ", "wrapped"])),
    (ast.literal_eval, ("{'a': [1, -2.5, (3, 4j)], 'b': {5}}",)),
    (fnmatch.translate, ("*.p[a-z]?[!x]**",)),
    (fractions.Fraction.__new__, (fractions.Fraction, "3/9")),
    (statistics.linear_regression, ([1.0, 2.0, 3.0], [2.0, 4.5, 6.0])),
    (shlex.quote, ("it's",)),
    (shlex.shlex.read_token, (shlex.shlex("'quoted' word # comment", posix=True),)),
    (string.Formatter.vformat, (string.Formatter(), "{} {b!r:>{c}}", (1,), {"b": 2, "c": 5})),
    (urllib.parse.urlsplit.__wrapped__, ("http://user@host:80/path;x?q=1#f",)),
    (urllib.parse.urlencode, ({"a": [1, 2], "b": "c d"}, True)),
    (difflib.SequenceMatcher.find_longest_match, (difflib.SequenceMatcher(None, "abcd", "bcde"), 0, 4, 0, 4)),
    (difflib.SequenceMatcher.get_matching_blocks, (difflib.SequenceMatcher(None, "abxcd", "abcd"),)),
]
