"""What CPython computes while tracing is a constant only if it never changes; everything else each run makes anew."""

import codecs
import datetime
import enum
import fractions
import gc
import itertools
import operator
import os
import re
import string
import struct
import textwrap

import numpy
import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, graph_break, reset

LETTERS = re.compile("[a-z].")
LOCAL = re.compile(rb"\w+", re.LOCALE)


class Number(int):
    def __new__(cls, value):
        made.append(value)
        return super().__new__(cls, value)


class Colour(enum.Enum):
    RED = 1

    def __str__(self):
        made.append(self.name)
        return "red"


class Lenient(enum.Enum):
    ONLY = 1

    @classmethod
    def _missing_(cls, value):
        made.append(value)
        return cls.ONLY


class Base:
    pass


class Derived(Base):
    pass


made = []


def upper(match):
    made.append(match.group())
    return match.group().upper()


ITERATORS = {
    "finditer": lambda: [match.group() for match in LETTERS.finditer("abac")],
    "re.finditer": lambda: [match.span() for match in re.finditer("a", "abac")],
    "scanner": lambda: LETTERS.scanner("abac").search().group(),
    "iter_unpack": lambda: list(struct.iter_unpack("<h", b"abcd")),
    "from_iterable": lambda: list(itertools.chain.from_iterable(["ab", "cd"])),
    "formatter_parser": lambda: list(string.Formatter().parse("a{b}c")),
    "co_lines": lambda: list(upper.__code__.co_lines())[0][0],
}


@pytest.mark.parametrize("name", ITERATORS)
def test_iterator_is_made_by_each_run(name):
    check(ITERATORS[name], calls=3)


