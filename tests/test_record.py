"""The recorder: what one record says of a call, at both levels, and that calls are made as ever."""

import pytest
import torch
from torch import nn

from passes.meta import TensorMeta
from passes.operators.outcome import DictArg, ListArg, New, Same
from passes.record import Corpus, CorpusError, Recorder, flag, record
from passes.record._facts import facts_of
from passes.record.calls import Failure
from passes.record.values import NumberOf, Opaque
from tests.recording import only, recorded


def meta(*shape, stride=None, **facts):
    stride = torch.empty(shape).stride() if stride is None else stride
    return TensorMeta(shape, stride, **facts)


def test_arguments_are_named_and_defaults_filled_in(tmp_path):
    x = torch.ones(2, 3)
    calls = recorded(tmp_path, lambda: (x.sum(1), torch.ones_like(x)))
    assert only(calls, "aten::sum.dim_IntList").arguments == {
        "self": meta(2, 3),
        "dim": ListArg([1]),
        "keepdim": False,
        "dtype": None,
    }
    assert list(only(calls, "aten::ones_like").arguments)[-1] == "memory_format"


def test_facts_of_tensors(tmp_path):
    strange = torch.zeros(9, dtype=torch.complex64)[1:].view(2, 4).T.conj()
    call = only(recorded(tmp_path, lambda: strange[:1]), "aten::slice.Tensor")
    facts = {"storage_offset": 1, "dtype": torch.complex64, "is_conj": True}
    assert call.arguments["self"] == meta(4, 2, stride=(1, 4), **facts)
    assert call.outcome.result == New(meta(1, 2, stride=(1, 4), **facts), alias_of=0)


def test_numbers_of_different_types_are_different(tmp_path):
    x = torch.ones(2)
    calls = recorded(tmp_path, lambda: (x + 1, x + 1.0, x + True, x + 1))
    counts = {type(call.arguments["other"].number): call.count for call in calls}
    assert counts == {int: 2, float: 1, bool: 1}


def test_requires_grad_and_backward(tmp_path):
    weight = torch.ones(3, 3, requires_grad=True)
    calls = recorded(tmp_path, lambda: (torch.ones(2, 3) @ weight).sum().backward())
    forward, backward = [call for call in calls if call.op == "aten::mm"]
    assert {forward.arguments["mat2"].requires_grad, backward.arguments["mat2"].requires_grad} == {True, False}
    assert "aten::expand" in {call.op for call in calls}


def test_aliases(tmp_path):
    x = torch.ones(4, 4)
    calls = recorded(tmp_path, lambda: (x.t(), x[0].add_(x[1]), x.split(2), x.relu()))
    assert only(calls, "aten::t").outcome.result.alias_of == 0
    assert only(calls, "aten::add_.Tensor").outcome.result == Same(0)
    assert only(calls, "aten::add_.Tensor").shares == (0, 0)
    assert [part.alias_of for part in only(calls, "aten::split.Tensor").outcome.result] == [0, 0]
    assert only(calls, "aten::relu").outcome.result.alias_of is None


def test_writes(tmp_path):
    x, y, out = torch.ones(2, 2), torch.ones(2, 2), torch.empty(0)
    calls = recorded(tmp_path, lambda: (x.add_(y), torch.mul(x, y, out=out), x.unsqueeze_(0)))
    assert only(calls, "aten::add_.Tensor").outcome.mutated == {0: meta(2, 2)}
    assert only(calls, "aten::mul.out").outcome.mutated == {2: meta(2, 2)}
    assert only(calls, "aten::mul.out").arguments["out"] == meta(0)
    assert only(calls, "aten::unsqueeze_").outcome.mutated == {0: meta(1, 2, 2)}


def test_writes_that_no_schema_declares(tmp_path):
    mean, variance = torch.zeros(3), torch.ones(3)
    program = lambda: torch.native_batch_norm(torch.randn(4, 3), None, None, mean, variance, True, 0.1, 1e-5)
    call = only(recorded(tmp_path, program), "aten::native_batch_norm")
    assert list(call.outcome.mutated) == [1, 2]


