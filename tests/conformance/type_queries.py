"""isinstance, issubclass, type, callable, hasattr and related questions; typing generics."""

from __future__ import annotations

import typing
from typing import Generic, Protocol, TypeVar, runtime_checkable

from .catalogue import program, raising

T = TypeVar("T")


class Stack(Generic[T]):
    def __init__(self, items: list[T] | None = None):
        self.items: list[T] = items or []

    def push(self, item: T) -> Stack[T]:
        self.items.append(item)
        return self


@program((1,), ("a",), (None,), ([1],), (True,), (1.5,))
def instance_of(x):
    return (
        isinstance(x, int),
        isinstance(x, (str, list)),
        isinstance(x, (int, (float, (bool,)))),
        isinstance(x, int | str),
        isinstance(x, object),
        isinstance(x, type(None)),
        type(x) is int,
        type(x).__name__,
        isinstance(x, ()),
    )


@program()
def subclass_of():
    class A:
        pass

    class B(A):
        pass

    return (
        issubclass(B, A),
        issubclass(A, B),
        issubclass(bool, int),
        issubclass(A, (int, object)),
        issubclass(B, A | int),
        isinstance(B(), A),
        isinstance(B, type),
        B.__mro__[1] is A,
        B.__base__ is A,
        A.__subclasses__() == [B],
    )


@program(raising(TypeError))
def instance_of_no_class():
    return isinstance(1, 5)


@program(raising(TypeError))
def subclass_of_no_class():
    return issubclass(1, int)


@program()
def class_attribute_lies():
    class Liar:
        @property
        def __class__(self):
            return int

    liar = Liar()
    return isinstance(liar, int), isinstance(liar, Liar), type(liar) is Liar, liar.__class__ is int


@program()
def callables():
    class Yes:
        def __call__(self):
            return None

    class No:
        pass

    return [callable(x) for x in (len, Yes(), No(), No, lambda: 0, 5, "a".upper, Yes().__call__)]


@program()
def types_of_things():
    def generator():
        yield

    return [
        type(x).__name__
        for x in (
            1,
            1.0,
            1j,
            "",
            b"",
            None,
            ...,
            NotImplemented,
            [],
            (),
            {},
            set(),
            frozenset(),
            range(1),
            slice(1),
            len,
            lambda: 0,
            generator(),
            int,
            type,
            object(),
            [].append,
            {}.keys(),
            {}.items(),
            iter([]),
            iter({}),
            zip(),
            map(len, []),
            enumerate([]),
            reversed([]),
            property(),
            int | str,
            list[int],
            super,
        )
    ]


@program()
def type_comparison():
    return type(1) == int, type(True) == int, type([]) is list, type(1) is type(2), type("a") != type(b"a")  # noqa: E721


@program()
def runtime_protocol():
    @runtime_checkable
    class Closes(Protocol):
        def close(self): ...

    class File:
        def close(self):
            return None

    return isinstance(File(), Closes), isinstance(5, Closes)


@program()
def generic_class():
    stack = Stack[int]([1])
    stack.push(2).push(3)
    return stack.items, type(stack) is Stack, Stack[int].__origin__ is Stack, Stack[int].__args__, Stack().items


@program()
def generic_aliases():
    return (
        list[int]([1, 2]),
        dict[str, int](a=1),
        typing.get_origin(dict[str, int]),
        typing.get_args(dict[str, list[int]]),
        str(list[int]),
        repr(typing.Optional[int]),
        typing.get_args(typing.Union[int, None]),
        int | None == typing.Optional[int],
        (int | str).__args__,
    )


@program()
def casts_and_annotations():
    x: int = typing.cast(int, "not an int")
    y: undefined_type  # noqa: F821, F842
    z: list[int] = []
    z.append(x)
    return x, z, typing.get_type_hints(lambda: 0)


@program()
def typed_dict():
    class Movie(typing.TypedDict):
        name: str
        year: int

    movie = Movie(name="x", year=1)
    return movie, type(movie), Movie.__annotations__ == typing.get_type_hints(Movie) or True


@program()
def new_type():
    UserId = typing.NewType("UserId", int)
    return UserId(5), type(UserId(5)), UserId.__name__


@program()
def type_checking_flag():
    if typing.TYPE_CHECKING:
        return "checker"
    return "runtime"


@program()
def overloads():
    @typing.overload
    def inner(x: int) -> int: ...

    @typing.overload
    def inner(x: str) -> str: ...

    def inner(x):
        return x * 2

    return inner(2), inner("a")


@program()
def same_objects():
    a = [1]
    b = a
    c = [1]
    return (
        a is b,
        a is c,
        a == c,
        a is not c,
        id(a) == id(b),
        None is None,
        a in [c],
        any(x is a for x in [c]),
    )


@program()
def hasattr_kinds():
    return (
        [hasattr(x, "__len__") for x in ("", 1, [], {}, None, range(1), iter([]))],
        hasattr(1, "real"),
        hasattr(int, "x"),
    )
