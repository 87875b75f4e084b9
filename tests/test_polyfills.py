"""Each polyfill against the C function it stands for: results, order, exceptions with messages, what is mutated.

The polyfills are run plainly here, not interpreted: nothing knows about tracing.
"""

from __future__ import annotations

import collections
import copy
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.catalogue import Call, call
from tests.conformance.compare import Comparison
from tests.polyfill_cases import CASES, POLYFILLS
from tests.polyfill_values import NAN, odd
from tracer.interpret.policy import PROTOCOLS

LIMIT = 12


class Outcome:
    """What a call returned (iterators drained) or raised, and its arguments afterwards."""

    def __init__(self, function: Callable[..., Any], described: Any, copied: bool = True) -> None:
        given = described if isinstance(described, Call) else Call(described)
        # Views cannot be copied, and nothing changes them.
        arguments, keywords = given.arguments, given.keywords
        if copied:
            arguments, keywords = copy.deepcopy((arguments, keywords))
        self.result: Any = None
        self.error: Any = None
        try:
            result = function(*arguments, **keywords)
            self.result = self.drained(result) if isinstance(result, Iterator) else result
        except Exception as error:
            self.error = (type(error), str(error))
        self.arguments = [self.drained(item) if isinstance(item, Iterator) else item for item in arguments]

    def drained(self, iterator: Iterator[Any]) -> Any:
        items: list[Any] = ["drained"]
        try:
            for item in itertools.islice(iterator, LIMIT):
                items.append(item)
        except Exception as error:
            items.append((type(error), str(error)))
        return items


def assert_same(original: Any, described: Any) -> None:
    copied = not any(
        type(a).__name__ in ("dict_keys", "dict_values", "dict_items")
        for a in getattr(described, "arguments", described)
    )
    expected = Outcome(original, described, copied)
    found = Outcome(POLYFILLS[original], described, copied)
    if expected.error is None and found.error is None:
        assert Comparison().difference(expected.result, found.result, "result") is None, (expected.result, found.result)
    assert found.error == expected.error
    assert Comparison().difference(expected.arguments, found.arguments, "arguments") is None, (
        expected.arguments,
        found.arguments,
    )


def label(original: Any) -> str:
    return getattr(original, "__qualname__", str(original))


@pytest.mark.parametrize("original", CASES, ids=label)
def test_polyfill_gives_what_the_original_gives(original: Any):
    for described in CASES[original]:
        assert_same(original, described)


def test_every_polyfill_has_cases():
    assert [label(original) for original in POLYFILLS if original not in CASES] == []


def test_polyfills_capture_no_variables():
    for function in (*POLYFILLS.values(), *PROTOCOLS.values()):
        assert not function.__closure__, function
        assert function.__module__.startswith("tracer.interpret.library.")


# Functions that make iterators or functions ----------------------------------------------------------


def test_groupby():
    def programs(groupby):
        yield [(k, [*g]) for k, g in groupby("aabbca")]
        yield [(k, [*g]) for k, g in groupby([1, 3, 2, 4, 5], key=odd)]
        yield [[*g] for g in [g for _, g in groupby("aab")]]
        groups = groupby("aab")
        _, first = next(groups)
        yield next(first), next(groups)[0], [*first]
        yield [(k, next(g)) for k, g in groupby([NAN, NAN, 1])]
        yield [k for k, _ in groupby([])]

    assert [*programs(itertools.groupby)] == [*programs(POLYFILLS[itertools.groupby])]


def test_tee():
    def programs(tee):
        a, b = tee(iter(range(4)))
        yield next(a), next(a), next(b), [*a], [*b], [*a]
        yield [[*each] for each in tee("ab", 3)], tee("a", 0)
        source = iter(range(5))
        a, b = tee(source)
        yield next(a), next(source), next(a), [*b]

    assert [*programs(itertools.tee)] == [*programs(POLYFILLS[itertools.tee])]
    for wrong in (("ab", -1), (5,), ("ab", "x")):
        assert Outcome(itertools.tee, wrong).error == Outcome(POLYFILLS[itertools.tee], wrong).error


@pytest.mark.parametrize(
    ("original", "making", "calling"),
    [
        (operator.itemgetter, (1,), ([5, 6],)),
        (operator.itemgetter, (0, 1), ([5, 6],)),
        (operator.itemgetter, (9,), ([5, 6],)),
        (operator.attrgetter, ("real",), (5,)),
        (operator.attrgetter, ("real.imag", "real"), (5,)),
        (operator.attrgetter, ("missing",), (5,)),
        (operator.methodcaller, ("upper",), ("a",)),
        (operator.methodcaller, ("split", ","), ("a,b",)),
        (operator.methodcaller, ("missing",), ("a",)),
    ],
)
def test_getters_of_operator_give_what_the_originals_give(
    original: Any, making: tuple[Any, ...], calling: tuple[Any, ...]
):
    expected = Outcome(original(*making), calling)
    found = Outcome(PROTOCOLS[original.__name__], (*calling, *making))
    assert (expected.result, expected.error) == (found.result, found.error)


