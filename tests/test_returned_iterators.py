"""What a captured function hands out is of CPython's own types: iterators, getters, keys, partial objects.

Nothing of the tracer's own stands in for an object of C that the program returns, stores, prints or asks for its type.
"""

import copy
import functools
import itertools
import operator
import pickle
import types
from collections import OrderedDict, deque
from typing import Any

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture, counters, reset


class Indexed:
    """Iterated over by its items."""

    def __getitem__(self, index):
        return [1, 2, 3][index]


class Kept:
    """Something to store a result in."""


def odd(number):
    return number % 2


def numbers():
    yield from (1, 2, 3)


TABLE = {"a": 1, "b": 2}
ITERATORS = {
    "list": lambda: iter([1, 2, 3]),
    "tuple": lambda: iter((1, 2, 3)),
    "text": lambda: iter("abc"),
    "other text": lambda: iter("\u00e9bc"),
    "bytes": lambda: iter(b"abc"),
    "range": lambda: iter(range(3)),
    "size": lambda: iter(torch.Size([1, 2, 3])),
    "set": lambda: iter({1, 2, 3}),
    "dictionary": lambda: iter(TABLE),
    "values": lambda: iter(TABLE.values()),
    "items": lambda: iter(TABLE.items()),
    "ordered": lambda: iter(OrderedDict(a=1, b=2)),
    "deque": lambda: iter(deque([1, 2, 3])),
    "tensor": lambda: iter(torch.ones(3)),
    "indexed": lambda: iter(Indexed()),
    "until": lambda: iter(iter([1, 2, 3]).__next__, 3),
    "reversed list": lambda: reversed([1, 2, 3]),
    "reversed tuple": lambda: reversed((1, 2, 3)),
    "reversed text": lambda: reversed("abc"),
    "reversed range": lambda: reversed(range(3)),
    "reversed dictionary": lambda: reversed({"a": 1, "b": 2}),
    "reversed items": lambda: reversed({"a": 1, "b": 2}.items()),
    "reversed deque": lambda: reversed(deque([1, 2, 3])),
    "zip": lambda: zip([1, 2], "ab"),
    "strict zip": lambda: zip([1, 2], "ab", strict=True),
    "map": lambda: map(odd, [1, 2, 3]),
    "filter": lambda: filter(odd, [1, 2, 3]),
    "enumerate": lambda: enumerate("abc", 5),
    "count": lambda: itertools.count(3, 2),
    "cycle": lambda: itertools.cycle("ab"),
    "repeat": lambda: itertools.repeat(1, 3),
    "chain": lambda: itertools.chain([1], [2, 3]),
    "chain from iterable": lambda: itertools.chain.from_iterable([[1], [2, 3]]),
    "longest": lambda: itertools.zip_longest([1, 2], "a"),
    "compress": lambda: itertools.compress("abc", [1, 0, 1]),
    "tee": lambda: itertools.tee("abc")[0],
    "accumulate": lambda: itertools.accumulate([1, 2, 3]),
    "starmap": lambda: itertools.starmap(pow, [(1, 2), (2, 3)]),
    "takewhile": lambda: itertools.takewhile(odd, [1, 3, 4]),
    "dropwhile": lambda: itertools.dropwhile(odd, [1, 2, 3]),
    "filterfalse": lambda: itertools.filterfalse(odd, [1, 2, 3]),
    "pairwise": lambda: itertools.pairwise("abc"),
    "islice": lambda: itertools.islice("abcd", 1, 3),
    "groupby": lambda: itertools.groupby([1, 1, 2]),
    "group": lambda: next(itertools.groupby([1, 1, 2]))[1],
    "product": lambda: itertools.product("ab", repeat=2),
    "combinations": lambda: itertools.combinations("abc", 2),
    "replacements": lambda: itertools.combinations_with_replacement("ab", 2),
    "permutations": lambda: itertools.permutations("abc", 2),
    "generator": numbers,
}
"""Each makes a new iterator."""
if hasattr(itertools, "batched"):  # CPython 3.12
    ITERATORS["batched"] = lambda: itertools.batched("abcde", 2)


