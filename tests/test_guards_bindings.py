"""What versions and stamps stand for: instances, classes, functions and modules that change between calls.

Probes are strict, so that each verdict is also compared with the slow evaluator's.
"""

from __future__ import annotations

import builtins
import gc
import math
import weakref
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from tests.guard_models import module_entry_parts
from tests.guard_probe import Other, Point, Probe, identity, probe
from tracer.guards.source import argument, constant, function, module

X = argument("x")
ATTRIBUTE = X.child("dict").child("item", "x")


def test_changed_attribute_misses_only_if_it_was_read():
    point = Point()
    probed = probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1), (X.child("dict"), "absent", "z"))
    assert probed.fits(point)
    point.y = 5
    assert probed.fits(point)
    point.x = 3
    assert not probed.fits(point)
    point.x = 1
    assert probed.fits(point)
    point.z = 0
    assert not probed.fits(point)
    del point.z
    assert probed.fits(point)
    del point.x
    assert not probed.fits(point)


def test_counter_beside_guarded_attributes_is_repaired_without_a_new_binding():
    probed = probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1))
    point = Point()
    for step in range(5):
        point.y = step
        assert probed.fits(point)
    assert probed.entry.bindings == 1


def test_stores_by_specialised_instructions_are_noticed():
    def store(point, value):
        point.x = value

    def store_item(mapping, value):
        mapping["x"] = value

    inline, materialised = Point(), Point()
    for _ in range(100):
        store(inline, 1)
    probed = probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1))
    for point in (inline, materialised):
        assert probed.fits(point)
        for change in (store, lambda point, value: store_item(point.__dict__, value)):
            for value in [1, 2, 1] * 30:
                change(point, value)
                assert probed.fits(point) == (value == 1)


def test_instance_dictionary_and_class_replaced():
    point = Point()
    probed = probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1))
    assert probed.fits(point)
    point.__dict__ = {"x": 2}
    assert not probed.fits(point)
    point.__dict__ = {"x": 1}
    assert probed.fits(point)
    point.__class__ = Other
    assert not probed.fits(point)


def test_changes_below_an_attribute():
    tail = ATTRIBUTE.child("dict").child("item", "x").child("dict").child("item", "y")
    point = Point(Point(Point(0, "end")))
    probed = probe(identity, (tail, "equal", "end"), (ATTRIBUTE, "type", Point))
    assert probed.fits(point)
    point.x.x.y = "other"
    assert not probed.fits(point)
    point.x.x = Point(0, "end")
    assert probed.fits(point)
    point.x = Point(Point(0, "end"))
    assert probed.fits(point)
    point.x.__class__ = Other
    assert not probed.fits(point)
    point.x = None
    assert not probed.fits(point)


def test_each_instance_has_a_binding():
    probed = probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1), inputs=[X.child("dict").child("item", "y")])
    points = [Point(1, n) for n in range(200)]
    for _ in range(2):
        for n, point in enumerate(points):
            assert probed.fits(point)
            assert probed.given[-1] == (n,)
    assert 1 < probed.entry.bindings < 200


def test_instance_at_the_address_of_a_freed_one():
    probed = probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1))
    for n in range(50):
        assert probed.fits(Point(1)) is True
        assert probed.fits(Point(n)) is (n == 1)


def test_slots_and_properties_of_c_types():
    @dataclass(slots=True)
    class Slotted:
        a: int

    slotted = Slotted(1)
    probed = probe(identity, (X, "type", Slotted), (X.child("getattr", "a"), "equal", 1))
    assert probed.fits(slotted)
    slotted.a = 2
    assert not probed.fits(slotted)
    del slotted.a
    assert not probed.fits(slotted)


def test_class_attributes():
    class Base:
        value = 1

    class Derived(Base):
        pass

    kind = constant(Derived)
    rows = [(kind.child("class attribute", "value"), "equal", 1), (kind, "absent", "other")]
    by_argument = [(X.child("type").child("class attribute", "value"), "equal", 1)]
    probes = [probe(identity, *rows), probe(identity, *by_argument)]
    instance = Derived()

    def fits() -> set[bool]:
        return {probed.fits(instance) for probed in probes}

    assert fits() == {True}
    Base.value = 2
    assert fits() == {False}
    Base.value = 1
    assert fits() == {True}
    Derived.value = 3
    assert fits() == {False}
    del Derived.value
    Derived.unrelated = 1
    assert fits() == {True}
    Base.other = 1
    assert not probes[0].fits(instance)
    assert probes[1].fits(instance)


def test_class_as_argument():
    probed = probe(identity, (X.child("class attribute", "kind"), "equal", "plane"))
    assert probed.fits(Point)
    assert not probed.fits(Other)


counter = 0
setting = 1


