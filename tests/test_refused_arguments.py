"""C functions called with arguments that they refuse: the program gets CPython's error, whatever row a function has.

Every function of the modules below is called with too few, too many and unfitting arguments.
"""

import builtins
import collections
import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.check import check
from tracer import capture, counters, reset


class Plain:
    """An object without methods."""


def values() -> dict[str, Any]:
    """Arguments of many types, new ones for each call."""
    return {
        "none": None,
        "int": 3,
        "float": 1.5,
        "text": "s",
        "list": [1, 2],
        "object": Plain(),
        "class": Plain,
        "dict": {"a": 1},
        "tuple": (1, 2),
        "function": abs,
        "tensor": torch.ones(2),
    }


COMBINATIONS: tuple[tuple[str, ...], ...] = (
    (),
    *((name,) for name in values()),
    *(("object", "int"), ("int", "object"), ("list", "text"), ("text", "list"), ("class", "text"), ("none", "none")),
    *(("object", "list"), ("list", "object", "int"), ("text", "int", "int"), ("int",) * 6),
)

METHODS = (list, dict, set, str, tuple, int, float, object, collections.deque, collections.OrderedDict, bytes, slice)


def call_of(function: Callable[..., Any], names: tuple[str, ...], wrap: Callable[[Any], Any]) -> str:
    """The class of the result of a call, or that of its error."""

    def program(arguments, x):
        x = x + 1
        try:
            return function(*arguments)
        except Exception as error:
            return error

    arguments = values()
    result = wrap(program)([arguments[name] for name in names], torch.ones(1))
    return type(result).__name__


BUILTINS = (
    "super getattr setattr delattr hasattr vars isinstance issubclass callable len iter next sum min max sorted any "
    "all abs divmod pow round ord chr bin enumerate zip map filter reversed range type repr format tuple list set"
)
SPECIAL = (
    "__eq__ __lt__ __len__ __getattribute__ __setattr__ __delattr__ __repr__ __getitem__ __contains__ __iter__ __neg__"
)
FUNCTIONS = {f"operator.{name}": getattr(operator, name) for name in operator.__all__}
FUNCTIONS |= {name: getattr(builtins, name) for name in BUILTINS.split()}
FUNCTIONS |= {
    f"{cls.__name__}.{name}": getattr(cls, name)
    for cls in METHODS
    for name in [*SPECIAL.split(), "append", "update", "pop", "join", "index"]
    if hasattr(cls, name)
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_refused_as_cpython_refuses(name):
    for names in COMBINATIONS:
        expected = call_of(FUNCTIONS[name], names, lambda program: program)
        reset()
        assert call_of(FUNCTIONS[name], names, capture) == expected, names
        assert counters().tracer_bugs == 0


@pytest.mark.parametrize(
    "text", ["super(int, int, int)", "super(1)", "super(int, None).real", "super(1, 2)", "super(int, 's')"]
)
def test_super_with_other_arguments(text):
    namespace: dict[str, Any] = {}
    exec(
        f"def program(x):\n    try:\n        {text}\n    except TypeError as error:\n        return x + 1, str(error)",
        namespace,
    )
    check(namespace["program"], torch.ones(2))


def test_super_without_a_class_or_an_argument():
    def no_arguments(x):
        try:
            super()
        except RuntimeError as error:
            return x + 1, str(error)

    def no_class(self, x):
        try:
            super()
        except RuntimeError as error:
            return x + 1, str(error)

    class Deleting:
        def method(self, x):
            del self
            try:
                super().method(x)
            except RuntimeError as error:
                return x + 1, str(error)

    check(no_arguments, torch.ones(2))
    check(no_class, 1, torch.ones(2))
    check(lambda instance, x: instance.method(x), Deleting(), torch.ones(2))


def test_super_of_an_object_that_says_it_is_of_the_class():
    class Base:
        def name(self):
            return "base"

    class Derived(Base):
        def name(self):
            return "derived"

    class Proxy:
        @property
        def __class__(self):
            return Derived

    check(lambda proxy, x: (super(Derived, proxy).name(), x + 1), Proxy(), torch.ones(2), recaptures=None)


@pytest.mark.parametrize("function", [len, "".join, [].append, torch.add, dict, print, lambda **names: names])
def test_keywords_that_are_no_strings(function):
    def program(x):
        try:
            function(**{1: x})
        except TypeError as error:
            return x + 1, str(error)

    check(program, torch.ones(2))