CALLBACKS = {
    "function of sub": lambda: (LETTERS.sub(upper, "abac"), list(made)),
    "format of a member": lambda: ("{}".format(Colour.RED), "%s" % (Colour.RED,), list(made)),  # noqa: UP031, UP032
    "missing member": lambda: (Lenient(7), Lenient(1), list(made)),
    "classmethod of a subclass": lambda: (Number.from_bytes(b"ab", "big"), list(made)),
    "error handler": lambda: ("äb".encode("ascii", "counting"), bytes("ä", "ascii", "counting"), list(made)),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_code_of_the_program_that_c_calls_runs_in_each_run(name):
    def question_mark(error):
        made.append(error.start)
        return "?", error.end

    codecs.register_error("counting", question_mark)
    made.clear()
    check(CALLBACKS[name], calls=3)


def test_codec_that_is_a_plain_tuple():
    def search(name):
        return (lambda text, errors: (b"written", len(text)), None, None, None) if name == "tuple_codec" else None

    codecs.register(search)
    try:
        check(lambda x: (x + 1, "ab".encode("tuple_codec")), torch.ones(2))
    finally:
        codecs.unregister(search)


CLASS_METHODS = {
    "maketrans": lambda: "abc".translate(str.maketrans({"a": "x"})),
    "maketrans of bytes": lambda: b"abc".translate(bytes.maketrans(b"a", b"b")),
    "from_bytes": lambda: int.from_bytes(b"ab", "big"),
    "fromhex": lambda: (bytes.fromhex("0a"), float.fromhex("0x1p3")),
    "fromkeys": lambda: dict.fromkeys("ab", 1),
}


@pytest.mark.parametrize("name", CLASS_METHODS)
def test_method_of_a_c_class_with_a_row_is_constant(name):
    one_graph(lambda x: (x + 1, CLASS_METHODS[name]()), torch.ones(2))


def test_containers_of_a_pure_method_are_made_by_each_run():
    captured = capture(lambda: str.maketrans({"a": "x"}))
    captured()["b"] = "y"
    assert captured() == {ord("a"): "x"}


UNREGISTERED = {
    "mro": lambda: Base.mro()[0] is Base,
    "fromtimestamp": lambda: datetime.datetime.fromtimestamp(0),
    "strptime": lambda: datetime.datetime.strptime("2020", "%Y"),
}


@pytest.mark.parametrize("name", UNREGISTERED)
def test_method_of_a_c_class_without_a_row_breaks(name):
    assert "unsupported-call" in check(UNREGISTERED[name], recaptures=None).first.breaks


def below(cls):
    """The names of all classes below a class, as registries of plugins list them."""
    found, waiting = [], cls.__subclasses__()
    while waiting:
        child = waiting.pop()
        waiting += child.__subclasses__()
        found.append((child.__name__, child.label))
    return found


def test_subclasses_are_a_fact_that_can_change():
    class Parent:
        pass

    class Other:
        pass

    class First(Parent):
        label = 1

    def program(x):
        return below(Parent), x + 1

    reset()
    captured = capture(program, strict=True)
    assert captured(torch.ones(2))[0] == captured(torch.ones(2))[0] == [("First", 1)]
    assert (counters().captures, counters().graphs, len(counters().breaks)) == (1, 1, 0)

    class Second(First):
        label = 2

    assert captured(torch.ones(2))[0] == [("First", 1), ("Second", 2)]
    First.label = 3
    assert captured(torch.ones(2))[0] == [("First", 3), ("Second", 2)]
    del Second
    gc.collect()
    assert captured(torch.ones(2))[0] == [("First", 3)]
    First.__bases__ = (Other,)
    assert captured(torch.ones(2))[0] == []


def test_each_call_makes_a_new_list_of_subclasses():
    captured = capture(lambda: Base.__subclasses__())
    captured().clear()
    assert captured() == [Derived]
    one_graph(
        lambda x: (type.__subclasses__(Base), Base.__subclasses__() is Base.__subclasses__(), x + 1), torch.ones(2)
    )


def test_many_subclasses_break():
    assert "unsupported-call" in check(lambda: len(object.__subclasses__()) > 5, recaptures=None).first.breaks


def test_clock_of_a_class_moves():
    captured = capture(lambda: (datetime.datetime.now(), datetime.datetime.utcnow(), datetime.date.today()))
    first, second = captured(), captured()
    assert first[0] < second[0] and first[1] < second[1]


IMMUTABLE = {
    "match": lambda: LETTERS.match("ab"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "date": lambda: datetime.date(2020, 1, 2),
    "timedelta": lambda: datetime.timedelta(1),
    "itemgetter": lambda: operator.itemgetter(1),
}


@pytest.mark.parametrize("name", IMMUTABLE)
def test_immutable_object_is_made_by_each_run(name):
    reset()
    captured = capture(lambda x: (x + 1, made_object := IMMUTABLE[name](), made_object))
    results = [captured(torch.ones(2)) for _ in range(3)]
    plain = IMMUTABLE[name]()
    for _, result, again in results:
        assert type(result) is type(plain) and result is again
        assert str(result) == str(plain) or name == "itemgetter"
    assert len({id(result) for _, result, _ in results}) == 3


def test_match_is_read_while_tracing_and_crosses_a_break():
    def program(x, text):
        match = LETTERS.match(text)
        graph_break()
        return x + len(match.group()), match.span(), match[0], match.re, [match]

    def compared(x, text):
        *values, matches = program(x, text)
        return *values, matches[0].regs, matches[0].string

    check(compared, torch.ones(2), "abac", breaks=["explicit", "explicit"], calls=4)


def test_match_with_another_text_is_another_match():
    captured = capture(lambda match: match.group())
    assert [captured(LETTERS.match(text)) for text in ("ab", "ab", "cd")] == ["ab", "ab", "cd"]


def test_what_prints_while_it_computes_prints_in_each_run():
    def program():
        return re.compile("a|b", re.DEBUG).pattern

    check(program, calls=3, recaptures=None)


def test_warning_of_numpy_is_issued_by_each_run():
    def program():
        return float(numpy.float64(1) / numpy.float64(0)), float(numpy.divide(1.0, 0.0))

    check(program, calls=3)


def test_what_depends_on_the_locale_breaks():
    def program(text):
        return f"{1234567:n}", "{:n}".format(5), LOCAL.findall(text)  # noqa: UP032

    check(program, b"a b")


def test_what_can_be_imported_is_asked_by_each_run(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.syspath_prepend(str(tmp_path))
    captured = capture(lambda: importlib.util.find_spec("made_between_calls") is not None)
    before = captured()
    (tmp_path / "made_between_calls.py").write_text("")
    importlib.invalidate_caches()
    assert [before, captured()] == [False, True]


def test_ordinary_text_processing_is_one_graph():
    def program(x, name):
        stem, number = re.match(r"([a-z]+)(\d+)", name).groups()
        words = re.split(r"\W", "a,b c"), re.sub("a", "b", name), re.findall("[a-z]", name)
        packed = struct.unpack("<h", struct.pack("<h", 5))
        return x * int(number), stem, words, packed, textwrap.dedent("  a"), "{:>4}".format(stem), "ä".encode()

    one_graph(program, torch.ones(2), "layer12")


class Folder:
    def __fspath__(self):
        return "folder"


class NoFolder:
    def __fspath__(self):
        return 3


def test_paths_are_put_together_in_one_graph():
    def program(x, name):
        path = os.path.join(Folder(), name)
        try:
            os.fspath(NoFolder())
        except TypeError as error:
            return x * len(path), os.path.split(path), os.path.splitext(path), os.fspath(name) is name, str(error)

    one_graph(program, torch.ones(2), "weights.pt")


class Key:
    """Sorts in descending order, and counts how often it is made."""

    made = 0

    def __init__(self, item):
        type(self).made += 1
        self.item = item

    def __lt__(self, other):
        return self.item > other.item

    def __gt__(self, other):
        return self.item < other.item


class Replacement(str):
    made = 0

    def __new__(cls, match):
        cls.made += 1
        return str.__new__(cls, match.group() * 2)


CALLING_A_CLASS = {
    "sorted": lambda items: sorted(items, key=Key),
    "list.sort": lambda items: (items.sort(key=Key), items),
    "max": lambda items: (max(items, key=Key), min(*items, key=Key)),
    "re.sub": lambda items: re.sub("a", Replacement, "ab" * items[0]),
    "Pattern.subn": lambda items: LETTERS.subn(Replacement, "ab" * items[0]),
}


@pytest.mark.parametrize("name", CALLING_A_CLASS)
def test_class_given_to_a_pure_function_is_called_by_each_run(name):
    def program(x):
        return x + 1, CALLING_A_CLASS[name]([1, 3, 2]), Key.made, Replacement.made

    results = []
    for run in (program, capture(program)):
        Key.made = Replacement.made = 0
        results.append([repr(run(torch.ones(2))) for _ in range(3)])
    assert results[0] == results[1]


def test_bounds_of_a_slice_stay_what_they_are():
    def program(x, items):
        cut = slice(items, x.shape[0])
        refused = []
        for bounds in ((), (1, 2, 3, 4)):
            try:
                slice(*bounds)
            except TypeError as error:
                refused.append(str(error))
        cls, (start, *rest) = cut.__reduce__()
        return (
            x + 1,
            cls,
            start is items,
            rest,
            refused,
            hasattr(cut, "__deepcopy__"),
            cut.indices(2) if items == 0 else 0,
        )

    one_graph(program, torch.ones(2), [1])
    one_graph(program, torch.ones(2), 0)


class Incomparable:
    def __eq__(self, other):
        raise ArithmeticError("never")


def test_slices_are_compared_by_what_bounds_them():
    def program(x, bound):
        outcomes = []
        for left, right in (
            (slice(bound), slice(Incomparable())),
            (slice(1, 2), slice(1, 2)),
            (slice(1, x), slice(2, x)),
        ):
            for comparison in (operator.eq, operator.ne, operator.lt):
                try:
                    outcomes.append(comparison(left, right))
                except (ArithmeticError, TypeError) as error:
                    outcomes.append(type(error))
        return x + 1, outcomes, slice(bound) == slice(bound)

    check(program, torch.ones(2), Incomparable(), breaks=[])
