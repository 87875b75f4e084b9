"""JSON of values and tensors, there and back; names of operators and of their arguments."""

import json
import math

import pytest
import torch
from torch.nn import functional as F

from passes.meta import TensorMeta, meta_of
from passes.operators.naming import named_arguments, operator_name
from passes.operators.outcome import DictArg, ListArg, SliceArg, Wrapped
from passes.record.values import Opaque, tensor_meta, tensor_text, value_from, value_text

VALUES = [
    (None, None),
    (True, True),
    (-3, -3),
    (2**70, 2**70),
    (0.1, 0.1),
    (1.0, 1.0),
    (math.inf, math.inf),
    (complex(1, math.inf), complex(1, math.inf)),
    ("mean", "mean"),
    ("\ud800", "\ud800"),
    ([1, [2.0]], ListArg([1, ListArg([2.0])])),
    ((1, None), (1, None)),
    (torch.Size([2, 3]), (2, 3)),
    ({"a": [1]}, DictArg([("a", ListArg([1]))])),
    (slice(1, None, 2), SliceArg(1, None, 2)),
    (..., ...),
    (torch.bfloat16, torch.bfloat16),
    (torch.device("cuda:1"), torch.device("cuda:1")),
    (torch.sparse_coo, torch.sparse_coo),
    (torch.channels_last, torch.channels_last),
    (Wrapped(2.0), Wrapped(2.0)),
    (len, Opaque("builtins.builtin_function_or_method")),
]


@pytest.mark.parametrize(("value", "read"), VALUES, ids=lambda value: str(type(value).__name__))
def test_values_survive(value, read):
    found = value_from(value_text(value, lambda tensor: 0))
    assert found == read and type(found) is type(read)


def test_not_a_number_and_minus_zero_survive():
    assert math.isnan(value_from(value_text(math.nan, lambda tensor: 0)))
    assert math.copysign(1, value_from(value_text(-0.0, lambda tensor: 0))) == -1


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(()),
        torch.ones(2, 0, 3),
        torch.ones(3, 4, dtype=torch.float8_e5m2).T,
        torch.ones(9)[2:].as_strided((2, 2), (3, 0), 4),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(2, dtype=torch.complex64).conj().imag,
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, requires_grad=True),
        torch.ones(2, device="meta"),
    ],
    ids=str,
)
def test_tensors_survive(tensor):
    assert tensor_meta(tensor_text(tensor)) == meta_of(tensor)


def test_usual_facts_are_left_out():
    assert json.loads(tensor_text(torch.ones(2, 16))) == {"dtype": "f32", "size": [2, 16], "stride": [16, 1]}
    assert json.loads(tensor_text(torch.tensor([[1, 2]]), most_integers=2))["values"] == [1, 2]
    assert "values" not in json.loads(tensor_text(torch.tensor([1.0]), most_integers=2))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_have_text_and_no_meta():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    assert json.loads(tensor_text(nested))["nested"] is True
    with pytest.raises(ValueError, match="nested"):
        tensor_meta(tensor_text(nested))


x = torch.ones(3, 3)
NAMED = [
    (
        torch.ops.aten.sum.dim_IntList,
        (x, [0]),
        {},
        "aten::sum.dim_IntList",
        {"dim": [0], "keepdim": False, "dtype": None},
    ),
    (torch.ops.aten.relu.default, (x,), {}, "aten::relu", {}),
    (torch.ops.aten.mul.Tensor, (x, 2), {}, "aten::mul.Tensor", {"other": Wrapped(2)}),
    (torch.add, (x, 2), {"alpha": 3}, "torch.add", {"other": 2, "alpha": 3}),
    (torch.Tensor.view, (x, 3, 1, 3), {}, "torch.Tensor.view", {"size": [3, 1, 3]}),
    (torch.Tensor.permute, (x, (1, 0)), {}, "torch.Tensor.permute", {"dims": [1, 0]}),
    (torch.Tensor.mean, (x, -1), {"keepdim": True}, "torch.Tensor.mean", {"dim": [-1], "keepdim": True, "dtype": None}),
    (torch.zeros, (2, 3), {}, "torch.zeros", {"size": [2, 3]}),
    (torch.Tensor.contiguous, (x,), {}, "torch.Tensor.contiguous", {"memory_format": torch.contiguous_format}),
    (torch.Tensor.__getitem__, (x, 0), {}, "torch.Tensor.__getitem__", {}),
    (torch.Tensor.T.__get__, (x,), {}, "torch.Tensor.T", {}),
    (torch._C._nn.gelu, (x,), {}, "torch.nn.functional.gelu", {"approximate": "none"}),
    (F.dropout, (x,), {}, "torch.nn.functional.dropout", {"p": 0.5, "training": True, "inplace": False}),
    (torch.tril_indices, (3, 3), {}, "torch.tril_indices", {"dtype": torch.int64, "offset": 0}),
]


@pytest.mark.parametrize(("target", "args", "kwargs", "name", "known"), NAMED, ids=[row[3] for row in NAMED])
def test_names(target, args, kwargs, name, known):
    assert operator_name(target) == name
    named = named_arguments(target, args, kwargs)
    assert {key: named[key] for key in known} == known
    assert any(value is x or value == [x] for value in named.values()) or args[0] is not x


def test_arguments_without_names_are_numbered():
    assert named_arguments(torch.Tensor.__radd__, (x, 2), {}) == {"0": x, "1": 2}


def test_metas_are_of_leaves():
    assert tensor_meta(tensor_text((torch.ones(2, requires_grad=True) * 2))) == TensorMeta(
        (2,), (1,), requires_grad=True
    )
