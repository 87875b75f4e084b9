"""The Evaluator: outcomes of operator calls on metas, against the real calls."""

import operator
import subprocess
import sys
import warnings

import pytest
import torch
from torch.nn import functional as F

from passes.meta import TensorMeta, meta_of
from passes.operators.evaluate import Evaluator
from passes.operators.modes import Modes, current_modes
from passes.operators.outcome import DataDependent, ListArg, New, OpError, Outcome, Same, SliceArg, Unsupported
from tests.evaluation import EVALUATOR, agree, evaluate

LARGE = 1 << 20


def tensor(*shape, **kwargs):
    return torch.randn(*shape, **kwargs)


def integers(*shape, high=2):
    return torch.randint(0, high, shape)


ELEMENTWISE = [
    (torch.add, tensor(2, 3), 1),
    (torch.add, integers(2, 3), 1),
    (torch.add, integers(2, 3), 1.5),
    (torch.add, integers(2, 3), True),
    (operator.add, 2, tensor(3, requires_grad=True)),
    (operator.truediv, integers(3), integers(3) + 1),
    (operator.floordiv, integers(3), 2),
    (operator.mod, integers(3), integers(3) + 1),
    (operator.pow, 2, tensor(3)),
    (operator.pow, tensor(3), 2),
    (operator.neg, tensor(3)),
    (operator.invert, integers(3)),
    (operator.lt, tensor(3), 0),
    (operator.eq, 1.5, tensor(3)),
    (operator.and_, integers(3), 1),
    (operator.matmul, tensor(2, 3), tensor(3, requires_grad=True)),
    (torch.where, tensor(2, 1) > 0, tensor(3), 0.0),
    (("method", "masked_fill"), tensor(2, 3), tensor(2, 3) > 0, float("-inf")),
    (torch.Tensor.clamp, tensor(2, 3), 0),
    (torch.softmax, tensor(2, 3), -1),
    (torch.sum, tensor(2, 3) > 0),
    (torch.mean, tensor(2, 3, requires_grad=True)),
    (torch.cat, [tensor(2, 3), integers(1, 3)], 0),
    (torch.stack, (tensor(2), tensor(2))),
    (torch.layer_norm, tensor(2, 3), (3,), tensor(3, requires_grad=True), None, 1e-5),
    (torch._C._nn.gelu, tensor(2, 3)),
    (torch.add, tensor(3, 2).t(), tensor(2, 3)),
    (torch.mul, tensor(1).expand(4, 3), tensor(3)),
]

VIEWS = [
    (("method", "view"), tensor(2, 6), 3, -1),
    (torch.Tensor.view, tensor(2, 4), torch.int32),
    (("method", "reshape"), tensor(2, 6).t(), 12),
    (("method", "reshape"), tensor(2, 6), 12),
    (("method", "contiguous"), tensor(2, 6)),
    (("method", "contiguous"), tensor(2, 6).t()),
    (("method", "to"), tensor(2), torch.float32),
    (("method", "to"), tensor(2), torch.float64),
    (("method", "to"), tensor(2), "cpu"),
    (("method", "float"), integers(2)),
    (("method", "detach"), tensor(2, requires_grad=True)),
    (("method", "expand"), tensor(1, 3), 4, -1),
    (torch.transpose, tensor(2, 3), 0, 1),
    (torch.split, tensor(5, 2), 2),
    (torch.chunk, tensor(5, 2), 2),
    (torch.unbind, tensor(2, 3)),
    (torch.Tensor.data.__get__, tensor(2, 3)),
    (getattr, tensor(2, 3), "T"),
    (getattr, tensor(2, 3), "mT"),
    (getattr, tensor(2, dtype=torch.complex64), "real"),
    (getattr, tensor(2, requires_grad=True), "data"),
    (operator.getitem, tensor(4, 5)[1:], (slice(None, None, 2), None, 0)),
    (operator.getitem, tensor(4, 5), (..., slice(1, -1))),
    (operator.getitem, tensor(4, 5), -1),
    (operator.getitem, tensor(4, 5), integers(3)),
    (operator.getitem, tensor(4, 5), (integers(3), slice(None))),
    (torch.empty_like, tensor(3, 2).t()),
    (torch.view_as_complex, tensor(3, 2)),
    (torch.conj, tensor(3, dtype=torch.complex64)),
]

