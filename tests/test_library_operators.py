"""Operators of somebody's library: looked up for the first time, and writing where their schemas say so."""

from collections.abc import Iterator

import pytest
import torch

from tests.check import check, one_graph
from tracer import capture

NAMESPACE = "bytegraph_library"


def copied(x, *, out):
    return out.copy_(x * 2)


def scaled_each(tensors, factor):
    for tensor in tensors:
        tensor.mul_(factor)


@pytest.fixture(scope="module")
def library() -> Iterator[torch.library.Library]:
    """Kernels below autograd: what they write is not counted in the tensors' versions."""
    library = torch.library.Library(NAMESPACE, "DEF")
    library.define("copied(Tensor x, *, Tensor(a!) out) -> Tensor(a!)")
    library.impl("copied", copied, "CompositeExplicitAutograd")
    library.define("scaled_each(Tensor(a!)[] tensors, float factor) -> ()")
    library.impl("scaled_each", scaled_each, "CompositeExplicitAutograd")
    for name in ("halved", "halved_too"):  # each looked up by one test only
        library.define(f"{name}(Tensor x) -> Tensor")
        library.impl(name, lambda x: x / 2, "CPU")
        torch.library.register_fake(f"{NAMESPACE}::{name}", torch.empty_like, lib=library)
    yield library
    library._destroy()


@pytest.mark.parametrize(
    "program",
    [
        lambda x: torch.ops.bytegraph_library.halved(x + 1),
        lambda x: torch.ops.bytegraph_library.halved_too.default(x + 1),
    ],
)
def test_the_first_look_up_of_an_operator_is_no_break(library, program):
    captured = capture(program, fullgraph=True)  # before anybody else has called it
    torch.testing.assert_close(captured(torch.ones(3)), torch.ones(3))


def test_an_operator_that_is_missing_is_missed_as_ever(library):
    def program(x):
        return x + hasattr(torch.ops.bytegraph_library, "tripled") + hasattr(torch.ops.bytegraph_library, "copied")

    one_graph(program, torch.ones(3))
    check(lambda x: torch.ops.bytegraph_library.tripled(x), torch.ones(3))


@pytest.mark.parametrize("overload", [False, True])
def test_writes_that_only_the_schema_tells_of_are_kept(library, overload):
    def program(x):
        out = torch.zeros(2, 3)
        operator = torch.ops.bytegraph_library.copied
        (operator.default if overload else operator)(x, out=out)
        return out + 1

    one_graph(program, torch.ones(2, 3))


def test_writes_to_what_the_caller_has(library):
    def program(x, y):
        torch.ops.bytegraph_library.scaled_each([x, y], 3.0)
        return x + y

    one_graph(program, torch.ones(2), torch.ones(2))
