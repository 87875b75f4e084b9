"""The native guard program: every check and access path, hits and misses, beside the reference evaluator.

Probes are strict, so that each verdict is also compared with the slow evaluator's.
"""

from __future__ import annotations

import gc
import math
import weakref
from collections import OrderedDict, deque

import pytest
import torch

from tests.guard_probe import Other, Point, identity, probe, tensor_row
from tracer.dispatch.cache import CapturedFunction, Entry, frame_cache
from tracer.guards.checks import Expression
from tracer.guards.guard_set import GuardSet
from tracer.guards.source import argument
from tracer.guards.state import read_state

X = argument("x")


# Tensors ---------------------------------------------------------------------------------------------

TENSOR = torch.ones(2, 3)

TENSOR_MISSES = {
    "shape": lambda: torch.ones(3, 2),
    "rank": lambda: torch.ones(6),
    "stride": lambda: torch.ones(3, 2).t(),
    "dtype": lambda: torch.ones(2, 3).double(),
    "device": lambda: torch.ones(2, 3, device="meta"),
    "layout": lambda: torch.ones(2, 3).to_sparse(),
    "requires grad": lambda: torch.ones(2, 3, requires_grad=True),
    "parameter": lambda: torch.nn.Parameter(torch.ones(2, 3), requires_grad=False),
    "negative bit": lambda: torch.ones(2, 3, dtype=torch.complex64).conj().imag,
    "inference": lambda: torch.inference_mode()(torch.ones)(2, 3),
    "no tensor": lambda: [1.0],
}


@pytest.mark.parametrize("what", TENSOR_MISSES)
def test_tensor_that_differs_in_one_fact_misses(what):
    probed = probe(identity, tensor_row(TENSOR))
    assert probed.fits(torch.zeros(2, 3))
    assert not probed.fits(TENSOR_MISSES[what]())
    assert probed.fits(torch.zeros(4, 3)[2:])


def test_conjugate_bit():
    tensor = torch.ones(2, dtype=torch.complex64)
    assert not probe(identity, tensor_row(tensor)).fits(tensor.conj())
    assert probe(identity, tensor_row(tensor.conj())).fits(tensor.conj())


@pytest.mark.parametrize("rank", [0, 1, 5, 6, 8])
def test_tensors_of_any_rank(rank):
    probed = probe(identity, tensor_row(torch.ones([2] * rank)))
    assert probed.fits(torch.zeros([2] * rank))
    assert not probed.fits(torch.zeros([2] * (rank + 1)))
    if rank:
        assert not probed.fits(torch.zeros([2] * (rank - 1) + [3]))


def test_tensor_whose_data_was_replaced():
    tensor = torch.ones(2, 3)
    probed = probe(identity, tensor_row(tensor))
    assert probed.fits(tensor)
    tensor.data = torch.ones(3, 3)
    assert not probed.fits(tensor)
    tensor.resize_(2, 3)
    assert probed.fits(tensor)
    tensor.requires_grad_()
    assert not probed.fits(tensor)


def test_storage_offset_and_leaf_are_compared_only_if_the_trace_read_them():
    view = torch.ones(4, 3)[2:]
    assert probe(identity, tensor_row(view)).fits(torch.ones(2, 3))
    assert not probe(identity, tensor_row(view, asked=("storage_offset",))).fits(torch.ones(2, 3))
    leaf = torch.ones(2, requires_grad=True)
    assert probe(identity, tensor_row(leaf)).fits(leaf * 1)
    assert not probe(identity, tensor_row(leaf, asked=("is_leaf",))).fits(leaf * 1)


def test_dynamic_dimensions_are_not_compared():
    probed = probe(identity, tensor_row(torch.ones(2, 3), dynamic=(0,)))
    assert probed.fits(torch.ones(7, 3))
    assert not probed.fits(torch.ones(7, 4))


def test_sizes_as_inputs_and_in_expressions():
    size, stride = X.child("size", 0), X.child("stride", 0)
    condition = Expression(
        (size, stride), (("load", 0), ("constant", 3), (">", 0), ("load", 1), ("constant", 3), ("==", 0), ("and", 0))
    )
    probed = probe(
        identity, tensor_row(torch.ones(5, 3), dynamic=(0,)), (None, "expression", condition), inputs=[size, X]
    )
    tensor = torch.ones(1000, 3)
    assert probed.fits(tensor)
    assert probed.given[-1] == (1000, tensor)
    assert not probed.fits(torch.ones(2, 3))


