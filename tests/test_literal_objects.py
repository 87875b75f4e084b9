"""Instances of subclasses of int, float, complex, str and bytes are objects: identity, attributes, own methods."""

import copy
import datetime
import functools
import math
import operator
import re
import textwrap
from fractions import Fraction

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, graph_break


class Number(int):
    """Adds nothing but a dictionary."""


class Real(float):
    """Adds nothing but a dictionary."""


class Text(str):
    """Adds nothing but a dictionary."""


class Data(bytes):
    """Adds nothing but a dictionary."""


class Complex(complex):
    """Adds nothing but a dictionary."""


class Measured(str):
    """Text with an attribute that `__new__` sets."""

    def __new__(cls, text, unit="m"):
        self = super().__new__(cls, text)
        self.unit = unit
        return self

    def __repr__(self):
        return f"{str(self)} {self.unit}"


class Loud(int):
    """Overrides what a number does."""

    def __eq__(self, other):
        return "equal"

    def __hash__(self):
        return 5

    def __int__(self):
        return 99

    def __bool__(self):
        return False

    def __format__(self, spec):
        return "formatted"


class Insensitive(str):
    """A key that hashes and compares in its own way."""

    def __eq__(self, other):
        return self.lower() == other.lower()

    def __hash__(self):
        return hash(self.lower())


class Keyed(int):
    """Says how it is made again."""

    def __new__(cls, key):
        self = int.__new__(cls)
        self.key = key
        return self

    def __getnewargs__(self):
        return (self.key,)


@pytest.mark.parametrize(
    "cls, literal", [(Number, 5), (Real, 2.5), (Text, "abc"), (Data, b"xyz"), (Complex, 1 + 2j)], ids=str
)
def test_identity_and_attributes(cls, literal):
    def program(x):
        one, other = cls(literal), cls(literal)
        one.parts = [1]
        one.parts.append(2)
        same = one == other, one is other, one == literal, literal == one, hash(one) == hash(literal)
        found = {one: 1}[literal], {literal: 1}[one], one in [literal], [literal].index(one), (one,) == (literal,)
        types = type(one).__name__, type(one + literal).__name__, isinstance(one, type(literal))
        return x + 1, same, found, types, vars(one), vars(other), repr(one), str(one), f"{one}", bool(one)

    one_graph(program, torch.ones(2))


def test_objects_stay_themselves():
    def program(x):
        number = Number(3)
        holders = [number], (number,), {"key": number}, {number}, {number: 1}
        kept = holders[0][0], holders[1][0], holders[2]["key"], next(iter(holders[3])), next(iter(holders[4]))
        passed = (
            max(number, 2),
            sorted([number])[0],
            functools.reduce(max, [number]),
            next(zip([number]))[0],
            number or 1,
        )
        return x + 1, [item is number for item in (*kept, *passed)], number is Number(3)

    one_graph(program, torch.ones(2))


def test_text():
    def program(x):
        text = Text("a,b")
        parts = (
            text.upper(),
            text.split(","),
            text[0],
            text[::-1],
            len(text),
            list(text),
            text + "c",
            "c" + text,
            text * 2,
        )
        joined = (
            ",".join([text, text]),
            f"{text:>5}",
            "a" in text,
            text in "xa,by",
            getattr([], Text("append")).__name__,
        )
        return (
            x + 1,
            parts,
            joined,
            int(Text("3")),
            float(Text("2.5")),
            type(str(text)).__name__,
        )

    one_graph(program, torch.ones(2))


def test_numbers():
    def program(x):
        number, real = Number(3), Real(2.5)
        arithmetic = (
            number + 1,
            1 + number,
            -number,
            type(-number).__name__,
            number**2,
            divmod(number, 2),
            pow(number, 2, 5),
        )
        indices = [1, 2, 3, 4][number], "abcd"[number], list(range(number)), [0] * number, hex(number), chr(Number(65))
        conversions = int(number), float(number), complex(real), operator.index(number), round(real), math.floor(real)
        return (
            x + 1,
            arithmetic,
            indices,
            conversions,
            number.real,
            real.is_integer(),
            Complex(1, 2).imag,
            sum([number]),
        )

    one_graph(program, torch.ones(2))


def test_overridden_methods():
    def program(x):
        loud, measured = Loud(3), Measured("a", unit="k")
        measured.unit += "!"
        found = {Insensitive("Hello"): 1}.get(Insensitive("hELLO")), Insensitive("a") == "A", "A" == Insensitive("a")
        facts = loud == 1, 1 == loud, hash(loud), int(loud), f"{loud}", bool(loud), [0, 1, 2, 3][loud], loud + 1
        return x + 1, found, facts, measured, measured.unit, [measured], measured + "x"

    one_graph(program, torch.ones(2))


def test_as_arguments_of_operators():
    def program(x):
        size, scale = Number(2), Real(0.5)
        size.tag = "size"
        return (
            x * size,
            size * x,
            scale - x,
            x.view(Number(3), size),
            torch.full((size,), scale),
            x[Number(1)],
            x == size,
        )

    one_graph(program, torch.ones(2, 3))


def test_copies():
    def program(x):
        keyed, measured = Keyed(42), Measured("a", unit="k")
        measured.parts = [1]
        shallow, deep = copy.copy(measured), copy.deepcopy(measured)
        again = copy.copy(keyed)
        return (
            x + 1,
            again is keyed,
            again.key,
            vars(shallow),
            shallow.parts is measured.parts,
            deep.parts is measured.parts,
        )

    check(program, torch.ones(2), graphs=1)