CONSTANT_RESULTS = [
    (("method", "dim"), tensor(2, 3)),
    (("method", "size"), tensor(2, 3)),
    (("method", "size"), tensor(2, 3), -1),
    (("method", "stride"), tensor(2, 3)),
    (("method", "numel"), tensor(2, 3)),
    (("method", "is_floating_point"), tensor(2)),
    (("method", "is_contiguous"), tensor(2, 3).t()),
    (("method", "get_device"), tensor(2)),
    (getattr, tensor(2, 3), "shape"),
    (getattr, tensor(2, 3), "ndim"),
    (getattr, tensor(2, 3), "dtype"),
    (getattr, tensor(2, 3), "device"),
    (getattr, tensor(2, 3), "is_cuda"),
    (getattr, tensor(2, 3), "requires_grad"),
    (torch.is_floating_point, integers(2)),
    (torch.result_type, integers(2), 1.5),
    (len, tensor(4, 2)),
]

KERNELS = [
    (torch._C._nn.linear, tensor(2, 3), tensor(4, 3, requires_grad=True)),
    (torch.matmul, tensor(2, 1, 3, 4), tensor(5, 4, 3)),
    (torch.bmm, tensor(2, 3, 4), tensor(2, 4, 3)),
    (torch.einsum, "aij,ajk->aik", [tensor(1, 2, 3), tensor(1, 3, 4)]),
    (torch.conv1d, tensor(2, 3, 8), tensor(4, 3, 3), None, 1, 1),
    (torch.conv2d, tensor(2, 3, 8, 8).to(memory_format=torch.channels_last), tensor(4, 3, 3, 3), None),
    (torch.embedding, tensor(10, 4, requires_grad=True), integers(2, 3)),
    (torch.batch_norm, tensor(2, 3), None, None, tensor(3), tensor(3), False, 0.1, 1e-5, False),
    (torch.max_pool2d, tensor(1, 2, 8, 8), 2),
    (F.scaled_dot_product_attention, *(tensor(2, 5, 4, 8).transpose(1, 2) for _ in range(3))),
    (F.interpolate, tensor(1, 2, 4, 4), None, 2.0),
    (F.pad, tensor(2, 3), (1, 1)),
    (F.cross_entropy, tensor(4, 5, requires_grad=True), integers(4)),
    (torch.max, tensor(2, 3), 1),
    (torch.topk, tensor(2, 8), 3),
    (torch.sort, tensor(2, 8)),
    (torch.var_mean, tensor(2, 8), 1),
    (torch.linalg.qr, tensor(4, 3)),
    (torch.ops.aten.add.Tensor, tensor(2, 3), tensor(3)),
    (torch.ops.aten.native_layer_norm, tensor(2, 3), [3], None, None, 1e-5),
]

FACTORIES = [
    (torch.zeros, 2, 3),
    (torch.ones, (2, 3)),
    (torch.full, (2,), 1.5),
    (torch.full, (2,), 1),
    (torch.arange, 5),
    (torch.arange, 0.0, 1.0, 0.25),
    (torch.linspace, 0, 1, 5),
    (torch.eye, 3),
    (torch.tensor, [1.0, 2.0]),
    (torch.tensor, [[1, 2], [3, 4]]),
    (torch.tensor, True),
    (torch.empty, 0),
    (torch.rand, 2, 3),
    (torch.randn, (2,)),
    (torch.randint, 0, 5, (2,)),
    (torch.randperm, 5),
    (torch.bernoulli, torch.full((2,), 0.5)),
    (torch.dropout, tensor(2, 3), 0.5, True),
    (torch.rand_like, tensor(3, 2).t()),
    (("method", "new_zeros"), integers(2), (3, 2)),
]


def name_of(case):
    return case[0][1] if isinstance(case[0], tuple) else getattr(case[0], "__name__", str(case[0]))


