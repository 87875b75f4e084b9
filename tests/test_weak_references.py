"""Weak references to objects from outside that a captured function makes: what they give, as keys, and lifetimes."""

import functools
import gc
import sys
import weakref

import pytest
import torch

from tests.check import check
from tracer import capture, counters, graph_break, reset


class Plain:
    def __init__(self, value=2.0):
        self.value = value


class Equal(Plain):
    def __eq__(self, other):
        return isinstance(other, Equal) and self.value == other.value

    def __hash__(self):
        return hash(self.value)


first, second = Plain(2.0), Plain(3.0)
reference = weakref.ref(first)
with_callback = weakref.ref(first, lambda _: None)
table = weakref.WeakKeyDictionary({first: 2.0})
by_name = weakref.WeakValueDictionary(one=first)
linear = torch.nn.Linear(2, 2)


@functools.singledispatch
def dispatched(value, x):
    return x


@dispatched.register
def _(value: int, x):
    return x + value


@dispatched.register
def _(value: Plain, x):
    return x * value.value


class Dispatching:
    @functools.singledispatchmethod
    def scale(self, value, x):
        return x

    @scale.register
    def _(self, value: float, x):
        return x * value


dispatching = Dispatching()


def called(x):
    return x * weakref.ref(first)().value


def compared(x):
    new = weakref.ref(first)
    equal = new == reference, new == weakref.ref(second), new != with_callback, new == first
    same = new is reference, new is weakref.ref(first), new is with_callback, new is weakref.ref(second)
    return x + 1, equal, same, reference is new, new.__callback__, with_callback() is new()


def returned(x):
    return x + 1, weakref.ref(first), weakref.ref(first, print)


def as_keys(x):
    plain = {weakref.ref(first): x, weakref.ref(second): 2.0}
    return plain[reference] * plain[weakref.ref(second)], weakref.ref(Plain) in plain


def looked_up(x):
    return x * table[first] + table.get(second, 5.0), first in table, second in table, len(table)


def listed(x):
    for key, value in table.items():
        x = x * key.value + value
    return x, list(table) == [first], [one() for one in table.keyrefs()]


def values_by_name(x):
    return x * by_name["one"].value, [value.value for value in by_name.values()], "two" in by_name


def single_dispatch(x):
    return dispatched(1, x) + dispatched(first, x) + dispatched("text", x)


def single_dispatch_method(x):
    return dispatching.scale(2.0, x) + dispatching.scale("text", x)


def to_a_module(x):
    return weakref.ref(linear)()(x)


def to_a_tensor(x):
    return weakref.ref(x)() * 2


def refused(x):
    try:
        weakref.ref(3)
    except TypeError as error:
        return x + 1, str(error)


PROGRAMS = [
    called,
    compared,
    as_keys,
    looked_up,
    listed,
    values_by_name,
    single_dispatch,
    single_dispatch_method,
    to_a_module,
    to_a_tensor,
    refused,
]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_one_graph(program, backend):
    plain, x = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    expected = program(plain)
    captured = capture(program, backend=backend, fullgraph=True)
    for _ in range(2):
        x.grad = None
        found = captured(x)
        for result in (expected, found):
            tensor = result[0] if isinstance(result, tuple) else result
            tensor.sum().backward(retain_graph=True)
        plain_gradient, plain.grad = plain.grad, None
        assert torch.equal(x.grad, plain_gradient)
        if isinstance(expected, tuple):
            assert torch.equal(found[0], expected[0]) and found[1:] == expected[1:]
        else:
            assert torch.equal(found, expected)


def test_returned_reference_is_the_one_that_there_is():
    captured = capture(returned, fullgraph=True)
    for _ in range(2):
        _, new, calling_back = captured(torch.ones(2))
        assert new is reference and calling_back() is first and calling_back.__callback__ is print


def test_key_is_set_in_a_table_from_outside():
    kept = weakref.WeakKeyDictionary()

    def program(key, x):
        kept[key] = len(kept) + 1
        return x * kept[key]

    captured, x = capture(program, fullgraph=True), torch.ones(2)
    key, other = Plain(), Plain()
    for number, each in enumerate((key, other, key), 1):
        assert torch.equal(captured(each, x), x * min(number, 3)) and kept[each] == min(number, 3)
    del other, each
    assert list(kept) == [key]
    del key
    assert not kept