def test_globals():
    def reader(x):
        return setting

    probed = probe(
        reader,
        (function().child("globals").child("item", "setting"), "equal", 1),
        (function().child("globals"), "absent", "no_such_name"),
        (function().child("builtins").child("item", "divmod"), "same object", divmod),
        (function().child("globals"), "absent", "divmod"),
    )
    space = globals()
    assert probed.fits(0)
    space["counter"] += 1
    assert probed.fits(0)
    space["setting"] = 2
    assert not probed.fits(0)
    space["setting"] = 1
    assert probed.fits(0)
    space["divmod"] = divmod
    assert not probed.fits(0)
    del space["divmod"]
    assert probed.fits(0)
    original = builtins.divmod
    try:
        builtins.divmod = lambda a, b: 0
        assert not probed.fits(0)
    finally:
        builtins.divmod = original


def test_globals_of_another_function_and_of_a_module():
    source = constant(identity).child("globals").child("item", "Probe")
    probed = probe(
        identity, (source, "same object", Probe), (module("math").child("dict").child("item", "pi"), "equal", math.pi)
    )
    assert probed.fits(0)
    try:
        math.pi = 3
        assert not probed.fits(0)
    finally:
        math.pi = math.acos(-1.0)
    assert probed.fits(0)


def test_closures():
    def make():
        captured = 1

        def reader(x):
            return captured

        def change(value):
            nonlocal captured
            captured = value

        return reader, change

    reader, change = make()
    source = function(reader.__code__).child("cell", 0).child("contents")
    probed = probe(reader, (source, "equal", 1), inputs=[source])
    assert probed.fits(0)
    change(2)
    assert not probed.fits(0)
    change(1)
    assert probed.fits(0)
    assert probed.given[-1] == (1,)


def test_instance_in_a_cell():
    def make(captured):
        def reader(x):
            return captured

        return reader

    point = Point()
    reader = make(point)
    source = function(reader.__code__).child("cell", 0).child("contents")
    probed = probe(reader, (source, "type", Point), (source.child("dict").child("item", "x"), "equal", 1))
    assert probed.fits(0)
    point.x = 2
    assert not probed.fits(0)


@pytest.mark.parametrize("bind_instance_first", [False, True])
def test_dictionary_of_an_instance_by_itself(bind_instance_first):
    """From 3.13 on it may be a view of what the instance holds, which attributes are stored in past it."""
    point = Point()
    if bind_instance_first:
        assert probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1)).fits(point)
    table = vars(point)
    probed = probe(identity, (X, "type", dict), (X.child("item", "x"), "equal", 1))
    assert probed.fits(table) and probed.fits(table)
    point.x = 2
    assert not probed.fits(table)
    point.x = 1
    assert probed.fits(table)
    other = Point()
    other.__dict__ = table
    other.x = 3
    assert not probed.fits(table)


def test_exceptions_have_no_dict_until_a_guard_asks_for_it():
    probed = probe(identity, (X, "type", ValueError), (X.child("dict"), "absent", "name"))
    for step in range(50):  # each at the address of the one before, whose dict is freed
        error = ValueError(step)
        probed.captured(error)
        del error
    assert probed.entry.hits == 50
    named = ValueError()
    named.name = "x"
    assert not probed.fits(named)


def test_function_and_method_fields():
    def helper(a, b=1, *, c=2):
        return a

    source = constant(helper)
    probed = probe(
        identity,
        (source.child("getattr", "__defaults__").child("index", 0), "equal", 1),
        (source.child("getattr", "__kwdefaults__").child("item", "c"), "equal", 2),
        (source.child("getattr", "__code__"), "same object", helper.__code__),
        (X.child("getattr", "__func__"), "same object", Point.__init__),
        (X.child("getattr", "__self__").child("dict").child("item", "x"), "equal", 1),
    )
    point = Point()
    assert probed.fits(point.__init__)
    helper.__defaults__ = (2,)
    assert not probed.fits(point.__init__)
    helper.__defaults__ = (1,)
    assert probed.fits(point.__init__)
    helper.__kwdefaults__ = {"c": 3}
    assert not probed.fits(point.__init__)
    helper.__kwdefaults__ = {"c": 2}
    point.x = 5
    assert not probed.fits(point.__init__)


def test_fields_known_to_be_one_object():
    def make(captured):
        def helper(a, b=(1, "b")):
            return a, captured

        def change(value):
            nonlocal captured
            captured = value

        return helper, change

    first, other = Point(), Point()
    helper, change = make(first)
    source, fields = constant(helper), (helper.__code__, helper.__defaults__)
    cell = source.child("cell", 0).child("contents")
    defaults = source.child("getattr", "__defaults__")
    probed = probe(
        identity,
        (source.child("getattr", "__code__"), "same object", fields[0]),
        (defaults, "same object", fields[1]),
        (defaults.child("index", 0).child("index", 1), "equal", "b"),
        (source.child("getattr", "__kwdefaults__"), "same object", None),
        (cell, "same object", first),
        (cell.child("dict").child("item", "x"), "equal", 1),
    )
    undone = [
        (lambda: setattr(helper, "__code__", fields[0].replace()), lambda: setattr(helper, "__code__", fields[0])),
        (lambda: setattr(helper, "__defaults__", ((1, "c"),)), lambda: setattr(helper, "__defaults__", fields[1])),
        (lambda: setattr(helper, "__kwdefaults__", {}), lambda: setattr(helper, "__kwdefaults__", None)),
        (lambda: change(other), lambda: change(first)),
        (lambda: setattr(first, "x", 2), lambda: setattr(first, "x", 1)),
    ]
    for do, undo in undone:
        assert probed.fits(0)
        do()
        assert not probed.fits(0)
        undo()
    assert probed.fits(0)
    change(None)
    del first, undone
    gc.collect()
    assert probed.entry.is_dead