def test_fromkeys_of_a_subclass_sets_its_items():
    for owner in (dict, collections.OrderedDict):
        descriptor = vars(owner)["fromkeys"]

        class Made(owner):
            def __setitem__(self, key, value):
                super().__setitem__(key, (value, "own"))

        expected, found = Made.fromkeys("ab", 1), POLYFILLS[descriptor](Made, "ab", 1)
        assert type(found) is Made
        assert [*expected.items()] == [*found.items()]


def test_objects_with_getitem_are_iterated_over():
    class Squares:
        def __getitem__(self, index):
            if index == 3:
                raise IndexError
            return index * index

    iterate = PROTOCOLS["iterate by index"]
    assert [*iterate(Squares())] == [*iter(Squares())]


def test_copy_through_reduce():
    class Kept(list):
        pass

    class Slots:
        __slots__ = ("a", "b")

    class Plain:
        def __getstate__(self):
            return {"only": 1}

    class Arguments(tuple):
        def __new__(cls, a, b):
            return super().__new__(cls, (a, b))

        def __getnewargs__(self):
            return tuple(self)

    kept, slots = Kept([1]), Slots()
    kept.note, slots.a = "note", [1]
    for value in (kept, slots, Plain(), Arguments(1, 2), collections.OrderedDict(a=1), 5 + 2j):
        expected, found = value.__reduce_ex__(4), POLYFILLS[object.__reduce_ex__](value, 4)
        assert Comparison().difference(expected[:3], found[:3], "reduced") is None
        for left, right in itertools.zip_longest(expected[3:], found[3:]):
            assert (left is None) is (right is None)
            assert left is None or [*left] == [*right]


# Any arguments ---------------------------------------------------------------------------------------

numbers = st.lists(st.one_of(st.integers(-5, 5), st.floats(-5, 5), st.just(NAN)), max_size=70)
short = st.lists(st.integers(-3, 3), max_size=6)
bound = st.one_of(st.none(), st.integers(-1, 8))


@given(numbers, st.booleans(), st.sampled_from([None, abs, str, lambda x: 0]))
def test_sorting(items: list[Any], reverse: bool, key: Any):
    assert_same(sorted, call(items, reverse=reverse, key=key))


@given(st.lists(st.integers(), min_size=64, max_size=300), st.booleans())
@settings(max_examples=30)
def test_sorting_long_lists(items: list[int], reverse: bool):
    pairs = [(item % 7, position) for position, item in enumerate(items)]
    assert_same(sorted, call(pairs, key=operator.itemgetter(0), reverse=reverse))


@given(short, short, st.sampled_from(["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]))
def test_sequences_compare(left: list[int], right: list[int], name: str):
    for kind in (list, tuple, collections.deque):
        assert_same(getattr(kind, name), (kind(left), kind(right)))


@given(short, bound, bound, bound)
def test_islice(items: list[int], start: Any, stop: Any, step: Any):
    assert_same(itertools.islice, (iter(items), start, stop, step))
    assert_same(itertools.islice, (iter(items), stop))


@given(st.lists(st.integers(0, 3), max_size=4), st.integers(-1, 5))
def test_combinations_permutations_and_products(items: list[int], length: int):
    for original in (itertools.combinations, itertools.combinations_with_replacement, itertools.permutations):
        assert_same(original, (items, length))
    assert_same(itertools.product, call(items, [1, 2], repeat=min(length, 2)))


@given(short, st.integers(-9, 9), st.integers(-9, 9), st.integers(-3, 3))
def test_index_with_bounds(items: list[int], start: int, stop: int, value: int):
    for kind in (list, tuple, collections.deque):
        assert_same(kind.index, (kind(items), value, start, stop))


@given(short, short)
def test_zip_longest(left: list[int], right: list[int]):
    assert_same(itertools.zip_longest, (iter(left), iter(right)))


@given(st.text("%(a)sdr#0- .*5{}!:x[]", max_size=8), st.lists(st.sampled_from([1, "a", 2.5]), max_size=2))
@settings(max_examples=300)
def test_percent_and_format_fill_templates(template: str, values: list[Any]):
    assert_same(str.__mod__, (template, tuple(values)))
    assert_same(str.__mod__, (template, {"a": 1}))
    assert_same(str.format, call(template, *values, a=1))
