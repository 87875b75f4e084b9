"""In-place operators, views, aliases, dtypes and layouts of tensors in captured programs."""

import pytest
import torch
from torch.nn import functional as F

from tests.check import check, one_graph
from tracer import capture
from tracer.graph.check import check_graph
from tracer.interpret.evaluator import EVALUATOR


def test_in_place_on_an_argument():
    def program(x):
        x.add_(1)
        x *= 2
        x[0] = 5
        return x

    report = one_graph(program, torch.ones(3))
    assert report.outcomes[-1].result is report.outcomes[-1].arguments[0]


def test_in_place_on_a_result():
    def program(x):
        y = x + 1
        z = y
        y += x
        y.clamp_(max=2.5)
        return y, z is y, y.sum() + z.sum()

    one_graph(program, torch.ones(3))


def test_augmented_assignment_without_in_place():
    def program(n, x):
        n += x
        return n

    one_graph(program, 3, torch.ones(2))


def test_graph_with_augmented_assignment_to_a_number_is_python():
    def program(x, other):
        n = 3
        n += x
        other @= x
        return n, other

    captured = capture(program)
    x = torch.ones(2, 2)
    captured(x, x + 1)
    (entry,) = captured.entries
    assert all(map(torch.equal, program(x, x + 1), entry.graph_module(x, x + 1)))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.t_(),
        lambda x: x.unsqueeze_(0),
        lambda x: x.unsqueeze(0).squeeze_(0),
        lambda x: x.swapaxes_(0, 1),
        lambda x: x.as_strided_((3,), (2,), 1),
        lambda x: torch.sin(x, out=torch.empty(0)),
    ],
)
def test_metas_follow_from_each_other_after_an_in_place_change_of_shape(change):
    def program(x):
        x = x.sin()
        y = change(x)
        return y + 1, x * 2

    captured = capture(program)
    captured(torch.ones(2, 3))
    check_graph(captured.entries[0].graph_module.graph, EVALUATOR)


def test_in_place_through_a_view():
    def program(x):
        view = x[1:]
        view.zero_()
        x.t().mul_(3)
        x.view(-1)[0] = 9
        return view, x.sum()

    one_graph(program, torch.arange(6.0).reshape(3, 2))


def test_write_by_index():
    def program(x, index, values):
        x[index] = values
        x[x.shape[0] - 1, 1:] += 10
        x[:, 0] = 7
        x[..., 1] = x[..., 0]
        return x

    one_graph(program, torch.zeros(3, 3), torch.tensor([0, 1]), torch.ones(2, 3))


def test_write_by_mask():
    def program(x):
        x[x > 1] = 0
        return x * 2

    one_graph(program, torch.arange(4.0))


def test_copy_and_set_data():
    def program(x, y):
        x.copy_(y)
        return x + 1

    one_graph(program, torch.zeros(2), torch.ones(2))


def test_out_argument():
    def program(x, out):
        result = torch.add(x, 1, out=out)
        return result is out, out * 2

    check(program, torch.ones(2), torch.zeros(2))
    check(program, torch.ones(2), torch.zeros(0))


def test_in_place_change_of_shape():
    def program(x):
        x.unsqueeze_(0)
        x.t_()
        return x.shape, x + 1

    check(program, torch.ones(3))


def test_resize_and_storage():
    def program(x):
        y = x + 1
        y.resize_(4)
        return y.shape, y.data_ptr() == y.untyped_storage().data_ptr()

    check(program, torch.ones(2), recaptures=None, calls=1)


def test_views_of_results():
    def program(x):
        y = x * 2
        return (
            y,
            y[0],
            y.view(-1),
            y.transpose(0, 1),
            y.reshape(3, 2),
            y.flatten(),
            y.expand(2, 2, 3),
            y.diagonal(),
            y.chunk(2),
        )

    one_graph(program, torch.arange(6.0).reshape(2, 3))