@pytest.mark.parametrize("case", ELEMENTWISE + VIEWS + CONSTANT_RESULTS + KERNELS + FACTORIES, ids=name_of)
def test_outcome_is_the_real_one(case):
    agree(*case)


@pytest.mark.parametrize("case", ELEMENTWISE + VIEWS + KERNELS + FACTORIES, ids=name_of)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_outcome_is_the_real_one_under_modes(case, mode):
    with mode():
        agree(*case)


def test_python_scalars_of_equal_value_are_told_apart():
    for number in (1, 1.0, True, 1j):
        agree(torch.add, integers(2), number)
        agree(torch.tensor, [number])
        agree(torch.full, (2,), number)


def test_keywords_with_device_and_dtype():
    agree(torch.zeros, 2, device="cpu", dtype=torch.int8)
    agree(torch.zeros, 2, device=torch.device("cpu"), requires_grad=True)
    agree(torch.zeros_like, tensor(2), device="cpu", dtype=torch.float64)
    agree(torch.sum, tensor(2, 3), dim=1, keepdim=True)
    assert evaluate(torch.zeros, 2, device="meta").result.meta.device == torch.device("meta")


# Writes --------------------------------------------------------------------------------------------

WRITES = [
    (torch.Tensor.add_, tensor(2, 3), 1),
    (operator.iadd, tensor(2, 3), tensor(3)),
    (torch.Tensor.mul_, tensor(2, 3), tensor(3, requires_grad=True)),
    (torch.add, tensor(2, 3), 1, {"out": tensor(2, 3)}),
    (operator.setitem, tensor(2, 3), 0, 1.0),
    (operator.setitem, tensor(2, 3), (slice(None), 1), tensor(2)),
    (operator.setitem, tensor(2, 3), tensor(2, 3) > 0, 0.0),
    (operator.setitem, tensor(4, 3), integers(2), tensor(3, requires_grad=True)),
    (("method", "t_"), tensor(2, 3)),
    (("method", "unsqueeze_"), tensor(2, 3), 0),
    (("method", "requires_grad_"), tensor(2, 3)),
    (("method", "copy_"), tensor(2, 3), integers(2, 1)),
    (("method", "uniform_"), tensor(2, 3)),
    (torch.relu_, tensor(2, 3)),
    (torch._foreach_add_, [tensor(2), tensor(3)], 1.0),
]


def written(case):
    *args, last = case
    return (args, last) if isinstance(last, dict) else (case, {})


@pytest.mark.parametrize("case", WRITES, ids=name_of)
def test_writes_are_the_real_ones(case):
    args, kwargs = written(case)
    outcome = agree(*args, **kwargs)
    assert outcome.mutated


@pytest.mark.parametrize("case", WRITES, ids=name_of)
def test_writes_are_seen_in_inference_mode(case):
    args, kwargs = written(case)
    if name_of(case) == "requires_grad_":
        pytest.skip("does not write in inference mode")
    with torch.inference_mode():
        copies = [argument.clone() if isinstance(argument, torch.Tensor) else argument for argument in args]
        assert evaluate(*copies, **kwargs).mutated
        assert not evaluate(torch.add, copies[1] if isinstance(copies[1], torch.Tensor) else tensor(2), 1).mutated


def test_running_statistics_are_written():
    args = (tensor(4, 3), None, None, torch.zeros(3), torch.ones(3))
    assert list(evaluate(torch.batch_norm, *args, True, 0.1, 1e-5, False).mutated) == [1, 2]
    assert not evaluate(torch.batch_norm, *args, False, 0.1, 1e-5, False).mutated


def test_in_place_operators_do_not_grow_what_they_write_to():
    for rows in (3, LARGE):
        with pytest.raises(OpError, match="broadcast"):
            EVALUATOR.evaluate(torch.Tensor.add_, (TensorMeta((rows, 1), (1, 1)), TensorMeta((rows, 2), (2, 1))))


def test_in_place_operators_return_the_argument_itself():
    outcome = evaluate(torch.add, tensor(2), 1, out=tensor(2))
    assert outcome.result == Same(1)
    assert list(outcome.mutated) == [1]


