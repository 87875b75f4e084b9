"""Sources, guard rows and the reference evaluator, without the native one."""

from __future__ import annotations

import gc
import math
import random
import weakref
from collections import OrderedDict, deque
from typing import Any

import pytest
import torch

from passes.meta import meta_of
from tests.guard_models import module_entry_parts
from tracer.guards import checks
from tracer.guards.aliasing import Aliasing
from tracer.guards.checks import CHECKS, Expression, equal_constants, same_members, tensor_facts
from tracer.guards.explain import CallFrame, first_failure, guard_words
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import Absent, Source, argument, class_attribute, constant, function, module
from tracer.guards.state import read_state


class Point:
    kind = "plane"

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y


def outer_function():
    captured = 3

    def inner() -> Any:
        return captured, math

    return inner


def test_equal_paths_are_one_object():
    first = argument("self").child("dict").child("item", "weight")
    assert first is argument("self").child("dict").child("item", "weight")
    assert first.root is argument("self")
    assert constant(Point) is constant(Point)
    assert constant(Point) is not constant(OrderedDict)


def test_text_of_a_source_is_what_the_user_would_write():
    self = argument("self").child("dict")
    layers = self.child("item", "_modules").child("item", "layers").child("dict")
    first = layers.child("item", "_modules").child("item", "0")
    fc = first.child("dict").child("item", "_modules").child("item", "fc")
    weight = fc.child("dict").child("item", "_parameters").child("item", "weight")
    assert weight.text == "self.layers[0].fc.weight"
    assert weight.child("size", 1).text == "self.layers[0].fc.weight.size(1)"
    assert argument("batch").child("item", "input_ids").text == "batch['input_ids']"
    assert argument("xs").child("index", 2).text == "xs[2]"
    assert function().child("globals").child("item", "F").text == "F"
    inner = outer_function()
    assert function(inner.__code__).child("cell", 0).child("contents").text == "captured"
    assert constant(inner).child("globals").child("item", "math").text == f"{__name__}.math"
    assert constant(Point).child("class attribute", "kind").text == "Point.kind"
    assert module("math").text == "math"


RESOLVED = {
    "argument": (lambda: argument("p"), lambda p: p),
    "dict": (lambda: argument("p").child("dict").child("item", "x"), lambda p: p.x),
    "type": (lambda: argument("p").child("type"), lambda p: Point),
    "class attribute": (lambda: argument("p").child("type").child("class attribute", "kind"), lambda p: "plane"),
    "getattr": (lambda: argument("p").child("getattr", "y"), lambda p: p.y),
    "module": (lambda: module("math").child("dict").child("item", "pi"), lambda p: math.pi),
    "length": (lambda: argument("p").child("dict").child("length"), lambda p: 2),
    "key": (lambda: argument("p").child("dict").child("key", 1), lambda p: "y"),
    "index": (lambda: argument("p").child("getattr", "x").child("index", 1), lambda p: 2),
    "deque item": (lambda: argument("p").child("getattr", "y").child("deque item", 0), lambda p: "d"),
}


@pytest.mark.parametrize("name", RESOLVED)
def test_sources_resolve(name):
    source, expected = RESOLVED[name]
    point = Point([1, 2], deque(["d"]))
    frame = CallFrame(outer_function(), {"p": point})
    assert frame.resolve(source()) == expected(point)


def test_keys_of_an_ordered_dictionary_have_its_order():
    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    frame = CallFrame(None, {"d": ordered})
    assert frame.resolve(argument("d").child("key", 0)) == "b"
    assert CHECKS["keys"].test(ordered, ("b", "a"), frame)


def test_class_attributes_are_looked_up_along_the_mro_without_binding():
    class Derived(Point):
        pass

    assert class_attribute(Derived, "__init__") is Point.__dict__["__init__"]
    with pytest.raises(Absent):
        class_attribute(Derived, "nothing")


SAME = [1, -1, True, None, 2.5, math.nan, -0.0, 1j, "a", b"b", (1, (2.0, "x")), frozenset({1, "a"}), slice(1, 2), ...]
DIFFERENT = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    ((1,), (True,)),
    (torch.Size([1]), (1,)),
    (frozenset({1}), frozenset({True})),
    (slice(1), slice(True)),
    (0j, complex(0.0, -0.0)),
    ("a", b"a"),
    (None, False),
]


@pytest.mark.parametrize("value", SAME, ids=lambda value: type(value).__name__)
def test_equal_constants(value):
    assert equal_constants(value, value)


@pytest.mark.parametrize(("left", "right"), DIFFERENT, ids=lambda value: type(value).__name__)
def test_unequal_constants(left, right):
    assert not equal_constants(left, right)
    assert not equal_constants(right, left)


