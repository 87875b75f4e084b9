"""Exceptions keep what they are: attributes, fields kept in C, notes, contexts, causes and lines."""

import contextlib
import ipaddress
import json
import math
import re
import struct
import traceback

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, graph_break, reset


class Silent:
    def __getattr__(self, name):
        raise AttributeError("mine")


class Passing:
    def __getattr__(self, name):
        if name == "outer":
            return self.inner
        raise AttributeError(name)


class Named:
    def __getattr__(self, name):
        raise AttributeError("mine", name="other")


class Properties:
    @property
    def refused(self):
        raise AttributeError("in the property")

    @property
    def nested(self):
        return self.nothing


class Refusing:
    def __getattribute__(self, name):
        raise AttributeError("none at all")


class Meta(type):
    def __getattr__(cls, name):
        raise AttributeError("of the class")


class OfMeta(metaclass=Meta):
    pass


class FileGone(OSError):
    def __init__(self, *args):
        super().__init__(*args)
        self.extra = 1


class Own(Exception):
    def __init__(self, first, second=2):
        super().__init__("told", first)
        self.second = second

    def __str__(self):
        return f"own {self.second}"


class New(ValueError):
    def __new__(cls, *args):
        self = super().__new__(cls, "new", *args)
        self.made = True
        return self


def facts(error):
    """What a program can see of an exception."""
    if error is None:
        return None
    fields = ("name", "path", "msg", "errno", "strerror", "filename", "code", "value", "start", "end", "reason", "pos")
    return (
        *(type(error), repr(error.args), str(error), {name: repr(item) for name, item in vars(error).items()}),
        [repr(getattr(error, field, "none")) for field in fields],
        *(type(getattr(error, "obj", None)), error.__suppress_context__),
        *(facts(error.__cause__), facts(error.__context__)),
    )


LOOKUPS = {
    "__getattr__": lambda: Silent().b,
    "__getattr__ that asks itself": lambda: Passing().outer,
    "__getattr__ that names another": lambda: Named().b,
    "getattr": lambda: getattr(Silent(), "b"),  # noqa: B009
    "property": lambda: Properties().refused,
    "attribute in a property": lambda: Properties().nested,
    "__getattribute__": lambda: Refusing().b,
    "metaclass": lambda: OfMeta.b,
    "module": lambda: math.nothing,
    "str": lambda: "text".nothing,
    "function": lambda: facts.nothing,
    "tensor": lambda: torch.ones(2).nothing,
}

LIBRARIES = {
    "pattern": lambda: re.compile("("),
    "set in a pattern": lambda: re.search("[a", "a"),
    "json": lambda: json.loads('{"a": }'),
    "struct": lambda: struct.pack("<h", 99999),
    "decode": lambda: b"a\xff".decode("utf-8"),
    "encode": lambda: "aé".encode("ascii"),
    "int": lambda: int("z"),
    "group": lambda: re.match("(a)", "a").group(3),
    "address": lambda: ipaddress.ip_address("x"),
    "open": lambda: open("/nothing/there"),  # noqa: SIM115
}

RAISED = {
    "own": lambda: Own(1),
    "made by __new__": lambda: New(3),
    "file gone": lambda: FileGone(2, "gone", "file"),
    "permission": lambda: OSError(13, "denied", "file", None, "other"),
    "import": lambda: ImportError("text", name="n", path="p"),
    "exit": lambda: SystemExit(4, 5),
    "group": lambda: ExceptionGroup("several", [ValueError(1), KeyError("k")]),
}


def caught(call):
    try:
        call()
    except BaseException as error:
        return facts(error)


@pytest.mark.parametrize("name", LOOKUPS)
def test_attribute_error_has_name_and_object(name):
    check(lambda x: (x + 1, caught(LOOKUPS[name])), torch.ones(2), recaptures=None)


@pytest.mark.parametrize("name", LIBRARIES)
def test_error_of_a_library_keeps_its_attributes(name):
    check(lambda x: (x + 1, caught(LIBRARIES[name])), torch.ones(2), recaptures=None)


@pytest.mark.parametrize("name", RAISED)
def test_raised_exception_keeps_its_state(name):
    def program(x):
        try:
            raise RAISED[name]()
        except BaseException as error:
            error.add_note("seen")
            return x + 1, facts(error)

    check(program, torch.ones(2), recaptures=None)


