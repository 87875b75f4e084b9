"""A rule's function: what its source asks without calling a primitive, and what it makes."""

import torch

from passes.meta import TensorMeta
from passes.operators.outcome import New, Outcome, Same
from passes.rules.answer import Answerer
from passes.rules.generate import NAMESPACE, compiled
from passes.rules.interned import made
from passes.rules.language import PRIMITIVES
from passes.rules.rule import Case, Domain, Output, Rule, always

PLACES = {"self": 0, "other": 1}
X = TensorMeta((2, 3), (3, 1), requires_grad=True)
T = TensorMeta((3, 2), (1, 3), is_leaf=False)


DOUBLED = Output(
    alias=always("new"),
    shape=always("with_size(product(x.shape, (3, 3)), 0, size_at(x.shape, 0) * 3 % 7 * 1)"),
    stride=always("contiguous(shape)"),
    storage_offset=always("0"),
    dtype=always("x.dtype"),
    requires_grad=always("False"),
)


def view_rule(**more):
    """`self` in the shape `other`, a copy where it has to be one."""
    output = Output(
        alias=(Case("is_viewable(self, other)", "view self"), Case("", "new")),
        shape=always("literal(self.shape, other)"),
        stride=(Case("is_new", "contiguous(shape)"), Case("", "view(self, other).stride")),
        storage_offset=(Case("is_new", "0"), Case("", "self.storage_offset")),
        dtype=always("self.dtype"),
        requires_grad=always("grad_mode and any_requires_grad(self, other)"),
    )
    domain = Domain({"self": (1, 2)}, {"self": ("f32",)}, {"self": ("tensor",), "other": ("ints",)}, **more)
    return Rule("reshape", "function", ("self", "other"), always("tensor_0"), (output,), domain=domain)


def test_a_view_is_made_once_and_gradients_are_asked_of_tensors_only():
    source = compiled(view_rule()).source
    assert source.count("_view_if_any(self, other)") == 1
    assert "_view(" not in source and "_is_viewable" not in source
    assert "_grad = _tracked and self.requires_grad" in source


def test_what_the_generated_code_adds_hides_no_primitive():
    """Both are names behind an underscore."""
    for primitive in PRIMITIVES.values():
        assert NAMESPACE[f"_{primitive.name}"] is primitive.function
    domain = Domain({"x": (2,)}, {"x": ("f32",)}, {"x": ("tensor",)})
    rule = Rule("doubled", "aten", ("x",), always("tensor_0"), (DOUBLED,), domain=domain)
    assert Answerer(rule).answer({"x": X}) == Outcome(New(TensorMeta((6, 3), (3, 1))), {})


def test_views_and_copies():
    evaluate = compiled(view_rule()).evaluate
    assert evaluate(X, (6,), PLACES, True) == Outcome(
        New(TensorMeta((6,), (1,), requires_grad=True, is_leaf=False), 0), {}
    )
    assert evaluate(T, (6,), PLACES, True) == Outcome(New(TensorMeta((6,), (1,))), {})


def test_what_is_outside_the_domain_is_answered_only_where_that_is_asked():
    answerer = Answerer(view_rule())
    outside = X.replace(dtype=torch.float64)
    assert not answerer.is_inside((outside, (6,)))
    assert answerer.answer({"self": outside, "other": (6,)}) is None
    found = answerer.said_of((outside, (6,)), PLACES, True)
    assert found is not None and found.result.meta.dtype is torch.float64


def test_a_primitive_that_is_asked_of_lists_stays_a_call():
    output = Output(
        *(always("new"), always("self[0].shape"), always("contiguous(shape)"), always("0"), always("self[0].dtype")),
        requires_grad=always("grad_mode and any_requires_grad(self)"),
    )
    domain = Domain({"self": (2,)}, {"self": ("f32",)}, {"self": ("list",)})
    rule = Rule("cat", "function", ("self",), always("tensor_0"), (output,), domain=domain)
    assert "_any_requires_grad(self)" in compiled(rule).source
    found = compiled(rule).evaluate((T, X), {"self": 0}, True)
    assert found == Outcome(New(TensorMeta((3, 2), (2, 1), requires_grad=True, is_leaf=False)), {})


def test_made_tensors_are_interned_and_know_their_memory():
    facts = ((2, 3), (3, 1), torch.float32, 0, False, True)
    assert made(*facts) is made(*facts) and made(*facts).alias_of is None
    assert made(*facts, 1) == New(TensorMeta((2, 3), (3, 1)), 1)
    assert made([2, 3], [3, 1], *facts[2:]) == made(*facts)


def test_an_operator_that_returns_what_it_writes_to():
    rule = Rule("zero_", "function", ("self",), always("tensor_0"), (Output(always("same self")),))
    assert compiled(rule).evaluate(T, {"self": 0}, True, _anywhere=True) == Outcome(Same(0), {})


def test_a_primitive_whose_name_ends_like_anothers_is_asked_itself():
    output = Output(
        *(always("new"), always("spectrum(self, n, dim).shape"), always("line_spectrum(self, n, dim).stride")),
        *(always("0"), always("spectrum(self, n, dim).dtype")),
        requires_grad=always("False"),
    )
    domain = Domain({"self": (2,)}, {"self": ("c64",)}, {"self": ("tensor",), "n": ("none",), "dim": ("int",)})
    rule = Rule("fft", "function", ("self", "n", "dim"), always("tensor_0"), (output,), domain=domain)
    given = TensorMeta((3, 4), (4, 1), torch.complex64)
    real = torch.fft.fft(torch.zeros(3, 4, dtype=torch.complex64), None, 1)
    found = Answerer(rule).answer({"self": given, "n": None, "dim": 1})
    assert found is not None and (found.result.meta.shape, found.result.meta.stride) == (real.shape, real.stride())