EXPRESSIONS = [
    ((("constant", 7), ("constant", -2), ("//", 0), ("constant", -4), ("==", 0)), True),
    ((("constant", 7), ("constant", -2), ("%", 0), ("constant", -1), ("==", 0)), True),
    ((("constant", -7), ("constant", 2), ("%", 0), ("constant", 1), ("==", 0)), True),
    ((("constant", 1), ("constant", 0), ("//", 0), ("constant", 0), ("==", 0)), False),
    ((("constant", 2**62), ("constant", 2), ("*", 0), ("constant", 0), ("!=", 0)), False),
    ((("constant", 3), ("negative", 0), ("absolute", 0), ("constant", 3), ("==", 0)), True),
    ((("constant", 3), ("constant", 4), ("min", 0), ("constant", 3), ("max", 0), ("not", 0)), False),
    ((("constant", 0), ("constant", 4), ("or", 0)), True),
    ((("load", 0), ("constant", 3), ("<=", 0)), False),
]


@pytest.mark.parametrize(("program", "holds"), EXPRESSIONS)
def test_expressions(program, holds):
    probed = probe(identity, (X, "type", int), (None, "expression", Expression((X,), program)))
    assert probed.fits(5) == holds


def test_expression_over_an_integer_beyond_64_bits():
    condition = Expression((X,), (("load", 0), ("constant", 0), (">", 0)))
    probed = probe(identity, (None, "expression", condition))
    assert probed.fits(5)
    assert not probed.fits(2**70)
    assert not probed.fits(True)


# Constants, identity, containers ---------------------------------------------------------------------

EQUAL = [
    (1, 1, [True, 1.0, 2, "1"]),
    (True, True, [1, False]),
    (2.5, 2.5, [2.25]),
    (math.nan, float("nan"), [0.0]),
    (-0.0, -0.0, [0.0]),
    ("some text", "".join(["some", " text"]), ["other"]),
    (b"b", b"b", [b"c", "b"]),
    ((1, ("a", 2.0)), (1, ("a", 2.0)), [(1, ("a", 2)), (1,), [1]]),
    (torch.Size([1, 2]), torch.Size([1, 2]), [(1, 2), torch.Size([1])]),
    (frozenset({1, "a"}), frozenset({"a", 1}), [frozenset({True, "a"}), frozenset()]),
    (slice(1, None), slice(1, None), [slice(True, None)]),
    (range(3), range(3), [range(4)]),
    (1j, complex(0.0, 1.0), [complex(-0.0, 1.0)]),
    (torch.device("cpu"), torch.device("cpu"), [torch.device("meta")]),
    (torch.float32, torch.float32, [torch.float64]),
    (2**80, 2**80, [2**81]),
    (None, None, [0]),
]


@pytest.mark.parametrize(("expected", "same", "others"), EQUAL, ids=lambda value: type(value).__name__)
def test_equal(expected, same, others):
    probed = probe(identity, (X, "equal", expected))
    assert probed.fits(same)
    assert not any(probed.fits(other) for other in others)


def test_same_object_and_type():
    probed = probe(identity, (X, "same object", math.sin))
    assert probed.fits(math.sin)
    assert not probed.fits(math.cos)
    probed = probe(identity, (X, "type", Point))
    assert probed.fits(Point())
    assert not probed.fits(type("Point", (Point,), {})())
    assert not probed.fits(Point)


def test_entry_that_expects_a_freed_object_is_dropped():
    local = type("Local", (), {})
    probed = probe(identity, (X, "type", local))
    assert probed.fits(local())
    assert not probed.entry.is_dead
    del local
    gc.collect()
    assert probed.entry.is_dead
    assert not probed.fits(Point())
    assert probed.cache.entries == []