@pytest.mark.parametrize("name", [*LOOKUPS, *LIBRARIES, *RAISED])
def test_exception_that_leaves_keeps_its_state(name):
    reset()
    call = {**LOOKUPS, **LIBRARIES}.get(name)

    def program():
        if call is None:
            raise RAISED[name]()
        return call()

    captured = capture(program)
    expected = caught(program)
    assert [caught(captured) for _ in range(3)] == [expected] * 3
    assert counters().tracer_bugs == 0


def test_error_of_a_library_is_caught_in_one_graph():
    def program(x):
        try:
            re.compile("(")
        except re.error as error:
            return x * error.pos, error.msg, error.pattern, error.lineno

    one_graph(program, torch.ones(2))


def test_context_of_an_error_of_c_in_a_handler():
    def program(x):
        try:
            try:
                raise KeyError("first")
            except KeyError:
                int("second")
        except ValueError as error:
            return x + 1, facts(error)

    one_graph(program, torch.ones(2))


def test_context_that_the_program_made_a_cycle_is_left_as_it_is():
    def program(x, length):
        errors = [ValueError(number) for number in range(length)]
        for number in range(length):
            errors[number].__context__ = errors[(number + 1) % length]
        try:
            try:
                raise errors[0]
            except ValueError:
                raise TypeError("second")  # noqa: B904  the context is wanted
        except TypeError as error:
            link = error.__context__
            return x + 1, [(link := link.__context__) is each for each in errors]

    for length in (1, 2, 3):
        one_graph(program, torch.ones(2), length)


def test_exception_made_by_native_code_is_initialised():
    def program(x):
        graph_break()
        error = next(map(Own, [7]))
        return x + 1, error.args, error.second

    check(program, torch.ones(2), recaptures=None)


def test_lines_that_an_exception_passed():
    def program(x):
        try:
            caught_by(x)
        except ValueError as error:
            lines, traceback = [], error.__traceback__
            while traceback is not None:
                lines.append((traceback.tb_lineno, traceback.tb_frame.f_code.co_name))
                traceback = traceback.tb_next
            return x + 1, lines

    def caught_by(x):
        raise ValueError("x")

    check(program, torch.ones(2), recaptures=None)


def test_groups_are_split_as_by_the_interpreter():
    def program(x):
        seen = []
        try:
            raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [TypeError("t"), OSError(2, "n")])])
        except* (TypeError, OSError) as group:
            seen.append(repr(group))
        except* ValueError as group:
            seen.append(repr(group))
        return x + 1, seen

    check(program, torch.ones(2), recaptures=None)


@contextlib.contextmanager
def passing():
    try:
        yield
    finally:
        pass


def raises_within_context_managers(x):
    with torch.no_grad(), passing():
        raise ValueError("within")


def test_a_context_manager_puts_the_traceback_back():
    """`contextmanager` resumes its generator with the exception, and takes out of the traceback what that adds."""
    places = []
    for function in (raises_within_context_managers, capture(raises_within_context_managers)):
        with pytest.raises(ValueError) as raised:
            function(torch.ones(2))
        frames = traceback.extract_tb(raised.value.__traceback__)
        places.append([(frame.name, frame.lineno) for frame in frames if frame.filename == __file__][1:])
    assert places[0] == places[1]


def test_a_traceback_that_was_kept_is_as_it_was():
    def program(x):
        def fail():
            raise ValueError(x.shape)

        try:
            try:
                fail()
            except ValueError as error:
                kept = error.__traceback__
                raise
        except ValueError as error:
            return kept, error.__traceback__, x + 1

    for function in (program, capture(program)):
        kept, last, _ = function(torch.ones(2))
        assert [frame.name for frame in traceback.extract_tb(kept)] == ["program", "fail"]
        assert [frame.name for frame in traceback.extract_tb(last)] == ["program", "fail"]


def _refuse(number):
    return [1, 2][number] + {"one": 1}[number]


def _divide(number):
    return (number + 2) / (number * 0)


def _raise(number):
    raise KeyError(number) if number > 5 else ValueError(f"not {number}")


@pytest.mark.parametrize("callee", [_refuse, _divide, _raise])
@pytest.mark.parametrize("breaks", [False, True])
def test_tracebacks_point_at_the_columns_of_their_lines(callee, breaks):
    def program(x, number):
        y = x * 2
        if breaks:
            graph_break()
        try:
            y = y + x.shape[0] + callee(number) + 1
        except (ArithmeticError, LookupError, ValueError) as error:
            return y, traceback.format_exc(), [tuple(each) for each in positions(error.__traceback__)]

    def positions(step):
        while step:
            yield list(step.tb_frame.f_code.co_positions())[step.tb_lasti // 2]
            step = step.tb_next

    check(program, torch.ones(2), 1)
