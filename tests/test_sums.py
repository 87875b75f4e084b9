"""`sum` rounds as the running CPython does, which adds up floats with more care from 3.12 on."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from tests.check import check
from tests.same import differences
from tracer import capture


class AddsUpToFloat:
    def __radd__(self, other):
        return other + 0.1


class Half(float):
    """Not exactly a float: added as any object is."""


NUMBERS = {
    "tenths": [0.1] * 10,
    "ints first": [1, True, *[0.1] * 9],
    "cancels": [1e100, 1.0, -1e100, 1.0],
    "infinite": [math.inf, 0.1, -math.inf],
    "overflows": [1e308, 1e308, -1e308],
    "minus zero": [-0.0, -0.0],
    "a subclass inside": [*[0.1] * 6, Half(0.5), *[0.1] * 6],
    "a fraction inside": [*[0.1] * 6, Fraction(1, 3), *[0.1] * 6],
    "an object after ints": [1, 2, AddsUpToFloat(), *[0.1] * 9],
    "two objects after ints": [1, AddsUpToFloat(), *[0.1] * 9, AddsUpToFloat(), *[0.1] * 9],
    "a large int": [0.1, 0.2, 10**30, *[0.1] * 9],
}


@pytest.mark.parametrize("name", NUMBERS)
def test_sum_of_floats(name):
    def program(numbers, x):
        return x + 1, sum(numbers), sum(numbers, 0.3), sum(number for number in numbers)

    check(program, NUMBERS[name], torch.ones(2))


def test_sum_begins_with_what_it_is_given():
    def program(x):
        return x, sum([0.1] * 10, True), sum([0.1] * 10, Fraction(1, 3)), sum([], 0.5), sum([[1], [2]], [])

    check(program, torch.ones(2))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_sum_of_a_float_that_varies(backend):
    def program(x, number):
        return x * sum([number] * 10), sum([1, number, number])

    captured = capture(program, backend=backend)
    for number in (0.1, 0.25, 1e-17, 0.1, -3.7):
        x = torch.ones(2, dtype=torch.float64)
        assert not differences(program(x, number), captured(x, number))
