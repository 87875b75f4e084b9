"""The domain of a rule, generated as one function, says what the checks of its parameters say one by one."""

import itertools

import pytest
import torch

from passes.meta import TensorMeta, meta_of
from passes.operators.outcome import ListArg, SliceArg, Wrapped
from passes.rules.domain_check import check_of, inside_of
from passes.rules.rule import Domain, Rule, always

X = torch.ones(2, 3)
VALUES = [
    *(meta_of(X), meta_of(X.double()), meta_of(X[0]), meta_of(X[0, 0]), meta_of(X.to("meta")), meta_of(X.to_sparse())),
    *(meta_of(torch.ones(2, dtype=torch.complex64).conj()), TensorMeta((2,), (1,), is_inference=True)),
    *(None, True, 1, 1.5, 1j, "sum", torch.float32, torch.int64, torch.channels_last, torch.device("cpu")),
    *((), (1, 2), (1, None), ListArg((1, 2)), ListArg((meta_of(X),)), ListArg((meta_of(X), None)), ListArg((1.5, 2))),
    *(SliceArg(0, 1, None), (SliceArg(0, 1, None), 1), ..., Wrapped(2), Wrapped(2.5), torch.device("meta")),
]
KINDS = "tensor conj none bool int float str dtype ints list SliceArg tuple device".split()


def rule(kinds: tuple[str, ...], **tables: dict[str, tuple[object, ...]]) -> Rule:
    domain = Domain(ranks={"x": (1, 2)}, dtypes={"x": ("f32", "c64")}, kinds={"x": kinds}, **tables)
    return Rule("torch.relu", "function", ("x",), always("tensor_0"), domain=domain)


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), *itertools.combinations(KINDS, 2)], ids="-".join)
@pytest.mark.parametrize("choices", [{}, {"choices": {"x": ("sum", "torch.float32")}}], ids=["any", "some"])
def test_one_function_and_the_checks_agree(kinds, choices):
    one = rule(kinds, **choices)
    inside, check = inside_of(one), check_of(one, "x")
    for value in VALUES:
        assert bool(inside(value)) == check(value), value


def test_tensors_of_the_domain_and_others():
    inside = inside_of(rule(("tensor",)))
    assert [bool(inside(value)) for value in VALUES[:8]] == [True, False, True, False, False, False, False, False]
