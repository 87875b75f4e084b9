"""What Python 3.12 added: type parameters, `type` statements, f-strings that nest, `super()` without a call."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import itertools
import sys
import types
import typing

from .catalogue import call, program, raising

# Type parameters and type statements (PEP 695).


def identity[T](value: T) -> T:
    return value


def paired[K: (int, str), *Rest, **P](key: K, *rest: *Rest) -> tuple[K, *Rest]:
    return (key, *rest)


class Box[T]:
    item: T

    def __init__(self, item: T):
        self.item = item

    def mapped[R](self, function: typing.Callable[[T], R]) -> Box[R]:
        return type(self)(function(self.item))

    def __class_getitem__(cls, item):
        return super().__class_getitem__(item)


type Number = int | float
type Nested[T] = T | list[Nested[T]]


@program((1,), ("a",))
def call_generic_function(value):
    return identity(value), paired(value, 2, 3), identity.__type_params__[0].__name__


@program()
def generic_function_made_inside():
    def first[T](items: list[T]) -> T:
        return items[0]

    return first([3, 4]), first.__name__, first.__qualname__, [str(each) for each in first.__type_params__]


@program((2,))
def generic_function_with_defaults_and_closure(n):
    def scaled[T: int](value: T, factor=n, *, extra=n + 1) -> T:
        return value * factor + extra + n

    return scaled(5), scaled(5, 1), scaled(5, extra=0), scaled.__defaults__, scaled.__kwdefaults__


@program()
def generic_function_reads_its_parameter():
    def names[T, *Ts, **P]():
        return [T.__name__, Ts.__name__, P.__name__]

    return names()


@program()
def bounds_are_lazy():
    calls = []

    def bound():
        calls.append(1)
        return int

    def function[T: bound()](value: T):
        return value

    result = [function(1), len(calls)]
    result.append(function.__type_params__[0].__bound__ is int)
    result.append(len(calls))
    return result


@program()
def constraints():
    def function[T: (int, str)](value: T):
        return value

    (parameter,) = function.__type_params__
    return parameter.__constraints__, parameter.__bound__, function("x")


@program((3,))
def generic_class(value):
    box = Box(value)
    return box.mapped(lambda x: x + 1).item, Box.__type_params__[0].__name__, Box[int].__origin__ is Box


@program((4,))
def generic_class_made_inside(value):
    class Pair[A, B]:
        def __init__(self, a: A, b: B):
            self.a, self.b = a, b

        def swapped(self) -> Pair[B, A]:
            return Pair(self.b, self.a)

        def parameters(self):
            return [A.__name__, B.__name__, __class__.__name__]

    pair = Pair(value, value + 1).swapped()
    return pair.a, pair.b, pair.parameters(), [base.__name__ for base in Pair.__mro__]


@program((4,))
def generic_class_with_base_and_keywords(value):
    class Base:
        def __init_subclass__(cls, tag=None, **keywords):
            cls.tag = tag

    class Derived[T](Base, tag=value):
        limit: T
        scale = value * 2

    return Derived.tag, Derived.scale, Derived.__type_params__[0].__name__


@program()
def type_statement():
    type Pair = tuple[Number, Number]
    type Tree[T] = T | list[Tree[T]]
    return Pair.__name__, Pair.__value__ == tuple[Number, Number], Tree.__type_params__[0].__name__


@program()
def type_alias_is_evaluated_late():
    type Later = Missing
    try:
        return Later.__value__
    except NameError as error:
        return str(error)


@program()
def type_alias_of_the_module():
    return Number.__name__, Number.__value__ == (int | float), Nested.__type_params__[0].__name__


@program((1,), (1.5,), ("x",))
def isinstance_of_an_alias(value):
    return isinstance(value, Number.__value__)


@program((3,))
def type_parameters_in_a_class_scope(n):
    class Scope:
        factor = n

        def method[T](self, value: T):
            return value, T.__name__, n

        type Alias = list[factor]

    return Scope().method(1), Scope.Alias.__value__ == list[n]


@program()
def generic_async_function():
    async def wait[T](value: T) -> T:
        await asyncio.sleep(0)
        return value

    return wait.__name__, inspect.iscoroutinefunction(wait)


@program()
def generic_generator():
    def repeat[T](value: T, times: int):
        for _ in range(times):
            yield value

    return list(repeat("a", 3))


@program()
def generic_dataclass():
    @dataclasses.dataclass
    class Point[T]:
        x: T
        y: T = 0

    point = Point(3)
    return point.x, point.y, repr(point).endswith("Point(x=3, y=0)"), dataclasses.astuple(point)


# F-strings that nest (PEP 701).


@program(({"key": 1},))
def f_string_with_its_own_quotes(table):
    return f"{table['key']} and {', '.join(f'{key!r}' for key in table)}"


@program((3.14159, 8))
def f_string_nested(value, width):
    return f"{f'{f"{value:.2f}":>{width}}':*^{width + 4}}"


@program((["a", "b"],))
def f_string_with_backslashes(lines):
    return f"{'\n'.join(lines)}|{'\t'.join(lines)}"


@program((7,))
def f_string_over_lines(value):
    return f"{
        value  # a comment
        + 1
    } {value=} {value + 1 = !r:>5}"


@program((5,))
def f_string_with_a_lambda_and_walrus(value):
    return f"{(lambda x: x * 2)(value)} {(total := value + 1)} {total:03d} {{literal}} {value!s:>4}"


@program((2,))
def f_string_with_a_comprehension(n):
    return f"{[f'{i}{n}' for i in range(n)]} { ({i: n for i in range(n)}) }"


# `super()` without a call (LOAD_SUPER_ATTR).


class Base:
    value = "base"

    def __init__(self, x):
        self.x = x

    @classmethod
    def make(cls, x):
        return cls(x)

    @property
    def doubled(self):
        return self.x * 2

    @staticmethod
    def stated():
        return "static"

    def __getitem__(self, key):
        return key, self.x


class Derived(Base):
    value = "derived"

    def __init__(self, x):
        super().__init__(x + 1)

    @classmethod
    def make(cls, x):
        return super().make(x * 10)

    @property
    def doubled(self):
        return super().doubled + 1

    def attribute(self):
        return super().value, self.value, super().stated(), super(Derived, self).value

    def missing(self):
        return super().missing

    def bound(self):
        return super().__getitem__

    def in_a_comprehension(self, n):
        return [super(Derived, self).__getitem__(i) for i in range(n)]

    def in_a_nested_function(self):
        def inner():
            return super(Derived, self).doubled

        return inner()


@program((2,))
def super_attributes(x):
    derived = Derived(x)
    return derived.x, derived.doubled, derived.attribute(), derived.bound()(1), Derived.make(x).x


@program(raising(AttributeError, 2))
def super_attribute_missing(x):
    return Derived(x).missing()


@program((2,))
def super_in_inner_scopes(x):
    return Derived(x).in_a_comprehension(2), Derived(x).in_a_nested_function()


@program((2,))
def super_replaced(x):
    super = lambda *args: types.SimpleNamespace(value=args)

    class Child(Base):
        def read(self):
            return super().value, super(1, 2).value

    return Child(x).read()


@program((2,))
def super_of_a_class_made_inside(x):
    class Child(Derived):
        def __init__(self, x):
            super().__init__(x)
            self.more = super().doubled

        def comprehension(self):
            try:
                return [super().value for _ in range(1)]
            except TypeError as error:
                return str(error)

    child = Child(x)
    return child.x, child.more, child.comprehension()


# Exception groups.


@program((0,), (1,), (2,), (3,))
def except_star(kind):
    seen = []
    try:
        if kind == 0:
            raise ExceptionGroup("group", [ValueError(1), TypeError(2), ValueError(3)])
        if kind == 1:
            raise ValueError(4)
        if kind == 2:
            raise ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError(5)]), TypeError(6)])
    except* ValueError as group:
        seen.append(("values", [str(each) for each in group.exceptions]))
    except* TypeError as group:
        seen.append(("types", [str(each) for each in group.exceptions]))
    else:
        seen.append("else")
    finally:
        seen.append("finally")
    return seen


@program(raising(ExceptionGroup, 0), raising(ExceptionGroup, 1))
def except_star_raises(kind):
    try:
        raise ExceptionGroup("group", [ValueError(1), KeyError(2)])
    except* ValueError:
        if kind:
            raise OSError("new")


@program()
def except_star_in_a_loop():
    seen = []
    for kind in (ValueError, TypeError, ValueError):
        try:
            raise kind(len(seen))
        except* ValueError as group:
            seen.append(group.message)
        except* TypeError as group:
            seen.append([type(each).__name__ for each in group.exceptions])
    return seen


@program()
def except_star_with_a_comprehension():
    try:
        raise ExceptionGroup("group", [ValueError(i) for i in range(3)])
    except* ValueError as group:
        texts = [str(each) for each in group.exceptions]
    return texts, "group" in locals()


# Other additions.


@program(([1, 2, 3, 4, 5],), ("abcdef",))
def slices_are_keys(items):
    return items[1:3], items[:2], items[-2:], {slice(1, 2): "kept"}[slice(1, 2)]


@program(([1, 2, 3, 4, 5],))
def slices_are_stored(items):
    items[1:3] = [9]
    items[-1:] += [7, 8]
    del items[:1]
    return items


@program()
def batches():
    return [*itertools.batched("abcdefg", 3)], [*itertools.batched([], 2)]


@program((0.1, 0.2))
def sums_of_floats(a, b):
    return sum([a] * 10), sum([a, b, 1, 2.5]), sum([1e100, 1.0, -1e100]), sum([1, 2.0, True])


@program()
def overrides():
    class Child(Base):
        @typing.override
        def make(self):
            return "made"

    return Child(1).make(), Child.make.__override__


@program()
def buffer_of_a_class():
    class Buffer:
        def __buffer__(self, flags):
            return memoryview(b"abc")

    return bytes(memoryview(Buffer()))


@program((1,), ({"kind": "a", "rest": 2},), ([1, 2, 3],), ((1, 2),))
def match_with_generic_names(thing):
    match thing:
        case {"kind": str(kind), **rest}:
            return kind, rest, [key for key in rest]
        case [first, *others] if [other for other in others if other > 2]:
            return first, others
        case int() | float() as number:
            return f"{number=}"
        case _:
            return "none"


@program((2,))
def monitored(n):
    monitoring, seen = sys.monitoring, []
    tool = next(i for i in range(6) if monitoring.get_tool(i) is None)
    monitoring.use_tool_id(tool, "test")
    try:
        monitoring.register_callback(tool, monitoring.events.PY_START, lambda code, offset: seen.append(code.co_name))
        monitoring.set_events(tool, monitoring.events.PY_START)
        identity(n)
        monitoring.set_events(tool, 0)
    finally:
        monitoring.register_callback(tool, monitoring.events.PY_START, None)
        monitoring.free_tool_id(tool)
    return "identity" in seen


@program((2,))
def unbound_name_of_a_cell(n):
    def read():
        return later

    try:
        read()
    except NameError as error:
        text = str(error)
    later = n
    return text, read()


@program((2,))
def hash_of_slices(n):
    return hash(slice(n)) == hash(slice(n)), slice(n) in {slice(2): 1}


@program(call(2, step=3))
def calendar_of_closures(n, step):
    total = 0
    functions = []
    for i in range(n):
        functions += [lambda j, i=i: [i + j + k for k in range(step)]]
        total += sum([each for each in functions[-1](i)])
    return total, [function(1) for function in functions]
