"""TensorMeta: interning, what it reads off tensors, and how it prints."""

import copy
import pickle

import pytest
import torch

from passes.meta import TensorMeta, meta_of


def test_equal_facts_are_one_object():
    left, right = meta_of(torch.randn(2, 3)), meta_of(torch.zeros(2, 3))
    assert left is right
    assert left is TensorMeta((2, 3), (3, 1))
    assert left is not meta_of(torch.randn(3, 2).t())
    assert hash(left) == hash(right)


def test_copies_and_pickles_are_the_same_object():
    meta = meta_of(torch.randn(2, 3, requires_grad=True))
    assert copy.copy(meta) is copy.deepcopy([meta])[0] is pickle.loads(pickle.dumps(meta)) is meta


def test_metas_cannot_be_changed():
    meta = meta_of(torch.randn(2))
    with pytest.raises(AttributeError, match="immutable"):
        meta.shape = (3,)  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        del meta.shape
    with pytest.raises(TypeError, match="no fact"):
        meta.replace(size=(3,))


def test_facts_of_a_view():
    whole = torch.randn(4, 6, requires_grad=True)
    meta = meta_of(whole[1:, ::2].t())
    assert (meta.shape, meta.stride, meta.storage_offset) == ((3, 3), (2, 6), 6)
    assert (meta.requires_grad, meta.is_leaf, meta.is_inference) == (True, False, False)
    assert type(meta.shape) is tuple


@pytest.mark.parametrize(
    "make, fact",
    [
        (lambda: torch.randn(2, dtype=torch.complex64).conj(), "is_conj"),
        (lambda: torch.randn(2, dtype=torch.complex64).conj().imag, "is_neg"),
        (lambda: inference_tensor(), "is_inference"),
        (lambda: torch.randn(2, requires_grad=True), "requires_grad"),
    ],
)
def test_flags(make, fact):
    assert getattr(meta_of(make()), fact)
    assert not getattr(meta_of(torch.randn(2)), fact)


def inference_tensor():
    with torch.inference_mode():
        return torch.randn(2)


def test_sparse_tensors_have_no_stride():
    meta = meta_of(torch.eye(3).to_sparse())
    assert meta.stride is None
    assert meta.text == "f32[3, 3] sparse_coo"


def test_nested_tensors_have_no_meta():
    with pytest.raises(NotImplementedError, match="nested"):
        meta_of(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))


def test_replace_gives_the_meta_of_the_changed_facts():
    meta = meta_of(torch.randn(2))
    assert meta.replace(requires_grad=True) is meta_of(torch.randn(2, requires_grad=True))
    assert meta.replace() is meta


@pytest.mark.parametrize(
    "tensor, name, text",
    [
        (torch.randn(2, 16), "f32[2, 16]", "f32[2, 16] stride (16, 1)"),
        (torch.zeros(4, dtype=torch.bfloat16), "bf16[4]", "bf16[4] stride (1,)"),
        (torch.tensor(1), "i64[]", "i64[]"),
        (torch.zeros(1, dtype=torch.bool), "bool[1]", "bool[1] stride (1,)"),
        (torch.zeros(1, dtype=torch.float8_e5m2), "float8_e5m2[1]", "float8_e5m2[1] stride (1,)"),
    ],
)
def test_text(tensor, name, text):
    meta = meta_of(tensor)
    assert (meta.name, meta.text) == (name, text)


def test_words_say_what_is_not_plain():
    assert meta_of(torch.randn(4)).words == "f32[4] stride (1,) cpu, no grad"
    part = torch.randn(4, requires_grad=True)[1:]
    assert meta_of(part).words == "f32[3] stride (1,) cpu, requires grad, not a leaf, offset 1"


@pytest.fixture
def symbol():
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    shape_env = ShapeEnv()
    created = shape_env.create_symbol(5, ConstantSource("rows"))
    return shape_env.create_symintnode(created, hint=5)


def test_symbolic_sizes_are_interned_by_expression(symbol):
    left = TensorMeta((symbol, 4), (4, 1))
    right = TensorMeta((symbol * 1, 4), (4, 1))
    assert left is right
    assert left.symbolic
    assert left is not TensorMeta((symbol + 1, 4), (4, 1))
    assert left is not TensorMeta((5, 4), (4, 1))
    assert meta_of(torch.empty(symbol, 4, device="meta")) is left.replace(device=torch.device("meta"))
    assert left.text == "f32[s0, 4] stride (4, 1)" or left.text.startswith("f32[s")


def test_metas_know_whether_they_are_contiguous_and_plain():
    x = torch.ones(2, 3)
    for tensor in (x, x.t(), x[:, :1], x[:0].t(), torch.ones(3, 1).t()):
        assert meta_of(tensor).contiguous is tensor.is_contiguous()
    assert meta_of(x.to_sparse()).contiguous is None
    assert meta_of(x).plain and meta_of(x.t()).plain
    with torch.inference_mode():
        made_in_inference = torch.ones(2)
    for other in (x.to("meta"), x.to_sparse(), torch.ones(2, dtype=torch.complex64).conj(), made_in_inference):
        assert not meta_of(other).plain
