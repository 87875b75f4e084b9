"""Class patterns, functions defined around breaks, and what a function says of itself."""

import abc
import collections
import collections.abc

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


class Both(dict, collections.abc.Sequence):
    """A mapping first."""


class Neither(list, collections.abc.Mapping):
    """A sequence first."""

    __getitem__ = list.__getitem__
    keys = None


class LaterSequence:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index


def kind_of(subject):
    match subject:
        case [*_]:
            return "sequence"
        case {}:
            return "mapping"
    return "neither"


def kind_asked_the_other_way(subject):
    match subject:
        case {}:
            return "mapping"
        case [*_]:
            return "sequence"
    return "neither"


@pytest.mark.parametrize(
    "make", [Both, Neither, list, dict, str, bytearray, range, collections.deque, collections.UserList]
)
def test_what_is_a_sequence_and_what_a_mapping(make):
    def program(x, subject):
        return x + 1, kind_of(subject), kind_asked_the_other_way(subject)

    subject = make(3) if make is range else make()
    check(program, torch.ones(2), subject)


def test_a_class_that_becomes_a_sequence_later():
    captured = capture(lambda x, subject: (x + 1, kind_of(subject)))
    assert [captured(torch.ones(1), LaterSequence())[1] for _ in range(2)] == ["neither"] * 2
    collections.abc.Sequence.register(LaterSequence)
    assert [captured(torch.ones(1), LaterSequence())[1] for _ in range(2)] == ["sequence"] * 2


class Constants:
    first = "a"
    one = 1


@pytest.mark.parametrize("mapping", [{"a": 0, 1: 2}, {}, collections.defaultdict(int, a=1)])
def test_a_key_that_a_mapping_pattern_checks_twice(mapping):
    def program(x, mapping):
        try:
            match mapping:
                case {Constants.first: _, "a": _}:
                    return x
        except ValueError as error:
            text = str(error)
        else:
            text = "absent"
        match mapping:
            case {Constants.one: _, "a": y}:
                return x + 1, text, y
        return x + 2, text

    check(program, torch.ones(2), mapping)