@pytest.mark.parametrize("kind", [dict, OrderedDict])
@pytest.mark.parametrize("key", [Point, lambda: (Point(), 1), lambda: torch.ones(1)], ids=["object", "tuple", "tensor"])
def test_keys_that_equal_only_themselves_are_held_weakly(kind, key):
    first = key()
    table = kind({first: 1, "b": 2})
    probed = probe(identity, (X, "keys", tuple(table)))
    assert probed.fits(table)
    assert probed.fits(kind(table))
    assert not probed.fits(kind({key(): 1, "b": 2}))
    assert not probed.fits(kind({None: 1, "b": 2}))
    dying = weakref.ref(first[0] if type(first) is tuple else first)
    del first, table
    assert dying() is None
    assert not probed.fits(kind({key(): 1, "b": 2}))
    assert not probed.fits(kind({None: 1, "b": 2}))


CONTAINERS = [
    ("length", 2, [[1, 2], (1, 2), {1: 1, 2: 2}, {1, 2}, deque([1, 2]), "ab"], [[1], {}, 5, deque()]),
    ("keys", ("a", "b"), [{"a": 1, "b": 2}, OrderedDict(a=1, b=2)], [{"b": 1, "a": 1}, {"a": 1}, ["a", "b"]]),
    ("keys", (1, 2), [{1: 0, 2: 0}], [{True: 0, 2: 0}]),
    ("absent", "a", [{}, {"b": 1}, Point, set(), frozenset({"b"})], [{"a": 1}, type("A", (), {"a": 1}), 5, {"a"}]),
    ("present", "a", [{"a"}, frozenset({1, "a"}), {"a": 1}], [{"b"}, set(), {"b": "a"}, ["a"], 5]),
    ("set items", frozenset({1, "a"}), [{1, "a"}, frozenset({"a", 1})], [{True, "a"}, set(), [1, "a"]]),
    (
        "set order",
        (0, 0, 8),
        [{0, 8}, frozenset([0, 8])],
        [{8, 0}, {False, 8}, {0}, set(), [0, 8], set(range(9)) - {1}],
    ),
]


@pytest.mark.parametrize(("check", "expected", "fits", "misses"), CONTAINERS, ids=lambda value: type(value).__name__)
def test_containers(check, expected, fits, misses):
    probed = probe(identity, (X, check, expected))
    for value in fits:
        assert probed.fits(value), value
    for value in misses:
        assert not probed.fits(value), value
    attribute = probe(identity, (X.child("dict").child("item", "x"), check, expected))
    for value in fits:
        assert attribute.fits(Point(value)), value
    for value in misses:
        assert not attribute.fits(Point(value)), value


def test_container_changed_in_place_misses():
    changes = {
        "list": ([1, 2], "length", 2, lambda value: value.append(3)),
        "set": ({1, 2}, "set items", frozenset({1, 2}), lambda value: value.add(3)),
        "set with other members": (
            {1, 2},
            "set items",
            frozenset({1, 2}),
            lambda value: (value.remove(1), value.add(3)),
        ),
        "deque": (deque([1]), "length", 1, lambda value: value.append(3)),
        "dict": ({"a": 1}, "keys", ("a",), lambda value: value.update(b=1)),
        "dict key": ({"a": 1}, "absent", "b", lambda value: value.update(b=1)),
        "ordered dict": (OrderedDict(a=1, b=2), "keys", ("a", "b"), lambda value: value.move_to_end("a")),
    }
    for name, (value, check, expected, change) in changes.items():
        point = Point(value)
        direct = probe(identity, (X, check, expected))
        attribute = probe(identity, (X.child("dict").child("item", "x"), check, expected))
        assert direct.fits(value) and attribute.fits(point), name
        change(value)
        assert not direct.fits(value), name
        assert not attribute.fits(point), name


def test_items():
    rows = [
        (X.child("index", 1), "equal", 2),
        (X.child("index", 0).child("item", "k"), "equal", "v"),
        (X.child("index", 0).child("key", 1), "equal", "z"),
    ]
    probed = probe(identity, *rows, inputs=[X.child("index", 1)])
    for container in (list, tuple):
        assert probed.fits(container([{"k": "v", "z": 0}, 2]))
        assert probed.given[-1] == (2,)
        assert not probed.fits(container([{"k": "v", "y": 0}, 2]))
        assert not probed.fits(container([{"k": "v", "z": 0}, 3]))
        assert not probed.fits(container([{"k": "v", "z": 0}]))
    assert not probed.fits({0: {"k": "v", "z": 0}, 1: 2})


