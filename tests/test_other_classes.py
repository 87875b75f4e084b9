"""Classes and modules that get another class: between calls, and by the program itself."""

import types

import pytest
import torch

from tests.check import check
from tracer.api import capture, counters, reset

BACKENDS = ["eager", "aot_eager", lambda graph, inputs: graph.forward]


class PropertyModule(types.ModuleType):
    @property
    def scale(self):
        return 5


class AttributeModule(types.ModuleType):
    def __getattribute__(self, name):
        return 7 if name == "scale" else super().__getattribute__(name)


class ErrorModule(types.ModuleType):
    def __getattribute__(self, name):
        if name == "scale":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def __getattr__(self, name):
        return 9

    def __call__(self, x):
        return x * 11


class CallModule(types.ModuleType):
    def __call__(self, x):
        return x * 13


class Meta(type):
    def __getattr__(cls, name):
        return 2

    def __len__(cls):
        return 3

    def __call__(cls):
        return 4


class OtherMeta(type):
    def __getattribute__(cls, name):
        return 6 if name == "scale" else super().__getattribute__(name)

    def __len__(cls):
        return 8

    def __call__(cls):
        return 10


MODULE = types.ModuleType("scales")
MODULE.scale = 2
CLASS = Meta("CLASS", (), {})


def agree(program, holder, classes, backend):
    reset()
    first, captured, x = holder.__class__, capture(program, backend=backend), torch.ones(2)
    try:
        for cls in (*classes, *classes):
            holder.__class__ = cls
            assert str(program(x)) == str(captured(x))
        assert counters().captures == len(classes)
    finally:
        holder.__class__ = first


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_module_gets_another_class(backend):
    agree(lambda x: x * MODULE.scale, MODULE, [types.ModuleType, PropertyModule, AttributeModule, ErrorModule], backend)
    agree(lambda x: MODULE(x), MODULE, [ErrorModule, CallModule], backend)
    agree(lambda x: (x + 1, type(MODULE).__name__), MODULE, [types.ModuleType, PropertyModule], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_class_gets_another_metaclass(backend):
    agree(lambda x: x * CLASS.scale, CLASS, [Meta, OtherMeta], backend)
    agree(lambda x: x * CLASS() + len(CLASS), CLASS, [Meta, OtherMeta], backend)
    agree(lambda x: (x + 1, isinstance(CLASS, OtherMeta)), CLASS, [Meta, OtherMeta], backend)


class Mild(Exception):
    weight = 1


class Grave(Exception):
    weight = 2


def test_an_exception_gets_another_class():
    def program(x):
        try:
            raise Mild("so")
        except Mild as error:
            error.__class__ = Grave
            return x + error.weight, repr(error)

    check(program, torch.ones(2), breaks=["unsupported-mutation"])