def test_metas_of_an_outcome_are_those_after_the_call():
    given = [meta_of(tensor(2, 3)), meta_of(tensor(3, requires_grad=True))]
    outcome = EVALUATOR.evaluate(operator.iadd, tuple(given))
    assert outcome.metas(given).requires_grad
    assert not outcome.metas(given).is_leaf


# Refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        (torch.add, tensor(2, 3), tensor(4)),
        (torch.matmul, tensor(2, 3), tensor(2, 3)),
        (torch.cat, [tensor(2, 3), tensor(2)]),
        (("method", "view"), tensor(2, 3), 5),
        (torch.add, tensor(2), "text"),
        (torch.zeros, -1),
        (torch.Tensor.add_, torch.ones(2, requires_grad=True), 1),
        (operator.getitem, tensor(2), (0, 0)),
        (("method", "no_such_method"), tensor(2)),
        (torch._C._nn.linear, tensor(2, 3), tensor(2, 4)),
    ],
    ids=name_of,
)
def test_wrong_arguments_raise_what_the_real_call_raises(case):
    with pytest.raises(OpError) as caught:
        evaluate(*case)
    target = (lambda *args: getattr(args[0], case[0][1])(*args[1:])) if isinstance(case[0], tuple) else case[0]
    with pytest.raises(Exception) as real:
        target(*case[1:])
    assert type(caught.value.original) is real.type


@pytest.mark.parametrize(
    "case",
    [
        (("method", "item"), tensor(1)),
        (torch.Tensor.tolist, tensor(1)),
        (bool, tensor(1)),
        (float, tensor(1)),
        (torch.nonzero, tensor(3)),
        (torch.where, tensor(3) > 0),
        (torch.masked_select, tensor(3), tensor(3) > 0),
        (operator.getitem, tensor(3), tensor(3) > 0),
        (operator.getitem, tensor(3), torch.tensor(1)),
        (torch.unique, integers(3)),
        (torch.equal, tensor(3), tensor(3)),
        (torch.repeat_interleave, tensor(3), integers(3)),
        (("method", "sum"), tensor(3, 2), torch.tensor(1)),
        (torch.tensor_split, tensor(5), torch.tensor([1, 2])),
        (torch.bincount, integers(3)),
        (F.one_hot, integers(3)),
    ],
    ids=name_of,
)
def test_data_dependent_calls_are_refused(case):
    with pytest.raises(DataDependent):
        evaluate(*case)


@pytest.mark.parametrize("name", ["grad", "grad_fn", "_base", "_version", "data_ptr"])
def test_attributes_that_a_meta_does_not_have_are_refused(name):
    with pytest.raises(Unsupported):
        evaluate(getattr, tensor(2), name)


def test_results_that_are_not_about_tensors_are_refused():
    with pytest.raises((Unsupported, OpError, DataDependent)):
        evaluate(("method", "numpy"), tensor(2))
    with pytest.raises(Unsupported):
        evaluate(torch.mul, torch.eye(2).to_sparse(), 2)
    with pytest.raises(Unsupported, match="hash"):
        EVALUATOR.evaluate(torch.add, (meta_of(tensor(2)), [1]))


# Nothing but the answer is left behind ---------------------------------------------------------------


def test_evaluation_leaves_no_trace():
    x = meta_of(tensor(2, 3))
    before = (torch.get_rng_state(), current_modes(), torch.get_num_threads(), warnings.filters[:])
    evaluator = Evaluator()
    for target, args in [
        (torch.rand, (2,)),
        (torch.dropout, (x, 0.5, True)),
        (torch.Tensor.uniform_, (x,)),
        (torch.nn.functional.dropout, (x,)),
        (torch.nn.init.kaiming_uniform_, (x,)),
        (torch.rrelu, (x, 0.1, 0.3, True)),
        (torch.multinomial, (x, 1)),
        (torch.softmax, (x, 0)),
    ]:
        evaluator.evaluate(target, args, (), Modes(grad=False, inference=True))
        evaluator.evaluate(target, args, (), Modes(autocast=True))
    after = (torch.get_rng_state(), current_modes(), torch.get_num_threads(), warnings.filters[:])
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_hooks_on_saved_tensors_are_not_run():
    weight, packed = meta_of(tensor(2, requires_grad=True)), []
    with torch.autograd.graph.saved_tensors_hooks(packed.append, lambda saved: saved):
        assert Evaluator().evaluate(torch.mul, (weight, weight)).result.meta.requires_grad
    assert packed == []