def test_deque_weak_reference_and_length_as_value():
    probed = probe(identity, (X.child("deque item", 1), "equal", "b"), (X.child("length"), "equal", 2))
    assert probed.fits(deque("ab"))
    assert not probed.fits(deque("ac"))
    assert not probed.fits(["a", "b"])
    point = Point()
    probed = probe(identity, (X.child("call"), "type", Point))
    assert probed.fits(weakref.ref(point))
    assert not probed.fits(weakref.ref(Other))


def test_item_whose_key_is_another_value():
    def two(x, key):
        return x

    probed = probe(two, (X.child("item of", argument("key")), "equal", 1))
    key = Point()
    assert probed.fits({key: 1}, key)
    assert not probed.fits({key: 1}, Point())
    assert not probed.fits({key: 2}, key)


def test_same_as():
    def two(x, y):
        return x

    y = argument("y")
    same, different = probe(two, (X, "same as", y)), probe(two, (X, "not same as", y))
    point = Point()
    assert same.fits(point, point) and not same.fits(point, Point())
    assert different.fits(point, Point()) and not different.fits(point, point)


# torch's settings ------------------------------------------------------------------------------------

SETTINGS = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "autocast of another device": lambda: torch.autocast("xpu", dtype=torch.float16),
    "torch function disabled": torch._C.DisableTorchFunctionSubclass,
    "default device": lambda: torch.device("cpu"),
    "dispatch mode": lambda: torch.utils._python_dispatch.TorchDispatchMode(),
    "vmap": lambda: torch._functorch.eager_transforms.grad_increment_nesting(),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings(setting):
    probed = probe(identity, (None, "state", read_state()))
    assert probed.fits(0)
    with SETTINGS[setting]():
        assert not probed.fits(0)
        inside = probe(identity, (None, "state", read_state()))
        assert inside.fits(0)
    assert probed.fits(0)
    assert not inside.fits(0)


def test_settings_of_the_process():
    probed = probe(identity, (None, "state", read_state()))
    torch.set_default_dtype(torch.float64)
    assert not probed.fits(0)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert not probed.fits(0)
    torch.use_deterministic_algorithms(False)
    assert probed.fits(0)


def test_number_of_threads_is_compared_only_if_it_matters():
    threads = torch.get_num_threads()
    asked, unasked = (probe(identity, (None, "state", read_state(threads=matter))) for matter in (True, False))
    try:
        torch.set_num_threads(threads + 1)
        assert unasked.fits(0)
        assert not asked.fits(0)
    finally:
        torch.set_num_threads(threads)
    assert asked.fits(0)


def test_autocast_settings():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        probed = probe(identity, (None, "state", read_state()))
        assert probed.fits(0)
    with torch.autocast("cpu", dtype=torch.float16):
        assert not probed.fits(0)
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        assert not probed.fits(0)


# Malformed rows ---------------------------------------------------------------------------------------

MALFORMED = [
    ([(X, "no such check", 1, None)], ValueError),
    ([(X, "tensor", "not facts", None)], TypeError),
    ([(X, "length", "x", None)], TypeError),
    ([(argument("no_such_parameter"), "equal", 1, None)], ValueError),
    ([(None, "expression", Expression((), (("+", 0),)), None)], ValueError),
    ([(None, "expression", Expression((), (("load", 3),)), None)], ValueError),
    (["not a row"], TypeError),
    ([("not a source", "equal", 1, None)], AttributeError),
]


@pytest.mark.parametrize(("rows", "error"), MALFORMED)
def test_malformed_row_is_refused(rows, error):
    cache = frame_cache(identity.__code__, lambda *_: None)
    with pytest.raises(error):
        cache.add(Entry(rows, [], None))
    assert cache.entries == []


def test_value_that_cannot_be_compared_misses():
    class Unhashable:
        __hash__ = None

    assert not probe(identity, (X.child("item of", X), "equal", 1)).fits({})
    cache = frame_cache(identity.__code__, lambda *_: "missed")
    guards = GuardSet()
    guards.add(X.child("item of", X), "equal", 1)
    cache.add(Entry(guards, [], None))
    assert CapturedFunction(identity, cache)(Unhashable()) == "missed"