@pytest.mark.parametrize("level", ["aten", "function"])
def test_errors_are_recorded_and_raised(tmp_path, level):
    x = torch.ones(4)

    def program():
        for _ in range(2):
            with pytest.raises(RuntimeError, match="invalid for input of size 4"):
                x.view(3)

    (call,) = recorded(tmp_path, program, levels=[level])
    assert call.outcome == Failure("RuntimeError", "shape '[3]' is invalid for input of size 4")
    assert call.count == 2


def test_equal_calls_are_counted_and_different_outcomes_kept(tmp_path):
    x = torch.tensor([0.0, 1.0, 2.0])
    calls = recorded(tmp_path, lambda: [torch.nonzero(x > 0.5), torch.nonzero(x > 1.5), torch.nonzero(x > 1.2)])
    sizes = {call.outcome.result.meta.shape: call.count for call in calls if call.op == "aten::nonzero"}
    assert sizes == {(2, 1): 1, (1, 1): 2}


def test_the_first_call_gives_the_location(tmp_path):
    x = torch.ones(2)
    (call,) = recorded(tmp_path, lambda: nn.functional.relu(x))
    file, _, line = call.location.rpartition(":")
    assert file == __file__ and "relu" in open(file).read().splitlines()[int(line) - 1]
    assert call.torch == torch.__version__


def test_no_data_is_recorded(tmp_path):
    secret = torch.tensor([123456.0, 7.0])
    options = {"levels": ["aten", "function"]}
    calls = recorded(
        tmp_path, lambda: (torch.tensor([123456.0]), secret[0].item(), secret.tolist(), secret * 2), **options
    )
    assert only(calls, "aten::_local_scalar_dense").outcome.result == NumberOf("float")
    rows = Corpus(tmp_path).load().to_pylist()
    assert "123456" not in str(rows)


def test_returned_numbers_make_no_difference(tmp_path):
    values = [torch.tensor(value) for value in (1.0, 2.0, 3.0)]
    assert only(recorded(tmp_path, lambda: [x.item() for x in values]), "aten::_local_scalar_dense").count == 3


def test_small_integer_tensors_on_request(tmp_path):
    def program():
        for index in ([0, 2], [0, 2], [1, 1], [0, 1, 2, 0]):
            torch.arange(3)[torch.tensor(index)]

    recorded(tmp_path / "without", program)
    recorded(tmp_path / "with", program, most_integers=3)
    query = "select tensor(given[2]).values, count from calls where op = 'aten::index.Tensor' order by all"
    assert Corpus(tmp_path / "without").sql(query)[1] == [(None, 1), (None, 3)]
    assert Corpus(tmp_path / "with").sql(query)[1] == [([0, 2], 2), ([1, 1], 1), (None, 1)]


@pytest.mark.parametrize("level", ["aten", "function"])
def test_flagged_tensors_only(tmp_path, level):
    table, secret = torch.arange(30.0).view(10, 3), torch.tensor([7, 7])

    def program():
        for values in ([1, 2], [1, 2], [2, 2]):
            torch.embedding(table, flag(torch.tensor(values)))
            torch.embedding(table, secret)

    recorded(tmp_path, program, levels=[level])
    op = {"aten": "aten::embedding", "function": "torch.embedding"}[level]
    rows = Corpus(tmp_path).sql(f"select tensor(given[2]).values, count from calls where op = '{op}' order by all")[1]
    assert rows == [([1, 2], 2), ([2, 2], 1), (None, 3)]
    assert Corpus(tmp_path).sql(f"select count(*) from calls where given::varchar like '%values%' and op <> '{op}'")[
        1
    ] == [(0,)]


def test_flags_follow_writes_and_views_have_none(tmp_path):
    index = flag(torch.tensor([3, 4]))
    recorded(tmp_path, lambda: (index.add_(1), index[:1].neg()))
    ((given, written),) = Corpus(tmp_path).sql(
        "select tensor(given[1]).values, tensor(written[1]).values from calls where op = 'aten::add_.Tensor'"
    )[1]
    assert (given, written) == ([3, 4], [4, 5])
    assert Corpus(tmp_path).sql("select tensor(given[1]).values from calls where op = 'aten::neg'")[1] == [(None,)]


