"""Argument kinds, defaults, unpacking at calls and the errors of wrong calls."""

from __future__ import annotations

from .catalogue import call, program, raising


@program((1, 2), (3, -4))
def positional(a, b):
    return a - b


@program((1,), (1, 2), call(1, b=5), call(a=3), raising(TypeError), raising(TypeError, 1, 2, 3))
def default_value(a, b=10):
    return (a, b)


@program((1, 2, 3), call(1, 2, c=3), raising(TypeError, 1, b=2, c=3))
def positional_only(a, b, /, c):
    return [a, b, c]


@program(call(1, b=2), call(a=1, b=2), raising(TypeError, 1, 2), raising(TypeError, 1))
def keyword_only(a, *, b):
    return {a: b}


@program(call(1), call(1, b=2), call(1, b=2, c=3))
def keyword_only_defaults(a, *, b=7, c=None):
    return a, b, c


@program((), (1,), (1, 2, 3))
def star_arguments(*items):
    return type(items), items, len(items)


@program(call(), call(x=1), call(y=2, x=1), raising(TypeError, 1))
def star_keywords(**named):
    return type(named), list(named), named


@program(call(1), call(1, 2, 3, d=4, e=5), call(1, c=9), raising(TypeError))
def every_kind(a, b=2, /, *rest, c=3, **named):
    return a, b, rest, c, named


@program(call(1, a=2, self=3))
def positional_only_name_is_free_in_keywords(a, /, **named):
    return a, named


@program()
def calls_with_star():
    def inner(*items, **named):
        return items, named

    one, two = [1, 2], {"a": 3}
    return [
        inner(*one),
        inner(0, *one, 9),
        inner(*one, *one),
        inner(**two),
        inner(**two, b=4),
        inner(*one, **two, c=5),
        inner(*"ab", *range(2), **{}, **{"z": 1}),
        inner(*(), **{}),
    ]


@program()
def call_with_generator_star():
    def inner(a, b, c):
        return a * 100 + b * 10 + c

    return inner(*(i + 1 for i in range(3)))


@program()
def mutable_default_is_shared():
    def inner(item, seen=[]):
        seen.append(item)
        return list(seen)

    return inner(1), inner(2), inner(3, []), inner.__defaults__


@program()
def defaults_are_evaluated_at_definition():
    value = 1

    def inner(x=value):
        return x

    value = 2
    return inner(), value


@program()
def keyword_default_replaced():
    def inner(a, *, b=1):
        return a, b

    first = inner(0)
    inner.__kwdefaults__ = {"b": 5}
    inner.__defaults__ = (8,)
    return first, inner(0), inner()


@program()
def evaluation_order():
    seen = []

    def note(x):
        seen.append(x)
        return x

    def inner(*items, **named):
        return items, named

    note(inner)(note(1), *[note(2)], note(3), a=note(4), **{"b": note(5)})
    return [item for item in seen if isinstance(item, int)]


@program()
def wrong_calls():
    def none():
        return None

    def two(a, b):
        return a, b

    def only(a, /, *, k):
        return a, k

    messages = []
    for function, arguments, named in [
        (none, (1,), {}),
        (none, (), {"x": 1}),
        (two, (), {}),
        (two, (1,), {}),
        (two, (1, 2, 3), {}),
        (two, (1,), {"a": 1}),
        (two, (1,), {"c": 1}),
        (only, (1,), {}),
        (only, (), {"a": 1, "k": 2}),
        (only, (1, 2), {"k": 1}),
    ]:
        try:
            function(*arguments, **named)
        except TypeError as error:
            messages.append(str(error))
    return messages


@program()
def duplicate_keyword():
    def inner(**named):
        return named

    try:
        return inner(a=1, **{"a": 2})
    except TypeError as error:
        return str(error).rpartition(".")[2]


@program()
def keywords_must_be_strings():
    def inner(**named):
        return named

    try:
        return inner(**{1: 2})
    except TypeError as error:
        return str(error)


@program()
def star_of_something_not_iterable():
    def inner(*items):
        return items

    try:
        return inner(*5)
    except TypeError as error:
        return str(error).rpartition(".")[2]


@program()
def keywords_from_a_mapping():
    class Pairs:
        def keys(self):
            return ["a", "b"]

        def __getitem__(self, key):
            return key * 2

    def inner(a, b):
        return a + b

    return inner(**Pairs())


@program(({"a": 1},))
def star_keywords_are_a_new_dict(named):
    def inner(**items):
        items["a"] = 2
        items["b"] = 3
        return items

    return inner(**named), named


@program(([1, 2],))
def star_arguments_of_the_same_list(items):
    def inner(*rest):
        return rest

    return inner(*items) == tuple(items), inner(items)[0] is items


@program()
def many_arguments():
    def inner(a, b, c, d, e, f, g, h, *, i, j, k):
        return a + b + c + d + e + f + g + h - i - j - k

    return inner(1, 2, 3, 4, 5, 6, 7, 8, i=9, k=10, j=11)


@program()
def rebinding_an_argument():
    def inner(a, b=3):
        a = a + b
        b = a
        return a, b

    return inner(1), inner(a=2)


@program()
def deleted_argument():
    def inner(a):
        del a
        try:
            return a
        except UnboundLocalError as error:
            return str(error)

    return inner(1)


@program()
def function_attributes():
    def inner(a: int, b: str = "x", *, c: float = 1.0) -> bool:
        """Documentation."""
        return bool(a)

    inner.tag = [1]
    return (
        inner.__name__,
        inner.__qualname__,
        inner.__doc__,
        inner.__defaults__,
        inner.__kwdefaults__,
        inner.__annotations__,
        inner.__dict__,
        inner.__code__.co_argcount,
        inner.__code__.co_varnames,
    )


@program()
def arguments_through_two_levels():
    def outer(*items, **named):
        return inner(*items, **named)

    def inner(a, b=2, *rest, c, **more):
        return a, b, rest, c, more

    return outer(1, c=2), outer(1, 2, 3, c=4, d=5)


@program((2, 3))
def argument_is_a_cell(a, b):
    def inner():
        return a * b

    a = a + 1
    return inner(), a


@program(call(1, 2, x=3))
def star_arguments_in_cells(*items, **named):
    def inner():
        return items, named

    return inner()


@program()
def locals_of_a_call():
    def inner(a, b=2):
        c = a + b
        return sorted(locals().items())

    return inner(1)
