"""Dictionaries that CPython tells of (3.12 and later), and what is compared at every call all the same.

Each change is made where the guards were found to hold just before, so that nothing but the change itself tells of it.
On 3.11 versions are compared, and the same must be seen.
"""

import gc
import subprocess
import sys
from collections import OrderedDict
from types import FunctionType

import pytest
import torch

from tests.guard_probe import Other, Point, probe
from tests.imports import ROOT
from tracer import capture
from tracer._native import start_watching, stop_watching, watched_dictionaries
from tracer.guards.source import argument

X = argument("x")
ATTRIBUTE = X.child("dict").child("item", "x")
TELLS = sys.version_info >= (3, 12)
only_told = pytest.mark.skipif(not TELLS, reason="CPython 3.11 has no watchers")


def identity(x):
    return x


def update(point):
    vars(point).update(x=5)


def merge(point):
    namespace = vars(point)
    namespace |= {"x": 5}


def delete(point):
    del point.x


def replace(point):
    point.__dict__ = {"x": 5, "y": 2}


def replace_later_changed(point):
    point.__dict__ = held = {"x": 1, "y": 2}
    held["x"] = 5


def move(point):
    point.__class__ = Other


CHANGES = {
    "setattr": lambda point: setattr(point, "x", 5),
    "object.__setattr__": lambda point: object.__setattr__(point, "x", 5),
    "item": lambda point: vars(point).__setitem__("x", 5),
    "update": update,
    "merge": merge,
    "delete": delete,
    "pop": lambda point: vars(point).pop("x"),
    "popitem": lambda point: [vars(point).popitem() for _ in list(vars(point))],
    "clear": lambda point: vars(point).clear(),
    "another dictionary": replace,
    "another dictionary, then changed": replace_later_changed,
    "another class": move,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_change_of_an_instance(change):
    probed = probe(identity, (X, "type", Point), (ATTRIBUTE, "equal", 1))
    point = Point()
    for _ in range(3):
        assert probed.fits(point)
    change(point)
    assert not probed.fits(point)
    point.__class__, point.__dict__ = Point, {"x": 1}
    assert probed.fits(point)
    change(point)
    assert not probed.fits(point)


def test_change_that_comes_back_in_a_call_between():
    probed = probe(identity, (ATTRIBUTE, "equal", 1))
    point = Point()
    assert probed.fits(point)
    for value in (5, 1, 1.0, True, 1):
        point.x = value
        assert probed.fits(point) == (value is 1)  # noqa: F632
    vars(point)["z"] = 1
    assert probed.fits(point)


@pytest.mark.parametrize("make", [dict, OrderedDict])
def test_table_that_is_to_stay_empty(make):
    """A table at the address of one that has ended is another table, though it is as empty."""

    class Module(torch.nn.Module):
        def forward(self, x):
            return x + 1

    module, calls = Module(), []
    captured = capture(module, backend="eager")
    for _ in range(20):
        captured(torch.ones(1))
        module._forward_hooks = make()
        captured(torch.ones(1))
        module._forward_hooks[0] = lambda *args: calls.append(args)
        captured(torch.ones(1))
        module._forward_hooks.clear()
    assert len(calls) == 20


def test_instances_at_one_address():
    """What did not hold for an instance is not believed of the next one, whose dictionary lies in its place."""
    probed = probe(identity, (ATTRIBUTE, "equal", 1))
    for value in (1, 2, 2, 1, 1, 3, 2, 1, 2, 2):
        for _ in range(3):
            assert probed.fits(Point(value)) == (value == 1)


def test_globals_of_a_function():
    namespace = {"__builtins__": __builtins__, "scale": 2}
    exec("def scaled(x): return x * scale", namespace)
    scaled = namespace["scaled"]
    assert isinstance(scaled, FunctionType)
    captured = capture(scaled, backend="eager")
    for value in (2, 2, 3, 3, 2):
        namespace["scale"] = value
        assert captured(torch.ones(1)).item() == value
    exec("scale = 7", namespace)
    assert captured(torch.ones(1)).item() == 7
    exec("def change():\n global scale\n scale = 8", namespace)
    namespace["change"]()
    assert captured(torch.ones(1)).item() == 8


def test_tensors_change_without_notice():
    """No dictionary tells of a parameter that changes in place."""
    model = torch.nn.Linear(2, 2)
    captured = capture(model, backend="eager")
    with torch.no_grad():
        for _ in range(3):
            captured(torch.ones(2))
        model.weight.data = torch.ones(3, 2)
        model.bias.data = torch.ones(3)
        assert captured(torch.ones(2)).shape == (3,)
    model.weight.requires_grad_(False)
    model.bias.requires_grad_(False)
    assert not captured(torch.ones(2)).requires_grad


WARM = """
import torch
from tracer import capture

class Scaled(torch.nn.Module):
    factor = 2

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())

    def forward(self, x):
        return self.inner(x) * type(self).factor

captured = capture(Scaled(), backend="eager")
captured(torch.ones(2))
captured(torch.ones(2))
(entry,) = captured.entries
before = entry.full_reads
for _ in range(5):
    captured(torch.ones(2))
print(entry.full_reads - before)
"""


@pytest.mark.slow
def test_warm_calls_read_nothing_anew():
    """A class has a version whatever CPython's flag for that says, which 3.13 never sets.

    In a process of its own: one of 3.13 has 65,535 versions to give, and the tests' classes use them up.
    """
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) == 0


@only_told
def test_nothing_is_watched_for_what_is_gone():
    gc.collect()
    before = watched_dictionaries()
    probed = probe(identity, (ATTRIBUTE, "equal", 1))
    points = [Point() for _ in range(10)]
    for point in points:
        assert probed.fits(point)
    assert watched_dictionaries() == before + 10
    del points[:], point
    assert watched_dictionaries() == before
    for point in [Point() for _ in range(3)]:
        assert probed.fits(point)
    del probed
    gc.collect()
    assert watched_dictionaries() == before


@only_told
def test_watcher_that_is_given_back():
    probed = probe(identity, (ATTRIBUTE, "equal", 1))
    point = Point()
    assert probed.fits(point)
    stop_watching()
    try:
        assert watched_dictionaries() == 0
        assert probed.fits(point)
        point.x = 5
        assert not probed.fits(point)
        point.x = 1
        assert probed.fits(point)
        other = Point()
        assert probed.fits(other)
        other.x = 5
        assert not probed.fits(other)
    finally:
        assert start_watching()
    assert probed.fits(point)
    point.x = 5
    assert not probed.fits(point)
    other.x = 1
    assert probed.fits(other)


WITHOUT = """
import _testcapi, torch, tracer
watchers = []
try:
    while True:
        watchers.append(_testcapi.add_dict_watcher(0))
except RuntimeError:
    pass
from tracer._native import start_watching, stop_watching
model = torch.nn.Linear(2, 2)
print("none left" in str(tracer.explain(model, torch.ones(2))))
captured = tracer.capture(model, backend="eager")
for bias in (model.bias, torch.nn.Parameter(torch.ones(2)), None):
    model.bias = bias
    for _ in range(3):
        assert torch.equal(captured(torch.ones(2)), model(torch.ones(2)))
_testcapi.clear_dict_watcher(watchers.pop())
print(start_watching(), "none left" in str(tracer.explain(model, torch.ones(2))))
stop_watching()
_testcapi.add_dict_watcher(0)
"""


@pytest.mark.slow
@only_told
def test_interpreter_without_a_watcher_left():
    pytest.importorskip("_testcapi")
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == (["True", "True", "False"], 0), done.stderr