@pytest.mark.parametrize("tensor", [torch.ones(2), torch.zeros(2000, dtype=torch.int64)], ids=["float", "large"])
def test_other_data_cannot_be_flagged(tensor):
    with pytest.raises(CorpusError, match="only integer tensors on the CPU of at most 1024 elements can be flagged"):
        flag(tensor)


def test_function_level_sees_what_graphs_are_made_of(tmp_path):
    layer = nn.MultiheadAttention(8, 2).eval()
    x = torch.ones(3, 1, 8)
    calls = recorded(tmp_path, lambda: (layer(x, x, x)[0].relu().mT, torch.split(x, 1)), levels=["function"])
    names = {call.op for call in calls}
    assert {"torch.nn.functional.linear", "torch.Tensor.relu", "torch.Tensor.mT", "torch.Tensor.view"} <= names
    assert not names & {"torch.nn.functional.multi_head_attention_forward", "torch.Tensor.size", "torch.Tensor.dim"}
    assert all(call.level == "function" for call in calls)
    assert only(calls, "torch.Tensor.relu").arguments["self"].shape == (3, 1, 8)
    assert [name for call in calls if call.op == "torch.Tensor.view" for name in call.arguments][:2] == ["self", "size"]


def test_function_level_writes(tmp_path):
    x = torch.ones(2, 2)

    def program():
        x[0, 1:] = 3
        x.add_(1, alpha=2)
        x.mul_(1)

    calls = recorded(tmp_path, program, levels=["function"])
    assert list(only(calls, "torch.Tensor.mul_").outcome.mutated) == [0]  # though not a byte has changed
    assert list(only(calls, "torch.Tensor.__setitem__").outcome.mutated) == [0]
    assert only(calls, "torch.Tensor.add_").arguments["alpha"] == 2
    assert only(calls, "torch.Tensor.add_").outcome.result == Same(0)


def test_both_levels_at_once(tmp_path):
    x = torch.ones(2, 2, requires_grad=True)
    calls = recorded(tmp_path, lambda: torch.nn.functional.softmax(x, 0).sum().backward(), levels=["aten", "function"])
    assert {"aten::_softmax", "aten::_softmax_backward_data", "torch.Tensor.softmax"} <= {call.op for call in calls}
    assert not [call.op for call in calls if call.level == "function" and call.op.startswith("aten")]


def test_lists_written_to_are_seen_at_both_levels_though_no_byte_changes(tmp_path):
    tensors = [torch.zeros(2), torch.zeros(3)]
    calls = recorded(tmp_path, lambda: torch._foreach_zero_(tensors), levels=("aten", "function"))
    assert {call.op: list(call.outcome.mutated) for call in calls} == {
        "aten::_foreach_zero_": [0, 1],
        "torch._foreach_zero_": [0, 1],
    }
    assert [tensor._version for tensor in tensors] == [1, 1]


def test_calls_without_data_are_not_recorded(tmp_path):
    from torch._subclasses import FakeTensorMode

    def program():
        torch.ones(2, device="meta") + 1
        with FakeTensorMode():
            torch.ones(3) * 2

    with record(tmp_path):
        program()
    with record(tmp_path, levels=["function"]):
        torch.func.vmap(lambda x: x.sin())(torch.empty(2, 3, device="meta"))
    assert not list(tmp_path.iterdir())


def test_wrapped_tensors_are_seen_where_they_are_unwrapped(tmp_path):
    x = torch.ones(2, 3)
    calls = recorded(tmp_path, lambda: torch.func.vmap(torch.sin)(x), levels=["aten", "function"])
    assert only(calls, "aten::sin").arguments == {"self": meta(2, 3)}
    assert not [call.op for call in calls if call.op == "torch.sin"]


