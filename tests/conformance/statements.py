"""assert, del, global, walrus, if, conditional expressions, imports, annotations, docstrings, nested scopes."""

from __future__ import annotations

import math
import sys

from .catalogue import program, raising

counter = 0
settings = {"mode": "quiet", "seen": []}
names = ["first"]


@program((1,), raising(AssertionError, 0))
def plain_assert(x):
    assert x
    return "passed"


@program((1,), raising(AssertionError, 0))
def assert_with_message(x):
    assert x > 0, f"{x} is not positive"
    return x


@program()
def assert_message_is_lazy():
    log = []
    assert True, log.append("never")
    try:
        assert not log, log
        assert False, ("tuple", 1)
    except AssertionError as error:
        return error.args, log


@program(([1, 2, 3, 4], {"a": 1, "b": 2}))
def delete_statements(items, mapping):
    x, y = 1, 2
    del x, y
    del items[0], items[-1:]
    del mapping["a"]
    del (items[0],)
    try:
        return x
    except UnboundLocalError as error:
        return str(error)


@program(watches=("counter",))
def global_is_assigned():
    global counter
    counter += 1
    before = counter
    counter = [before]
    return counter


@program(watches=("made_here",))
def global_is_made():
    global made_here
    made_here = {"new": 1}
    return made_here


@program(watches=("counter",))
def global_is_deleted():
    global counter
    del counter
    try:
        return counter
    except NameError as error:
        return str(error)


@program(watches=("settings", "names"))
def global_is_mutated():
    settings["mode"] = "loud"
    settings["seen"].append(names)
    names.append("second")
    return settings["seen"][0] is names


@program(watches=("counter",))
def global_through_functions():
    def bump():
        global counter
        counter += 10
        return counter

    return bump(), bump(), counter


@program(watches=("counter",))
def global_changed_then_exception():
    global counter
    try:
        counter = 7
        raise ValueError(counter)
    except ValueError as error:
        counter += error.args[0]
    return counter


@program(watches=("counter",))
def globals_dictionary():
    globals()["counter"] = "by name"
    return counter, "counter" in globals()


@program(raising(NameError))
def undefined():
    return not_defined_anywhere  # noqa: F821


@program()
def shadowed_builtin():
    def inner(list):
        return list

    max = min  # noqa: F841
    return inner([1]), max(1, 2)


@program((5,), (0,))
def walrus(n):
    if (half := n // 2) > 1:
        result = half
    else:
        result = -half
    items = [y := 1, y**2, y + 5]
    while (n := n - 1) > 3:
        pass
    return result, items, n, (z := 10) + z


@program((5,), (15,), (25,), (-1,))
def if_chain(n):
    if n < 0:
        return "negative"
    elif n < 10:
        return "small"
    elif n < 20:
        if n % 2:
            return "odd"
    else:
        return "large"
    return "even"


@program((None,), ([],), (0,), ("x",))
def conditional_expressions(x):
    return "none" if x is None else "empty" if not x else "full", x is not None, [1, 2][x is None], (x or "default")


@program((None,), (1,))
def none_tests(x):
    seen = []
    if x is None:
        seen.append("is none")
    if x is not None:
        seen.append("is not none")
    while x is None:
        x = 2
    while x is not None:
        x = None
    return seen, x


@program()
def imports_inside():
    import os.path as path
    import string
    from collections import OrderedDict as Ordered
    from math import floor, pi

    return path.join("a", "b"), floor(pi), string.digits, Ordered(a=1), math.pi == pi


@program()
def import_errors():
    messages = []
    try:
        import no_such_module_here  # noqa: F401
    except ModuleNotFoundError as error:
        messages.append((str(error), error.name))
    try:
        from math import nothing_here  # noqa: F401
    except ImportError as error:
        messages.append(str(error).partition("(")[0])
    return messages


@program()
def relative_import():
    from . import catalogue
    from .catalogue import PROGRAMS

    return catalogue.PROGRAMS is PROGRAMS, sys.modules[catalogue.__name__] is catalogue


@program()
def local_annotations():
    x: int = 1
    y: int  # noqa: F842
    (z): int = 2
    return x, z, "y" in locals()


@program()
def expression_statements():
    log = []
    log.append(1)
    [log.append(2), log.append(3)]
    "string"
    ...
    log and log.append(4)
    None
    return log


@program()
def constants():
    return 1_000, 0xFF, 0b11, 0o17, 1e3, 1j, "a", b"b", None, True, ..., (1, (2, "x")), -0.0, frozenset({1}), "ab"[0]


@program()
def implicit_none():
    def nothing():
        pass

    def bare():
        return

    def only_docstring():
        """Doc."""

    return nothing(), bare(), only_docstring(), only_docstring.__doc__


@program()
def multiple_returns():
    def inner(x):
        if x:
            return 1, 2
        return

    return inner(1), inner(0)


@program()
def many_locals():
    a = b = c = d = e = f = g = h = 1
    i, j, k = a + b, c * d, e - f
    for v in (a, b, c, d, e, f, g, h, i, j, k):
        a += v
    return a, locals()["k"]


@program()
def large_constants_and_jumps():
    # Enough names and constants that the compiler needs EXTENDED_ARG.
    table = {
        "k000": 0, "k001": 1, "k002": 2, "k003": 3, "k004": 4, "k005": 5, "k006": 6, "k007": 7, "k008": 8, "k009": 9,
        "k010": 10, "k011": 11, "k012": 12, "k013": 13, "k014": 14, "k015": 15, "k016": 16, "k017": 17, "k018": 18,
    }  # fmt: skip
    total = 0
    for key, value in table.items():
        if value % 2:
            total += value * 1000 + value * 1001 + value * 1002 + value * 1003 + value * 1004 + value * 1005
            total -= value * 2000 + value * 2001 + value * 2002 + value * 2003 + value * 2004 + value * 2005
            total += value * 3000 + value * 3001 + value * 3002 + value * 3003 + value * 3004 + value * 3005
            total -= value * 4000 + value * 4001 + value * 4002 + value * 4003 + value * 4004 + value * 4005
            total += value * 5000 + value * 5001 + value * 5002 + value * 5003 + value * 5004 + value * 5005
            total -= value * 6000 + value * 6001 + value * 6002 + value * 6003 + value * 6004 + value * 6005
            total += value * 7000 + value * 7001 + value * 7002 + value * 7003 + value * 7004 + value * 7005
        else:
            total += len(key)
    return total


@program()
def string_of_names():
    return __name__, __package__, names[0], __doc__ is not None


@program()
def nested_function_docstrings_and_defaults():
    def outer(x=(1, 2), *, y={"k": []}):
        def inner(z=x, *, w=y):
            w["k"].append(z)
            return w

        return inner

    return outer()(), outer()(), outer(x=3)(w={"k": []})