def described(iterator: Any) -> tuple[Any, ...]:
    """The class of an iterator, how it shows itself, and the items that are left (a few of them)."""
    shown = repr(iterator).partition(" at 0x")[0]
    return type(iterator), shown, list(itertools.islice(iterator, 5))


def same_items(left: list[Any], right: list[Any]) -> bool:
    """Whether items are equal; groups, which have no equality, by their class."""
    if len(left) != len(right):
        return False
    for one, other in zip(left, right, strict=True):
        if isinstance(one, tuple) and len(one) == 2 and isinstance(one[1], itertools._grouper):
            if (one[0], type(one[1])) != (other[0], type(other[1])):
                return False
        elif one != other:
            return False
    return True


@pytest.mark.parametrize("taken", [0, 1, 9])
@pytest.mark.parametrize("name", ITERATORS)
def test_returned_iterator_is_of_its_own_class(name, taken):
    make = ITERATORS[name]

    def program(x):
        iterator = make()
        for _ in range(taken):
            next(iterator, None)
        return iterator, x + 1

    reset()
    captured = capture(program)
    for _ in range(2):
        expected, found = described(program(torch.ones(2))[0]), described(captured(torch.ones(2))[0])
        assert found[:2] == expected[:2]
        assert same_items(found[2], expected[2])
    assert counters().tracer_bugs == 0


@pytest.mark.parametrize("name", ITERATORS)
def test_class_of_an_iterator_in_the_program(name):
    make = ITERATORS[name]

    def program(x):
        iterator = make()
        kinds = type(iterator), iterator.__class__, isinstance(iterator, types.GeneratorType)
        methods = [hasattr(iterator, method) for method in ("send", "throw", "close", "gi_frame", "__next__")]
        return kinds, methods, iter(iterator) is iterator, x + 1

    check(program, torch.ones(2))


@pytest.mark.parametrize("name", [name for name in ITERATORS if name not in ("group", "tensor")])
def test_iterator_is_used_up_by_its_own_method(name):
    make = ITERATORS[name]

    def program(x):
        iterator = make()
        first = iterator.__next__()
        kept = Kept()
        kept.rest = iterator.__iter__()
        return type(first), x + 1, next(kept.rest, None) is None

    check(program, torch.ones(2))


def test_iterators_of_c_take_nothing_that_is_sent():
    def outer(iterator):
        try:
            yield from iterator
        except ValueError as error:
            yield str(error)

    def program(x):
        thrown = outer(itertools.count(1))
        results = [next(thrown), thrown.throw(ValueError("thrown"))]
        sent = outer(itertools.chain([1], [2]))
        next(sent)
        try:
            sent.send(5)
        except AttributeError as error:
            results.append(str(error))
        return results, x + 1

    check(program, torch.ones(2))


# Getters and keys ------------------------------------------------------------------------------------

GETTERS = {
    "constants": lambda x: operator.itemgetter(1, 0),
    "a slice": lambda x: operator.itemgetter(slice(0, x.shape[0] - 1)),
    "a list": lambda x: operator.itemgetter([0, 1]),
    "an object": lambda x: operator.itemgetter(Indexed()),
    "attributes": lambda x: operator.attrgetter("shape", "dtype.is_floating_point"),
    "method": lambda x: operator.methodcaller("sum", 0),
    "method of a tensor": lambda x: operator.methodcaller("add", x),
    "method with keywords": lambda x: operator.methodcaller("add", x, alpha=2),
    "partial": lambda x: functools.partial(torch.add, x, alpha=2),
    "nested partial": lambda x: functools.partial(functools.partial(torch.add, x), alpha=2),
}