def test_custom_operator_without_a_schema_of_aliases(tmp_path):
    with torch.library._scoped_library("recorder_test", "FRAGMENT") as library:
        library.define("scale(Tensor x, float by, int[] sizes) -> Tensor[]")
        library.impl("scale", lambda x, by, sizes: [x * by for _ in sizes], "CPU")
        call = only(
            recorded(tmp_path, lambda: torch.ops.recorder_test.scale(torch.ones(2), 2.0, [1, 2])),
            "recorder_test::scale",
        )
    assert call.arguments == {"x": meta(2), "by": 2.0, "sizes": ListArg([1, 2])}
    assert call.outcome.result == ListArg([New(meta(2)), New(meta(2))])


def test_results_are_the_same_as_without_a_recorder(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 2))
    x = torch.randn(2, 3, 8, 8)

    def program():
        model.zero_grad()
        torch.manual_seed(3)
        out = nn.functional.dropout(model(x), 0.5)
        out.sum().backward()
        return [out.detach(), *(parameter.grad.clone() for parameter in model.parameters())]

    expected = program()
    with record(tmp_path, levels=["aten", "function"]):
        found = program()
    assert all(map(torch.equal, found, expected))


def test_unknown_levels_are_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"unknown levels \['jit'\]: choose from aten, function"):
        Recorder(tmp_path, levels=["jit"])


def test_calls_with_different_facts_have_different_keys():
    x, y = torch.ones(2, 3), torch.ones(2, 3)
    view = x[:]
    different = [
        (x,),
        (x.T,),
        (x.double(),),
        (x[1:],),
        (x.expand(1, 2, 3),),
        (x.requires_grad_(False).clone().requires_grad_(),),
        (x, x),
        (x, view),
        (x, y),
        ([x, y],),
        (1,),
        (1.0,),
        (True,),
        (None,),
        ("1",),
        (1j,),
        (slice(1),),
        (2**70,),
        (2**71,),
        (torch.float32,),
        (torch.float64,),
        (torch.device("cpu"),),
        (torch.device("cuda"),),
        ({"a": 1},),
        ({"b": 1},),
        (x.to_sparse(),),
        ("é",),
        ("e",),
        ((1, 2),),
        ([1, 2],),
        ((1, (2,)),),
        (torch.channels_last,),
    ]
    keys = [facts_of(0, None, *values) for values in different]
    assert len(set(keys)) == len(keys)
    assert facts_of(0, None, x, y) == facts_of(0, None, torch.zeros(2, 3), torch.zeros(2, 3))
    assert facts_of(0, torch.add, x) != facts_of(0, torch.mul, x)


def test_functions_of_torch_that_call_themselves_or_ask_for_modes_twice_are_recorded(tmp_path):
    def program():
        torch.meshgrid(torch.ones(2), torch.ones(3), indexing="ij")  # has another function of its module do it
        for size in (2, 3):
            torch.einsum("ij,jk", [torch.ones(size, 4), torch.ones(4, 5)])  # gives the tensors of the list to itself
        torch.einsum("ij,jk", torch.ones(4, 4), torch.ones(4, 5))

    calls = recorded(tmp_path, program, levels=["function"])
    assert [grid.meta.shape for grid in only(calls, "torch.meshgrid").outcome.result] == [(2, 3), (2, 3)]
    sums = [call for call in calls if call.op == "torch.einsum"]
    assert [call.outcome.result.meta.shape for call in sums] == [(2, 5), (3, 5), (4, 5)]


def test_arguments_of_all_kinds_survive(tmp_path):
    def program():
        x = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
        x[..., ::2, None].to(dtype=torch.float64, memory_format=torch.preserve_format).clamp(max=float("inf"))
        torch.einsum("ij,jk", x, x)

    calls = recorded(tmp_path, program, levels=["function"])
    key = only(calls, "torch.Tensor.__getitem__").arguments["key"]
    assert key[0] is ... and tuple(key[1]) == (None, None, 2) and key[2] is None
    assert only(calls, "torch.Tensor.clamp").arguments["max"] == float("inf")
    assert only(calls, "torch.randn").arguments["generator"] == Opaque("torch._C.Generator")
    assert torch.float64 in only(calls, "torch.Tensor.to").arguments.values()
    assert not any(isinstance(value, DictArg) for call in calls for value in call.arguments.values())