@pytest.mark.parametrize("order", [(first, second, first), (second, first, second)])
def test_object_that_is_a_key_in_one_call_and_not_in_another(order):
    def program(key, x):
        return x + table.get(key, 7.0)

    captured, x = capture(program, fullgraph=True), torch.ones(2)
    for key in order:
        assert torch.equal(captured(key, x), program(key, x))


def test_objects_that_are_one_in_one_call_and_two_in_another():
    def program(one, two, x):
        return x + (weakref.ref(one) is weakref.ref(two)) + 2 * (weakref.ref(one) == weakref.ref(two))

    captured, x = capture(program, fullgraph=True), torch.ones(2)
    for one, two in ((first, first), (first, second), (second, second), (second, first)):
        assert torch.equal(captured(one, two, x), program(one, two, x))


def test_reference_that_is_another_in_the_next_call():
    holder = Plain()

    def program(x):
        return x + (weakref.ref(first) is holder.reference) + 2 * (weakref.ref(first) == holder.reference)

    captured, x = capture(program, fullgraph=True), torch.ones(2)
    for each in (reference, with_callback, weakref.ref(second), reference):
        holder.reference = each
        assert torch.equal(captured(x), program(x))


def test_referent_that_is_gone_in_the_next_call():
    target = Plain()
    outside = weakref.ref(target)

    def program(x):
        return x if outside() is None else x * outside().value

    captured, x = capture(program, fullgraph=True), torch.ones(2)
    assert torch.equal(captured(x), x * 2)
    del target
    gc.collect()
    assert torch.equal(captured(x), x)


def test_dropped_reference_does_not_call_back():
    calls = []
    target = Plain()
    kept = {weakref.ref(target, calls.append): 1}

    def program(x):
        return x * kept.get(weakref.ref(target), 5)

    captured, x = capture(program, fullgraph=True), torch.ones(2)
    assert torch.equal(captured(x), x) and torch.equal(captured(x), x)
    kept.clear()
    del target, program
    reset()
    gc.collect()
    assert calls == []


def test_tracing_leaves_no_reference():
    target = Plain()
    captured = capture(lambda key, x: x + (key in table), fullgraph=True)
    captured(target, torch.ones(2))
    assert weakref.getweakrefcount(target) == 0 or all(
        type(one) is not weakref.ref for one in weakref.getweakrefs(target)
    )
    gone = weakref.ref(target)
    del target
    assert gone() is None


def test_reference_to_an_object_of_its_own_breaks():
    def program(x):
        thing = Plain()
        new = weakref.ref(thing)
        y = x * new().value
        del thing
        return y, new() is None

    check(program, torch.ones(2))


def test_end_of_what_a_variable_holds():
    calls = []

    def program(x):
        thing = Plain()
        thing.part = Plain()
        graph_break()
        new, part = weakref.ref(thing, lambda _: calls.append("end")), weakref.ref(thing.part)
        y = x + (new() is None)
        thing = None
        return y, new() is None, part() is None, len(calls)

    check(program, torch.ones(2))


def test_end_by_a_change():
    calls, holder = [], Plain()

    def program(x):
        holder.part = Plain()
        graph_break()
        new = weakref.ref(holder.part, lambda _: calls.append("end"))
        again = weakref.ref(holder.part)
        holder.part = None
        return x + 1, len(calls) > 0, again() is None

    captured, x = capture(program), torch.ones(2)
    for number in range(1, 4):
        _, called_back, gone = captured(x)
        assert called_back and gone and len(calls) == number


def test_callback_behind_a_break():
    calls, holder = [], Plain()

    def program(x):
        new = weakref.ref(holder.part, lambda _: calls.append("end"))
        graph_break()
        holder.part = None
        return x + 1, len(calls)

    captured, x = capture(program), torch.ones(2)
    for number in range(1, 4):
        holder.part = Plain()
        assert captured(x)[1] == number


def test_key_with_a_hash_of_its_own_breaks():
    kept = weakref.WeakKeyDictionary()
    key = Equal(1.0)
    kept[key] = 2.0
    captured = capture(lambda x: x * kept[Equal(1.0) if sys.flags.verbose else key])
    assert torch.equal(captured(torch.ones(2)), torch.full((2,), 2.0))


def test_calls_are_answered_from_the_cache():
    reset()
    captured = capture(looked_up)
    for _ in range(4):
        captured(torch.ones(2))
    assert counters().captures == 1