@pytest.mark.parametrize("name", GETTERS)
def test_getter_made_in_a_capture_is_cpythons(name):
    make = GETTERS[name]

    def program(x):
        getter = make(x)
        return getter, type(getter), callable(getter), isinstance(getter, (*KINDS, functools.partial)), x + 1

    reset()
    x = torch.ones(3)
    for expected, found in zip(program(x), capture(program)(x), strict=True):
        if callable(expected) and not isinstance(expected, type):
            assert type(found) is type(expected)
            assert repr(found).partition(" at 0x")[0] == repr(expected).partition(" at 0x")[0]
            assert str(pickled(found)) == str(pickled(expected))
            assert str(copy.copy(found).__reduce__()[0]) == str(expected.__reduce__()[0])
        elif isinstance(expected, torch.Tensor):
            assert torch.equal(expected, found)
        else:
            assert expected == found
    assert counters().tracer_bugs == 0


KINDS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)


def pickled(getter: Any) -> Any:
    """What a getter is after a pickle, without the address of what has no repr of its own."""
    return repr(pickle.loads(pickle.dumps(getter))).partition(" at 0x")[0]


def test_getters_called_where_they_are_made():
    class Holder:
        def __init__(self, x):
            self.inner = {"x": x}

    def program(x):
        holder = Holder(x)
        sliced = operator.itemgetter(slice(0, x.shape[0] - 1), slice(1, None))
        added, inner = operator.methodcaller("add", x, alpha=2), operator.attrgetter("inner")
        return sliced(x), added(x), inner(holder)["x"] is x, [*map(operator.methodcaller("mul", x), (x, x + 1))]

    for backend in ("eager", "aot_eager", lambda gm, inputs: gm.forward):
        one_graph(program, torch.arange(3.0), backend=backend)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_getters_from_outside_hold_objects_of_the_program(backend):
    held = torch.ones(2)
    added, listed = operator.methodcaller("add", held), operator.methodcaller("append", [1])

    def program(x):
        kept = [x]
        listed(kept)
        kept[1].append(2)
        return added(x), kept

    reset()
    captured = capture(program, backend=backend)
    for _ in range(2):
        found, kept = captured(torch.ones(2))
        assert torch.equal(found, torch.ones(2) + held)
        held.add_(1)
        assert kept[1] is listed.__reduce__()[1][1]
    assert kept[1] == [1, 2, 2]


def test_getters_refuse_what_cpython_refuses():
    def program(x):
        errors = []
        for make in (
            lambda: operator.attrgetter(x),
            lambda: operator.methodcaller(x),
            lambda: operator.attrgetter("a", [x]),
            lambda: operator.itemgetter(),
            lambda: operator.itemgetter(x, key=1),
            lambda: operator.itemgetter(slice(x.shape[0]))(),
            lambda: operator.itemgetter(slice(x.shape[0]))(x, x),
            lambda: operator.methodcaller("add", x)(x, x),
        ):
            try:
                make()
            except TypeError as error:
                errors.append(str(error))
        return errors, x + 1

    check(program, torch.ones(2))


def test_keys_of_a_comparison_are_cpythons():
    def compare(left, right):
        return left % 3 - right % 3

    def program(x):
        key = functools.cmp_to_key(compare)
        keys = [key(number) for number in (5, 3, 1)]
        verdicts = [keys[0] > keys[1], keys[0] >= keys[2], keys[1] == key(6), keys[1] != key(6), keys[1] <= keys[2]]
        kinds = type(key), type(keys[0]), keys[0].obj, callable(key)
        return sorted(range(7), key=key), verdicts, kinds, [k.obj for k in sorted(keys)], x + 1

    one_graph(program, torch.ones(2))

    def returned(x):
        key = functools.cmp_to_key(compare)
        return key, key(5), x + 1

    reset()
    key, five, _ = capture(returned)(torch.ones(2))
    assert type(key) is type(five) is type(functools.cmp_to_key(compare))
    assert five.obj == 5 and five > key(3)


def test_key_of_a_comparison_is_compared_with_keys_only():
    def program(x):
        key = functools.cmp_to_key(lambda left, right: left - right)
        errors = []
        for other in (1, "a", x):
            try:
                key(1) < other  # noqa: B015
            except TypeError as error:
                errors.append(str(error))
        try:
            hash(key(1))
        except TypeError as error:
            errors.append(str(error))
        return errors, x + 1

    check(program, torch.ones(2))