def test_guard_is_kept_once_with_the_first_line_that_needed_it():
    guards = GuardSet()
    guards.add(argument("x"), "type", int, "first")
    guards.add(argument("x"), "type", int, "second")
    guards.add(argument("d"), "absent", "a")
    guards.add(argument("d"), "absent", "b")
    assert [row.line for row in guards] == ["first", None, None]


def words(rows: list[tuple[Any, ...]], **local_values: Any) -> str | None:
    guards = GuardSet()
    for row in rows:
        guards.add(*row)
    failure = first_failure(guards, CallFrame(outer_function(), local_values))
    return failure and failure.words


def test_words_for_failed_guards():
    tensor = torch.ones(2, 3)
    facts = tensor_facts(tensor, meta_of(tensor))
    x = argument("x")
    assert words([(x, "tensor", facts)], x=torch.zeros(2, 3)) is None
    assert words([(x, "tensor", facts)], x=torch.ones(2, 4)) == "x: size(1) is 4, captured with 3"
    assert words([(x, "tensor", facts)], x=torch.ones(2, 3).double()) == (
        "x: dtype is torch.float64, captured with torch.float32"
    )
    assert words([(x, "type", int)], x="a") == "x is a str, captured as a int"
    assert words([(x, "equal", 3)], x=4) == "x is 4, captured with 3"
    assert words([(x.child("index", 4), "equal", 3)], x=[]).startswith("x[4] cannot be reached any more")
    small = Expression((x.child("size", 0),), (("load", 0), ("constant", 4), ("<", 0)), "x.size(0) < 4")
    assert words([(None, "expression", small)], x=torch.ones(9)) == "x.size(0) < 4 does not hold for x.size(0) = 9"
    with torch.no_grad():
        state = read_state()
    assert words([(None, "state", state)]) == "torch's setting grad is True, captured with False"


def test_every_check_has_words():
    x, tensor = argument("x"), torch.ones(2)
    expected = {
        "type": int,
        "same object": math,
        "tensor": tensor_facts(tensor, meta_of(tensor)),
        "same as": argument("y"),
        "not same as": argument("y"),
        "expression": Expression((), (("constant", 1),), "1"),
        "aliasing": Aliasing((x, argument("y")), 1, False),
        "state": read_state(),
    }
    guards = GuardSet()
    for check in CHECKS:
        guards.add(x, check, expected.get(check, "a"))
    texts = [guard_words(guard) for guard in guards]
    assert len(set(texts)) == len(CHECKS)
    assert "x is a int" in texts


def test_guards_of_a_dropped_model_keep_nothing_alive():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    guards, inputs = module_entry_parts(model)
    assert first_failure(guards, CallFrame(None, {"self": model})) is None
    gone = weakref.ref(model), weakref.ref(model[0].weight)
    del model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert len(guards) and len(inputs) == 2


def test_sources_die_with_their_guards():
    gone = weakref.ref(argument("nobody_else_uses_this").child("dict"))
    gc.collect()
    assert gone() is None


def test_source_cannot_be_pickled():
    with pytest.raises(TypeError):
        argument("x").__reduce__()
    assert isinstance(argument("x"), Source)


def pairwise(members, expected):
    """`same_members` by its definition."""
    rest = list(expected)
    for member in members:
        match = next((place for place, candidate in enumerate(rest) if equal_constants(member, candidate)), None)
        if match is None:
            return False
        del rest[match]
    return not rest


ALIKE = [
    *(1, True, 1.0, 1 + 0j, 0, False, 0.0, -0.0, math.nan, float("nan"), "a", b"a", None, torch.float32, ..., range(3)),
    *((), (1,), (True,), (1.0,), (math.nan,), ((1, 2), "x"), (math.sqrt, 1), frozenset({1}), frozenset({True})),
    *(math.sqrt, Point),
]


def test_members_of_sets_are_the_same_as_one_by_one():
    chance = random.Random(3)
    for _ in range(3000):
        members = set(chance.choices(ALIKE, k=chance.randrange(5)))
        expected = {each if chance.random() < 0.8 else chance.choice(ALIKE) for each in members}
        assert same_members(members, expected) == pairwise(members, expected)
        assert same_members({(each,) for each in members}, {(each,) for each in members})


@pytest.mark.parametrize(
    "member", [int, str, float, lambda number: (number, "a")], ids=["int", "str", "float", "tuple"]
)
def test_members_of_large_sets_are_not_compared_one_by_one(member, monkeypatch):
    def refuse(*_):
        raise AssertionError("two members were compared")

    monkeypatch.setattr(checks, "equal_constants", refuse)
    assert same_members(set(map(member, range(1000))), frozenset(map(member, range(1000))))
    assert not same_members(set(map(member, range(1000))), frozenset(map(member, range(1, 1001))))
