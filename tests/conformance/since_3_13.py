"""What Python 3.13 added: `locals()` that is a snapshot, what classes keep of their bodies, `copy.replace`."""

from __future__ import annotations

import copy
import dataclasses
import sys
import types
import typing
import warnings

from .catalogue import program, raising

# `locals()` (PEP 667).


@program((3,))
def locals_are_a_snapshot(n):
    before = locals()
    later = n + 1
    return sorted(before), "later" in before, sorted(locals())


@program((3,))
def writes_to_locals_are_lost(n):
    locals()["n"] = 10
    table = locals()
    table["n"] = 11
    return n, table["n"], locals()["n"], table is locals()


@program((3,))
def locals_in_a_comprehension(n):
    return [sorted(locals()) for i in range(1)], [locals()["i"] for i in range(n)]


@program((3,))
def locals_with_cells(n):
    def read():
        return n

    table = locals()
    n = 5
    return table["n"], read(), sorted(locals())


@program((3,))
def exec_sees_a_snapshot(n):
    exec("n = 10; m = n + 1")
    namespace = locals()
    exec("m = n + 1", globals(), namespace)
    return n, namespace["m"], "m" in locals()


@program((3,))
def eval_in_a_comprehension(n):
    return [eval("i + n") for i in range(n)]


@program((3,))
def locals_of_a_class_body(n):
    class Body:
        first = n
        table = dict(locals())
        locals()["second"] = n + 1

    return Body.first, Body.second, sorted(name for name in Body.table if not name.startswith("__"))


@program((3,))
def locals_of_a_generator(n):
    def rows():
        k = n
        yield sorted(locals())
        k += 1
        yield locals()["k"]

    return list(rows())


# What classes keep.


class Kept:
    def __init__(self):
        self.x = 1
        self.y, self.z = 2, 3

    def more(self):
        self.later = [1]
        del self.x


@program()
def static_attributes():
    return sorted(Kept.__static_attributes__), type(Kept.__static_attributes__), "__firstlineno__" in vars(Kept)


@program()
def static_attributes_of_a_class_made_inside():
    class Made:
        limit = 1

        def set(self, x):
            self.a = self.b = x

            def inner():
                self.c = x

            return inner

    return sorted(Made.__static_attributes__), Made.__firstlineno__ > 0, sorted(vars(Made))


@program()
def static_attributes_are_ordinary_names():
    class Made:
        def method(self):
            self.a = 1

    Made.__static_attributes__ = ("other",)
    del Made.__firstlineno__
    return Made.__static_attributes__, hasattr(Made, "__firstlineno__")


@program()
def line_of_a_decorated_class():
    def same(cls):
        return cls

    line = sys._getframe().f_lineno

    @same
    class Made:
        pass

    return Made.__firstlineno__ - line


@program()
def docstring_is_stripped():
    def function():
        """First.

        Indented.
            More.
        """

    return function.__doc__


# copy.replace.


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


class Replaced:
    def __init__(self, **fields):
        self.fields = fields

    def __replace__(self, /, **changes):
        return type(self)(**self.fields | changes)


class Row(typing.NamedTuple):
    a: int
    b: int = 2


@program((5,))
def replaced_data_class(x):
    point = copy.replace(Point(1, 2), x=x)
    return point, copy.replace(point), copy.replace(point, y=x).y


@program((5,))
def replaced_named_tuple(x):
    return copy.replace(Row(1), b=x), copy.replace(types.SimpleNamespace(a=1), b=x)


@program((5,))
def replaced_by_a_method(x):
    return copy.replace(Replaced(a=1), b=x, a=x + 1).fields


@program(raising(TypeError, 5))
def replaced_without_a_method(x):
    return copy.replace(x, a=1)


@program(raising(TypeError, 5))
def replaced_with_an_unknown_field(x):
    return copy.replace(Point(1), z=x)


# Type parameters with defaults (PEP 696).


def first[T = int, *Ts = *tuple[int, str], **P = [int]](value: T) -> T:
    return value


@program((5,))
def defaults_of_type_parameters(x):
    names = [parameter.__name__ for parameter in first.__type_params__]
    return first(x), names, [parameter.has_default() for parameter in first.__type_params__]


@program()
def defaults_are_lazy():
    seen = []

    def default():
        seen.append(1)
        return int

    def function[T = default()](value: T) -> T:
        return value

    result = [function(1), len(seen)]
    return [*result, function.__type_params__[0].__default__ is int, len(seen)]


@program()
def default_that_raises():
    def function[T = missing](value: T) -> T:
        return value

    try:
        return function.__type_params__[0].__default__
    except NameError as error:
        return str(error)


@program()
def no_default():
    def function[T](value: T) -> T:
        return value

    return function.__type_params__[0].__default__ is typing.NoDefault


# Other additions.


@program(("banana",))
def replaced_a_number_of_times(text):
    return text.replace("a", "o", count=2), text.replace("a", "o")


@program()
def deprecated_function():
    @warnings.deprecated("old", category=None)
    def old(x):
        return x + 1

    return old(1), old.__deprecated__


@program((3,))
def class_method_of_a_property(n):
    class Chain:
        @classmethod
        @property
        def value(cls):
            return n

    return type(Chain.value).__name__


@program(([3, 1, 2],))
def loop_variable_after_a_break_in_a_comprehension(items):
    i = "kept"
    total = sum([i * 2 for i in items])
    for i in items:
        if i == 1:
            break
    return i, total


@program(raising(NameError))
def name_of_a_class_cell():
    class Made:
        value = [missing for _ in range(1)]

    return Made


@program((2,))
def keyword_names_in_messages(n):
    def function(*, option):
        return option

    try:
        return function(opton=n)
    except TypeError as error:
        return str(error)


@program()
def value_of_a_closed_generator():
    def items(result):
        try:
            yield 1
        except GeneratorExit:
            return result

    def delegating():
        yield from items(5)

    def plain():
        yield 1

    results = []
    for generator in (items(3), items(None), delegating(), plain()):
        next(generator)
        results += [generator.close(), generator.close(), next(generator, "ended")]
    return results, items(4).close()