def test_modes_of_the_process_are_entered_and_put_back():
    evaluator = Evaluator()
    for dtype in (torch.float64, torch.float32):
        outcome = evaluator.evaluate(torch.zeros, (2,), (), Modes(default_dtype=dtype, deterministic=True))
        assert outcome.result.meta.dtype is dtype
        assert torch.get_default_dtype() is torch.float32
        assert not torch.are_deterministic_algorithms_enabled()


def test_modes_are_part_of_the_memo():
    weight = meta_of(tensor(2, requires_grad=True))
    with_grad = EVALUATOR.evaluate(torch.mul, (weight, 2), (), Modes(grad=True))
    without = EVALUATOR.evaluate(torch.mul, (weight, 2), (), Modes(grad=False))
    assert (with_grad.result.meta.requires_grad, without.result.meta.requires_grad) == (True, False)


def test_warnings_are_left_to_the_real_call():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Evaluator().evaluate(getattr, (meta_of(tensor(2, 2, 2)), "T"))


def test_rules_are_asked_first_and_once():
    targets = []

    def rule(target, args, kwargs, modes):
        targets.append(target)
        return Outcome(New(meta_of(torch.ones(7))), {}) if target is torch.mul else None

    evaluator = Evaluator([rule])
    x = meta_of(tensor(2))
    for _ in range(2):
        assert evaluator.evaluate(torch.mul, (x, 2)).result.meta.shape == (7,)
        assert evaluator.evaluate(torch.add, (x, 2)).result.meta.shape == (2,)
    assert targets == [torch.mul, torch.add]


def test_large_tensors_take_no_memory():
    huge = TensorMeta((LARGE, LARGE), (LARGE, 1))
    for target, args in [
        (torch.add, (huge, 1)),
        (torch._C._nn.linear, (huge, huge)),
        (torch.softmax, (huge, -1)),
        (torch.embedding, (huge, TensorMeta((4,), (1,), torch.int64))),
        (torch.zeros, (LARGE, LARGE)),
        (torch.add, (TensorMeta((LARGE, 1), (1, 1)), TensorMeta((1, LARGE), (1, 1)))),
        (torch.matmul, (TensorMeta((LARGE, 1), (1, 1)), TensorMeta((1, LARGE), (1, 1)))),
        (operator.getitem, (huge, SliceArg(1, None, None))),
        (torch.cat, (ListArg((huge, huge)),)),
        (torch._C._nn.gelu, (huge,)),
    ]:
        assert LARGE in EVALUATOR.evaluate(target, args).result.meta.shape[-1:] or target is torch.cat


@pytest.mark.parametrize("shape", [(2, 8, 4, 16), (2, 8, 300, 64)])
def test_attention_keeps_the_strides_of_its_kernel(shape):
    batch, heads, length, width = shape
    q, k, v = (tensor(batch, length, heads, width).transpose(1, 2) for _ in range(3))
    agree(torch._C._nn.scaled_dot_product_attention, q, k, v)
    agree(torch._C._nn.scaled_dot_product_attention, q, k, v, is_causal=True)
    agree(torch._C._nn.scaled_dot_product_attention, q, k, v, tensor(length, length))
    agree(torch._C._nn.scaled_dot_product_attention, q, k, v, tensor(length, length) > -1, scale=0.5)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("width", [4, 600])
def test_recurrent_layers(batch_first, width):
    layer = torch.nn.LSTM(3, width, 2, batch_first=batch_first)
    state = (torch.zeros(2, 5, width), torch.zeros(2, 5, width))
    x = tensor(5, 5, 3)
    for mode in (torch.no_grad, torch.enable_grad):
        with mode():
            agree(torch.lstm, x, state, layer._flat_weights, True, 2, 0.0, False, False, batch_first)
    gru = torch.nn.GRU(3, width, batch_first=batch_first)
    agree(torch.gru, x, torch.zeros(1, 5, width), gru._flat_weights, True, 1, 0.0, False, False, batch_first)


