"""`super()` without arguments in continuations: it reads the first argument, which nothing else may read any more."""

import pytest
import torch

from tests.check import check
from tracer import graph_break


class Base:
    def twice(self, x):
        return x * 2


class Derived(Base):
    def after_one(self, x):
        return x + 1, graph_break(), super().twice(x)

    def after_two(self, x):
        return x + 1, graph_break(), graph_break(), super().twice(x)

    def nested(self, x):
        return [x + 1, graph_break(), [graph_break(), super().twice(x)], graph_break()]

    def captured_by_a_closure(self, x):
        get = lambda: self
        return x + 1, graph_break(), graph_break(), super().twice(x), type(get()).__name__

    def in_a_loop(self, x, *rest):
        for _ in range(2):
            graph_break()
            x = super().twice(x)
        return x, rest


@pytest.mark.parametrize("name", ["after_one", "after_two", "nested", "captured_by_a_closure", "in_a_loop"])
def test_super_after_breaks(name):
    check(getattr(Derived(), name), torch.ones(2), recaptures=None)