def test_view_as_real_and_conjugates():
    def program(x):
        return torch.view_as_real(x), x.conj(), x.conj().imag, x.abs(), x.real + 1

    one_graph(program, torch.tensor([1 + 2j, 3 - 1j]), gradients=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_dtypes_and_promotion(dtype):
    def program(x):
        return (
            x + 1,
            x * 2.5,
            x / 2,
            x.sum(),
            x.float().mean(),
            torch.cat([x, x]),
            x == 1,
            x.to(torch.float32) @ torch.ones(2),
        )

    one_graph(program, torch.ones(2).to(dtype))


def test_zero_dimensional_and_empty_tensors():
    def program(x, empty):
        return (
            x + 1,
            x * torch.tensor(2.0, dtype=torch.float64),
            empty.sum(),
            torch.cat([empty, empty]),
            empty.shape[0] == 0,
        )

    one_graph(program, torch.tensor(3.0), torch.empty(0, 4))


def test_strides_are_guarded():
    captured = capture(lambda x: x.is_contiguous(), strict=True)
    x = torch.ones(3, 3)
    assert captured(x) is True and captured(x.t()) is False and captured(x) is True


@pytest.mark.parametrize(
    "other",
    {
        "dtype": torch.ones(3, 4, dtype=torch.float64),
        "rank": torch.ones(4),
        "size": torch.ones(5, 4),
        "stride": torch.ones(4, 3).t(),
        "offset": torch.ones(13)[1:].reshape(3, 4),
        "requires grad": torch.ones(3, 4, requires_grad=True),
        "parameter": torch.nn.Parameter(torch.ones(3, 4)),
        "sparse": torch.ones(3, 4).to_sparse(),
        "conjugate": torch.ones(3, 4, dtype=torch.complex64).conj(),
        "meta": torch.ones(3, 4, device="meta"),
        "number": 3,
        "none": None,
    }.items(),
    ids=lambda pair: pair[0],
)
def test_every_fact_of_a_tensor_is_guarded(other):
    def program(x):
        if x is None or isinstance(x, int):
            return repr(x)
        facts = (x.shape, x.dtype, x.requires_grad, x.layout, x.is_conj(), x.device.type, type(x).__name__)
        return facts, x * 2

    captured = capture(program, strict=True)
    for value in (torch.ones(3, 4), other[1], torch.ones(3, 4)):
        expected, observed = program(value), captured(value)
        assert expected[0] == observed[0]


def test_subclass_with_its_own_behaviour():
    class Loud(torch.Tensor):
        calls = 0

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            Loud.calls += 1
            return super().__torch_function__(function, types, args, kwargs or {})

    def program(x):
        return x + 1

    captured = capture(program, strict=True)
    captured(torch.ones(2))
    Loud.calls = 0
    assert type(captured(torch.ones(2).as_subclass(Loud))) is Loud
    assert Loud.calls >= 1


def test_sparse_and_nested_arguments_run_as_they_are():
    def program(x):
        return x * 2

    captured = capture(program, strict=True)
    assert captured(torch.eye(2).to_sparse()).to_dense().sum() == 4
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    assert captured(nested).is_nested


def test_attribute_of_a_tensor():
    def program(x):
        y = x + 1
        y.tag = "new"
        return y, x.label

    def make():
        x = torch.ones(2)
        x.label = "given"
        return (x,)

    check(program, make=make, recaptures=None)


def test_identity_and_hash_of_tensors_as_keys():
    def program(x, y):
        table = {x: 1, y: 2}
        return table[x] + table[y], x in table, {id(x), id(y)} == {id(y), id(x)}

    check(program, torch.ones(2), torch.ones(2), recaptures=None)


def test_type_checks_of_tensors():
    def program(x):
        return torch.is_tensor(x), isinstance(x, torch.FloatTensor), x.type(), x.is_cuda, x.dtype == torch.float32

    check(program, torch.ones(2), breaks=[])


def test_unfold_scatter_gather_einsum():
    def program(x, index):
        gathered = x.gather(1, index)
        scattered = torch.zeros_like(x).scatter_(1, index, gathered)
        product = torch.einsum("ij,kj->ik", x, scattered)
        return gathered, scattered, product, x.unfold(1, 2, 1), torch.tensordot(x, x, dims=([1], [1]))

    one_graph(program, torch.arange(6.0).reshape(2, 3), torch.tensor([[0, 2], [1, 1]]))


def test_attention():
    def program(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(
            q, k, v, scale=0.3
        )

    one_graph(program, *(torch.randn(1, 2, 4, 8) for _ in range(3)))


def test_functions_that_call_modules_of_torch():
    def program(x):
        shape = torch.broadcast_shapes(x.shape, (3, 1, 1))
        chained = torch.einsum("ij,jk,kl->il", x, x, x)
        ranks = 1 if torch.distributed.is_available() and torch.distributed.is_initialized() else 0
        return x.expand(shape) + chained, ranks, torch.backends.mkldnn.enabled

    one_graph(program, torch.ones(2, 2))


class WithBuffer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = torch.nn.Buffer(torch.ones(3))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_tensor_marked_as_a_buffer_is_one(backend):
    def program(module, x):
        made = torch.nn.Buffer(x + 1, persistent=False)
        module.made = made
        kinds = [isinstance(tensor, torch.nn.Buffer) for tensor in (made, module.made, module.inside, x)]
        return kinds, sorted(dict(module.named_buffers())), sorted(module.state_dict()), module.made * 2

    check(program, make=lambda: (WithBuffer(), torch.ones(3)), backend=backend)


def test_whether_a_tensor_is_marked_as_a_buffer_is_guarded():
    captured = capture(lambda x: (isinstance(x, torch.nn.Buffer), x + 1))
    assert captured(torch.ones(2))[0] is False
    assert captured(torch.nn.Buffer(torch.ones(2)))[0] is True
    assert captured(torch.ones(2))[0] is False


@pytest.mark.parametrize("backend", ["eager", "aot_eager", lambda module, inputs: module.forward])
def test_values_of_a_sparse_tensor_behind_a_break(backend):
    def rows(x):
        return x.to_sparse_csr().values() + 1

    def entries(x):
        return x.coalesce().values() * 2, x.coalesce().indices() + 1

    torch.ones(1, 1).to_sparse_csr()  # the first one in a process warns
    check(rows, torch.arange(6.0).reshape(2, 3), backend=backend)
    check(entries, make=lambda: (torch.eye(3).to_sparse(),), backend=backend)