# Custom operators -------------------------------------------------------------------------------------


@torch.library.custom_op("bytegraph_test::scaled", mutates_args=())
def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    return x * factor


@scaled.register_fake
def _(x, factor):
    return torch.empty_like(x)


@torch.library.custom_op("bytegraph_test::filled", mutates_args=("x",))
def filled(x: torch.Tensor, value: float) -> None:
    x.fill_(value)


@torch.library.custom_op("bytegraph_test::opaque", mutates_args=())
def opaque(x: torch.Tensor) -> torch.Tensor:
    raise AssertionError("an evaluation must not run the kernel")


def test_custom_operators_with_a_fake_kernel():
    agree(scaled, tensor(2, 3).t(), 2.0)
    agree(torch.ops.bytegraph_test.scaled, tensor(2), 2.0)
    agree(torch.ops.bytegraph_test.scaled.default, tensor(2), 2.0)
    assert list(agree(filled, tensor(2), 2.0).mutated) == [0]


def test_custom_operators_without_a_fake_kernel_are_refused():
    with pytest.raises((Unsupported, OpError)):
        evaluate(opaque, tensor(2))


# Symbolic sizes ---------------------------------------------------------------------------------------


@pytest.fixture
def rows():
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    shape_env = ShapeEnv()
    return shape_env.create_symintnode(shape_env.create_symbol(5, ConstantSource("rows")), hint=5)


def test_symbolic_sizes(rows):
    x = TensorMeta((rows, 4), (4, 1))
    evaluator = Evaluator()
    for _ in range(2):
        assert evaluator.evaluate(torch.add, (x, 1)).result.meta is x
        assert evaluator.evaluate(("method", "t"), (x,)).result == New(TensorMeta((4, rows), (1, 4)), 0)
        assert evaluator.evaluate(("method", "view"), (x, rows * 2, 2)).result.meta.shape == (rows * 2, 2)
        assert evaluator.evaluate(torch.zeros, (rows, 2)).result.meta is TensorMeta((rows, 2), (2, 1))
        assert evaluator.evaluate(torch._C._nn.linear, (x, TensorMeta((3, 4), (4, 1)))).result.meta.shape == (rows, 3)
        offset = evaluator.evaluate(operator.getitem, (x, SliceArg(1, None, None))).result
        assert offset.meta.storage_offset == 4
        assert evaluator.evaluate(torch.mul, (offset.meta, 2)).result.meta.shape == (rows - 1, 4)
    assert not evaluator._known


def test_symbols_are_remembered_by_expression(rows):
    evaluator = Evaluator()
    x = TensorMeta((rows, 4), (4, 1))
    first = evaluator.evaluate(("method", "view"), (x, rows, 2, 2))
    assert evaluator.evaluate(("method", "view"), (x, rows * 1, 2, 2)) is first


# Cost -------------------------------------------------------------------------------------------------


def test_common_operators_need_neither_sympy_nor_dynamo():
    program = """
import sys, operator, torch
from passes.operators.evaluate import Evaluator
from passes.meta import meta_of
from passes.operators.outcome import ListArg, SliceArg
evaluator = Evaluator()
x, weight, index = meta_of(torch.ones(2, 16)), meta_of(torch.ones(4, 16)), meta_of(torch.zeros(3, dtype=torch.long))
for target, args in [
    (torch.add, (x, 1)), (torch._C._nn.linear, (x, weight)), (torch.layer_norm, (x, (16,))),
    (torch._C._nn.gelu, (x,)), (("method", "view"), (x, 4, 8)), (torch.cat, (ListArg((x, x)), -1)),
    (torch.embedding, (x, index)), (operator.getitem, (x, SliceArg(1, None, None))), (torch.zeros, (2, 3)),
    (operator.getitem, (x, index)), (torch._C._nn.scaled_dot_product_attention, (x, x, x)),
    (torch.softmax, (x, -1)), (("method", "to"), (x, torch.float64)), (torch.arange, (4,)),
]:
    evaluator.evaluate(target, args)
assert not {"sympy", "torch._dynamo"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