def test_across_a_break():
    def program(x):
        measured, number = Measured("a", unit="k"), Number(3)
        number.unit = measured
        graph_break()
        number.unit.unit += "!"
        return x * number, measured.unit, number.unit is measured, measured == "a"

    check(program, torch.ones(2), graphs=1, breaks=["explicit"])


def test_arguments_and_their_attributes():
    def program(x, number, text):
        number.count += 1
        return x * number + number.count, text, text is number.text, vars(number)

    number, text = Number(3), Measured("a")
    number.count, number.text = 1, text
    captured = capture(program, backend="eager")
    for count in range(2, 5):
        result = captured(torch.ones(1), number, text)
        assert result[0].item() == 3 + count and number.count == count
        assert result[1] is text and result[2] and result[3]["count"] == count


def test_an_argument_is_returned_itself():
    class Slotted(str):
        __slots__ = ()

    captured = capture(lambda x, text: (x + len(text), text), backend="eager")
    for _ in range(2):
        text = Slotted("abc")
        assert captured(torch.ones(1), text)[1] is text


def test_a_keyword_keeps_its_class():
    def program(x):
        return x + 1, [type(name).__name__ for name in dict(**{Text("k"): 1})]

    check(program, torch.ones(2))


def test_new_of_the_literal_type():
    def program(x):
        made = (
            int.__new__(Number, "12", 8),
            str.__new__(Text, b"ab", "ascii"),
            float.__new__(Real, "2.5"),
            Number("11", base=2),
        )
        return x + 1, made, [type(item).__name__ for item in made], Number(), Text(), Real(), Data(), Complex()

    one_graph(program, torch.ones(2))


class Indexed(int):
    """Says other numbers than it holds."""

    def __float__(self):
        return 9.0

    def __index__(self):
        return 7


class Shown(str):
    """Shows another text than it holds."""

    def __str__(self):
        return "shown"

    def __format__(self, spec):
        return f"formatted {spec}"


class Halved(int):
    """Keeps its class in products, and refuses to be divided."""

    def __mul__(self, other):
        return Halved(int(self) * int(other))

    __rmul__ = __mul__

    def __truediv__(self, other):
        return NotImplemented

    __rtruediv__ = __truediv__


def refused(function):
    try:
        return function()
    except TypeError as error:
        return str(error)


GIVEN = {
    "math": lambda: (
        math.sqrt(Indexed(4)),
        math.hypot(Indexed(4), 3),
        math.pow(2.0, Indexed(4)),
        math.log2(Indexed(4)),
    ),
    "nested": lambda: (math.fsum([Indexed(4), 2]), math.dist((Indexed(4), 1), (1, 1)), math.fsum((Real(1.5), 2))),
    "format": lambda: (
        "{} {!s:>6} {!r}".format(Shown("a"), Shown("b"), Shown("c")),
        "{a:x}".format_map({"a": Shown("d")}),
    ),
    "percent": lambda: (
        "%s %r" % (Shown("a"), Shown("b")),
        "%s" % Shown("c"),
        "%(k)s" % {"k": Shown("d")},
        "%d" % Indexed(4),
    ),
    "text": lambda: ("abc".find(Shown("b")), Shown("-").join([Shown("a"), "b"]), "a-b".split(Shown("-"))),
    "fraction": lambda: [
        type(part) for part in (Fraction(Number(4)).numerator, Fraction(Halved(1), Halved(2)).numerator)
    ],
    "quotient": lambda: refused(
        lambda: operator.truediv(*Fraction(Halved(1), Halved(2), _normalize=False).as_integer_ratio())
    ),
    "pattern": lambda: (
        type(re.compile(Text("a")).pattern),
        re.sub("z", "y", Shown("abc")),
        type(textwrap.dedent(Text(" a"))),
    ),
    "dates": lambda: (datetime.date(Indexed(2000), 1, 1), datetime.timedelta(days=Indexed(2), hours=Real(1.5))),
    "ranges": lambda: (list(range(Indexed(3))), type(range(Number(3)).stop), [0] * Indexed(2), chr(Indexed(66))),
}


@pytest.mark.parametrize("door", GIVEN)
@pytest.mark.parametrize("source", ["born", "global"])
def test_what_a_function_sees_of_an_instance(door, source, monkeypatch):
    """A C function may call what the class says, and one in Python sees the class itself."""

    def program(x):
        return x + 1, GIVEN[door]()

    if source == "global":
        for cls in (Indexed, Shown, Number, Text, Real, Halved):
            one = cls("4" if issubclass(cls, str) else 4)
            monkeypatch.setitem(globals(), cls.__name__, lambda *args, one=one: one)
    check(program, torch.ones(2), recaptures=None)


NO_FLAGS = Number(0)


def test_flags_of_any_class_compile_a_pattern():
    """CPython 3.13 gives `re.sub` and `re.split` such an instance for no flags, and for no count."""

    def program(x):
        return x + 1, re.split("b", "abc", flags=NO_FLAGS), re.compile("B", Number(re.IGNORECASE)).findall("abB")

    check(program, torch.ones(2), graphs=1)


def test_flags_of_a_class_with_methods_are_left_to_python():
    def program(x):
        return x + 1, re.split("b", "abc", flags=Indexed(0))

    check(program, torch.ones(2), breaks=["unsupported-call"])


def test_print_is_no_stream():
    def program(x):
        shift = operator.rshift
        return (
            x + 1,
            [refused(lambda stream=stream: shift(print, stream)) for stream in (3, [x])],
            refused(lambda: shift(len, 3)),
        )

    check(program, torch.ones(2))