def test_slots_of_several_classes():
    @dataclass(slots=True)
    class One:
        a: int
        b: int

    @dataclass(slots=True)
    class Two:
        b: int
        a: int

    probed = probe(identity, (X.child("getattr", "a"), "equal", 1))
    for _ in range(3):
        assert probed.fits(One(1, 2)) and probed.fits(Two(2, 1))
        assert not probed.fits(One(2, 1)) and not probed.fits(Two(1, 2))
    One.a = property(lambda self: 7)
    assert not probed.fits(One.__new__(One))
    assert probed.fits(Two(2, 1))


def test_list_items_of_an_attribute():
    item = ATTRIBUTE.child("index", 0)
    point = Point([Point(), Point()])
    probed = probe(
        identity, (item, "type", Point), (item.child("dict").child("item", "x"), "equal", 1), (ATTRIBUTE, "length", 2)
    )
    assert probed.fits(point)
    point.x[0].x = 2
    assert not probed.fits(point)
    point.x[0] = Point()
    assert probed.fits(point)
    point.x[0] = SimpleNamespace(x=1)
    assert not probed.fits(point)
    point.x.clear()
    assert not probed.fits(point)


def test_tuple_items_of_an_attribute():
    item = ATTRIBUTE.child("index", 1)
    point = Point((0, Point()))
    probed = probe(
        identity, (ATTRIBUTE, "type", tuple), (item, "type", Point), (item.child("dict").child("item", "x"), "equal", 1)
    )
    for _ in range(3):
        assert probed.fits(point)
        point.x = (0, Point())
    point.x[1].x = 2
    assert not probed.fits(point)
    point.x = (0,)
    assert not probed.fits(point)


# Modules ---------------------------------------------------------------------------------------------


def module_probe(model: torch.nn.Module) -> Probe:
    def call(self):
        return self

    return Probe(call, *module_entry_parts(model))


def small_model() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Sequential(torch.nn.Linear(3, 1))
    )


MODULE_CHANGES = {
    "hook": lambda m: m[2][0].register_forward_hook(lambda *args: None),
    "pre-hook": lambda m: m.register_forward_pre_hook(lambda *args: None),
    "backward hook": lambda m: m[0].register_full_backward_hook(lambda *args: None),
    "mode": lambda m: m[1].eval(),
    "child replaced": lambda m: m.__setitem__(0, torch.nn.Linear(2, 4)),
    "child removed": lambda m: m.__delitem__(2),
    "class": lambda m: setattr(m[2][0], "__class__", torch.nn.Identity),
    "forward on the instance": lambda m: setattr(m[0], "forward", lambda x: x),
    "parameter replaced": lambda m: setattr(m[0], "bias", torch.nn.Parameter(torch.ones(4))),
    "parameter removed": lambda m: setattr(m[0], "bias", None),
    "parameter frozen": lambda m: m[0].weight.requires_grad_(False),
    "data": lambda m: setattr(m[0].weight, "data", torch.ones(3, 2).double()),
    "shape": lambda m: setattr(m[0].weight, "data", torch.ones(3, 5)),
    "buffer": lambda m: setattr(m[1], "running_mean", torch.ones(7)),
    "dtype": lambda m: m.double(),
}


@pytest.mark.parametrize("change", MODULE_CHANGES)
def test_changed_module_misses(change):
    model = small_model()
    probed = module_probe(model)
    assert probed.fits(model)
    MODULE_CHANGES[change](model)
    assert not probed.fits(model)
    assert probed.fits(small_model())


def test_module_changed_where_no_guard_looks_still_fits():
    model = small_model()
    probed = module_probe(model)
    assert probed.fits(model)
    model.calls = 1
    model[0].weight.data = torch.zeros(3, 2)
    model[0].bias = torch.nn.Parameter(torch.zeros(3))
    model[1].running_mean = torch.zeros(3)
    assert probed.fits(model)
    assert all(given is found for given, found in zip(probed.given[-1], [*model[0].parameters()], strict=False))


def test_hooks_of_all_modules():
    model = small_model()
    probed = module_probe(model)
    assert probed.fits(model)
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *args: None)
    assert not probed.fits(model)
    handle.remove()
    assert probed.fits(model)


def test_swapped_tensors():
    model = small_model()
    probed = module_probe(model)
    assert probed.fits(model)
    torch.utils.swap_tensors(model[0].bias, torch.nn.Parameter(torch.ones(9)))
    assert not probed.fits(model)


def test_dropped_model_is_freed_at_once():
    model = small_model()
    probed = module_probe(model)
    assert probed.fits(model)
    probed.given.clear()
    gone = [weakref.ref(model), weakref.ref(model[0].weight)]
    del model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert probed.fits(small_model())
