"""Class patterns, functions defined around breaks, and what a function says of itself."""

import abc

import pytest
import torch

from tests.check import check
from tracer import capture, graph_break

# Class patterns ----------------------------------------------------------------------------------------


class Names(int):
    pass


class Wrong:
    __match_args__ = ["a"]
    a = 1


class Twice:
    __match_args__ = ("a", "a")
    a = 1


class Numbered:
    __match_args__ = (1,)


class Registered(abc.ABC):
    @classmethod
    def __subclasshook__(cls, other):
        return other is Twice


def match_class(x, subject, graph_break_first):
    if graph_break_first:
        graph_break()
    match subject:
        case Names(value):
            return x + 1, value
        case Registered():
            return x + 2
        case Wrong(a):
            return a
        case Numbered(b):
            return b
        case Other(a=value):
            return value
    return x + 3


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("subject", [Names(4), Twice(), Wrong(), Numbered(), 5])
def test_class_pattern(subject, first, monkeypatch):
    monkeypatch.setitem(globals(), "Other", int)
    check(match_class, torch.ones(2), subject, first, recaptures=None, breaks=None)


@pytest.mark.parametrize("other", [3, Twice])
def test_class_pattern_of_what_is_no_class_or_names_an_attribute_twice(other, monkeypatch):
    def program(x, subject):
        match subject:
            case Other(1, 1):
                return x
        return x + 1

    monkeypatch.setitem(globals(), "Other", other)
    check(program, torch.ones(2), Twice(), recaptures=None)


def test_match_args_are_read_again():
    class Point:
        __match_args__ = ("a",)
        a, b = 1, 2

    def program(x, subject):
        match subject:
            case Point(value):
                return x + value

    captured = capture(program)
    assert captured(torch.ones(1), Point()).item() == 2
    Point.__match_args__ = ("b",)
    assert captured(torch.ones(1), Point()).item() == 3


def test_keyword_defaults_made_before_a_break():
    def program(x):
        def inner(a, *, c=x + 1) -> graph_break() or int:
            return a + c

        return inner(x), inner.__kwdefaults__, inner.__annotations__

    check(program, torch.ones(2), recaptures=None)


def test_doc_of_a_function_from_outside():
    def documented():
        """What it says."""

    def program(x, function):
        return x + 1, function.__doc__, function.__name__

    report = check(program, torch.ones(2), documented)
    documented.__doc__ = "something else"
    assert report.captured(torch.ones(2), documented)[1] == "something else"
