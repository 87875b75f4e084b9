"""Objects whose attributes CPython reads while tracing: that it is this object is guarded. One that can change after
all, as the specification of a module, is read by the program itself.
"""

import importlib.machinery
import inspect
import json
import math

import pytest
import torch

from tests.check import check
from tracer import capture


def with_defaults(x, items=[], *, table: dict = {}):  # noqa: B006  (the default is what is looked at)
    return x


def without(y):
    return y


LIMITS = [torch.finfo(torch.float16), torch.finfo(torch.float32)]
SIGNATURES = [inspect.signature(with_defaults), inspect.signature(without)]
PARAMETERS = [signature.parameters[name] for signature, name in zip(SIGNATURES, ("items", "y"), strict=True)]


def limit(x, limits):
    return x.clamp(max=limits.max / 2) + limits.bits


def names(x, signature):
    return x + len(signature.parameters), list(signature.parameters)


def parameter(x, parameter):
    return x + 1, parameter.name, parameter.kind, parameter.default is inspect.Parameter.empty


def texts(x, signature):
    return x + 1, str(signature), signature == SIGNATURES[0]


def binding(x, signature):
    return x + 1, list(signature.bind(1).arguments.items())


def origin(x, specification):
    return x + 1, specification.name, specification.origin, specification.has_location


@pytest.mark.parametrize(
    ("program", "objects"),
    [
        (limit, LIMITS),
        (names, SIGNATURES),
        (texts, SIGNATURES),
        (binding, SIGNATURES),
        (parameter, PARAMETERS),
        (origin, [json.__spec__, math.__spec__]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_another_object_of_the_class_is_another(program, objects):
    captured = capture(program, strict=True)
    for each in objects * 2:
        expected, observed = program(torch.ones(2), each), captured(torch.ones(2), each)
        assert torch.equal(observed[0], expected[0])
        assert observed[1:] == expected[1:] or program is limit


def changed_specification(x, specification):
    first = specification.cached
    specification.cached = None
    specification.origin = "other.pyc"
    return x + 1, first, specification.cached, specification.origin


def specification():
    made = importlib.machinery.ModuleSpec("one", None, origin="one.py")
    made.has_location = True
    return torch.ones(2), made


def test_specification_of_a_module_changes():
    check(changed_specification, make=specification, recaptures=None)


def default_of_a_parameter(x):
    parameters = inspect.signature(with_defaults).parameters
    items = parameters["items"].default
    items.append(len(items))
    return x + len(items), items is with_defaults.__defaults__[0], parameters["table"].annotation


def test_default_of_a_parameter_is_the_object_that_it_is():
    captured = capture(default_of_a_parameter, strict=True)
    try:
        for length in (1, 2, 3):
            y, same, annotation = captured(torch.zeros(2))
            assert y.tolist() == [length, length]
            assert same
            assert annotation is dict
    finally:
        with_defaults.__defaults__[0].clear()
