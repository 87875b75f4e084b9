"""Tensors that hold tensors: wrapper subclasses with `__torch_dispatch__`, jagged nested tensors among them."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_map_only

from passes.operators.wrapper_layouts import layout_of
from tests.check import BACKENDS
from tracer import capture, counters, graph_break, reset

each_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)


class Scaled(torch.Tensor):
    """A quantised weight: integers and the scale of each row; `bits` comes with it. Operators see the product."""

    @staticmethod
    def __new__(cls, data, scale, bits=8):
        return torch.Tensor._make_wrapper_subclass(
            cls, data.shape, dtype=scale.dtype, device=data.device, strides=data.stride(), requires_grad=False
        )

    def __init__(self, data, scale, bits=8):
        self.data_inside = data
        self.scale = scale
        self.bits = bits

    def __repr__(self):
        return f"Scaled({self.shape})"

    def __tensor_flatten__(self):
        return ["data_inside", "scale"], {"bits": self.bits}

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return Scaled(inner["data_inside"], inner["scale"], context["bits"])

    def dequantize(self):
        return self.data_inside.to(self.scale.dtype) * self.scale

    @property
    def largest(self):
        return 2 ** (self.bits - 1) - 1

    @classmethod
    def from_plain(cls, weight, bits=8):
        scale = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
        return cls((weight / scale).round().to(torch.int8), scale, bits)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.ops.aten.detach.default, torch.ops.aten.clone.default, torch.ops.aten.alias.default):
            source = args[0]
            made = cls(func(source.data_inside), func(source.scale), source.bits)
            return return_and_correct_aliasing(func, args, kwargs, made)
        args, kwargs = tree_map_only(cls, lambda held: held.dequantize(), (args, kwargs))
        return func(*args, **kwargs)


NOTES = []


class Noting(TwoTensor):
    """Notes each operator that it answers."""

    @staticmethod
    def __tensor_unflatten__(inner, meta, size, stride):
        return Noting(inner["a"], inner["b"], size, stride)

    @classmethod
    def __torch_dispatch__(cls, func, types, args, kwargs):
        NOTES.append(str(func))
        return super().__torch_dispatch__(func, types, args, kwargs)


class Counting(TwoTensor):
    """Counts the operators that it answers."""

    count = 0

    @staticmethod
    def __tensor_unflatten__(inner, meta, size, stride):
        return Counting(inner["a"], inner["b"], size, stride)

    @classmethod
    def __torch_dispatch__(cls, func, types, args, kwargs):
        cls.count += 1
        return super().__torch_dispatch__(func, types, args, kwargs)


def inside(value):
    """A result with the tensors inside in the place of those that hold them, and all that a program sees of both."""
    if isinstance(value, TwoTensor):
        return type(value).__name__, value.shape, value.stride(), value.requires_grad, inside(value.a), inside(value.b)
    if isinstance(value, Scaled):
        return "Scaled", value.bits, value.dtype, inside(value.data_inside), inside(value.scale)
    if isinstance(value, torch.Tensor) and value.is_nested:
        offsets = value.offsets().tolist()
        return "jagged", value.dtype, value.requires_grad, value.is_leaf, inside(value.values().detach()), offsets
    if isinstance(value, torch.Tensor):
        facts = type(value).__name__, value.dtype, value.shape, value.stride(), value.requires_grad, value.is_leaf
        return *facts, value.detach().tolist()
    if isinstance(value, list | tuple):
        return type(value).__name__, [inside(part) for part in value]
    if isinstance(value, nn.Module):
        return [inside(part) for part in value.parameters()]
    return value


def outcome(program, make, backward):
    args = make()
    try:
        results = program(*args)
        if backward:
            total = sum(part.sum() for part in (results if isinstance(results, tuple) else (results,)))
            (total.a if isinstance(total, TwoTensor) else total).backward()
        gradients = [inside(arg.grad) for arg in args if isinstance(arg, torch.Tensor)]
    except Exception as error:
        return type(error).__name__, inside(args)
    return inside(results), inside(args), gradients


def same(program, *makes, backend="eager", breaks=(), graphs=1, backward=False):
    """Compare plain and captured calls with what each of `makes` gives, each call twice."""
    reset()
    captured = capture(program, backend=backend, strict=True)
    for place, make in enumerate(makes):
        for _ in range(2):
            torch.manual_seed(0)
            expected = outcome(program, make, backward)
            torch.manual_seed(0)
            assert outcome(captured, make, backward) == expected
        if not place and breaks is not None:
            assert list(counters().breaks.elements()) == list(breaks)
            assert graphs is None or counters().graphs == graphs
    assert counters().tracer_bugs == 0


def two(*shape, start=0.0, requires_grad=False):
    shape = shape or (2, 3)
    numbers = torch.arange(start, start + torch.Size(shape).numel()).reshape(shape)
    return TwoTensor(numbers, numbers * 10 + 1).requires_grad_(requires_grad)


def scaled(bits=8):
    return Scaled(
        torch.arange(12, dtype=torch.int8).reshape(4, 3) - 5, torch.tensor([[0.5], [1.0], [2.0], [4.0]]), bits
    )


def jagged(*lengths, requires_grad=False, width=3):
    rows = [torch.arange(float(length * width)).reshape(length, width) + length for length in lengths or (2, 4)]
    return torch.nested.nested_tensor(rows, layout=torch.jagged, requires_grad=requires_grad)


def computes(x):
    return 2 - x, x @ x.T, x[0], x[:, 1:], -x, x.sum(), F.relu(x), torch.cat([x, x]), x.max(1), x.t(), abs(x)


def calls_functions(x):
    rows = F.linear(x, torch.ones(4, 3)), F.layer_norm(x, (3,)), F.softmax(x, -1), F.gelu(x)
    return rows, torch.einsum("ij->j", x), torch.add(x, x, alpha=2), torch.where(x > 1, x, 0.0)


def asks_for_facts(x):
    kinds = type(x) is TwoTensor, isinstance(x, torch.Tensor), isinstance(x, nn.Parameter)
    sizes = x.shape, x.size(0), x.ndim, len(x), x.numel(), x.stride(), x.is_contiguous(), x.layout
    return x + 1, kinds, sizes, x.dtype, x.device, x.requires_grad, x.is_leaf, x.grad_fn, hasattr(x, "unknown")


def takes_apart(x):
    y = x * 2
    return y.a + x.b, y.a is y.a, x.a is x.a, x.detach().a


def makes_one(x):
    y = TwoTensor(x.a + 1, x.b)
    return y, y * 3, y.b is x.b, TwoTensor(torch.ones(2), torch.zeros(2)).sum()


def gives_views(x):
    y = x.view(-1)
    return y, y.view(3, 2), x.unbind(), list(x), x.clone(), x.detach()


def writes_inside(x):
    y = x * 2
    x.a.add_(1)
    return y, x * 2, x.a


@each_backend
@pytest.mark.parametrize(
    "program",
    [computes, calls_functions, asks_for_facts, takes_apart, makes_one, gives_views, writes_inside],
    ids=lambda program: program.__name__,
)
def test_wrapper_is_part_of_one_graph(program, backend):
    same(program, lambda: (two(),), backend=backend)


@each_backend
@pytest.mark.parametrize("program", [computes, calls_functions], ids=lambda program: program.__name__)
def test_gradients_of_a_wrapper(program, backend):
    def first(x):
        return program(x)[0][0] if program is calls_functions else program(x)[0]

    same(first, lambda: (two(requires_grad=True),), backend=backend, backward=True)


def test_two_tensors_in_one_call():
    same(lambda x, y: (x + y, torch.stack([x, y]), x @ y.T), lambda: (two(), two(start=5.0)))


def test_plain_tensor_beside_one():
    same(lambda x, y: (x + y, y + x, y @ x.T), lambda: (two(), torch.ones(2, 3)))


def test_other_sizes_are_captured_anew():
    same(lambda x: x * 2 + 1, lambda: (two(2, 3),), lambda: (two(4, 3),), lambda: (two(2, 3),))


def test_other_layouts_inside_are_captured_anew():
    def transposed():
        x = two(3, 2)
        return (TwoTensor(x.a.t(), x.b.t()),)

    same(lambda x: x.reshape(6) + 1, lambda: (two(2, 3),), transposed, lambda: (two(requires_grad=True),))


def test_plain_tensor_in_the_place_of_one():
    same(lambda x: (x * 2, type(x).__name__), lambda: (two(),), lambda: (torch.ones(2, 3),), lambda: (two(),))


def test_one_that_holds_others_that_hold():
    same(lambda x: (x * 2, x.a + 1, (x * 2).a.b), lambda: (TwoTensor(two(), two(start=3.0)),), breaks=None, graphs=None)


def test_goes_on_behind_a_break():
    def program(x):
        y = x * 2
        graph_break()
        return y + 1, type(y).__name__

    same(program, lambda: (two(),), breaks=["explicit"], graphs=2)


@each_backend
def test_write_to_one_breaks(backend):
    def program(x):
        y = x + 1
        x.mul_(2)
        return y, x + 1

    same(program, lambda: (two(),), backend=backend, breaks=["tensor-subclass"], graphs=None)


def test_attribute_that_a_program_gives_one():
    def program(x):
        y = x * 2
        y.tag = "tag"
        return y, y.tag

    captured = capture(program)
    result, tag = captured(two())
    assert tag == result.tag == "tag"


@each_backend
def test_quantised_weight(backend):
    def program(weight, x):
        return F.linear(x, weight), x @ weight.t(), weight.dequantize(), weight.largest, weight.bits, weight.detach()

    makes = [lambda bits=bits: (scaled(bits), torch.ones(2, 3)) for bits in (8, 4, 8)]
    same(program, *makes, backend=backend)


def test_context_is_guarded():
    reset()
    captured = capture(lambda weight: weight * weight.bits)
    for bits in (8, 4, 8):
        assert torch.equal(captured(scaled(bits)), scaled(bits).dequantize() * bits)
    assert counters().captures == 2


def test_layouts_of_calls_are_not_kept():
    """A layout lives as long as an entry holds it; calls that no entry answers leave none."""
    reset()
    captured = capture(lambda weight, x: x @ weight.t())
    for rows in range(1, 30):
        captured(scaled(8), torch.ones(rows, 3))
        layout = weakref.ref(layout_of(Scaled(torch.ones(rows, 3), torch.ones(rows, 1))))
        assert layout() is None, rows
    assert layout_of(scaled(8)) is layout_of(scaled(8))


@each_backend
def test_module_with_a_quantised_weight(backend):
    def make():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        module[0].weight = nn.Parameter(Scaled.from_plain(module[0].weight.detach()), requires_grad=False)
        return module, torch.ones(2, 3)

    same(lambda module, x: module(x), make, backend=backend)


def test_quantised_inside():
    same(
        lambda x: (Scaled.from_plain(x) * 2, Scaled.from_plain(x).bits), lambda: (torch.arange(6.0).reshape(2, 3) + 1,)
    )


@pytest.mark.parametrize("cls", [Noting, Counting])
def test_class_that_changes_what_lasts_is_asked_natively(cls):
    program = lambda x: (x * 2 + 1).sum().a  # noqa: E731
    captured = capture(program)

    def asked(function):
        NOTES.clear()
        Counting.count = 0
        result = function(cls(torch.ones(2), torch.zeros(2)))
        return result.tolist(), list(NOTES), Counting.count

    for _ in range(2):
        assert asked(captured) == asked(program)


def test_class_that_answers_otherwise_is_asked_again(monkeypatch):
    captured = capture(lambda x: x * 2)
    assert captured(two()).a.tolist() == [[0, 2, 4], [6, 8, 10]]

    def answer(cls, func, types, args, kwargs):
        return torch.full((1,), 7.0)

    monkeypatch.setattr(TwoTensor, "__torch_dispatch__", classmethod(answer))
    assert captured(two()).tolist() == [7.0]


FACTOR = 2.0


class Tuned(TwoTensor):
    """Answers by a number of its class, a global one, and a method that may be another one."""

    offset = 1.0

    @classmethod
    def tuned(cls, tensor):
        return tensor * FACTOR + cls.offset

    @staticmethod
    def __tensor_unflatten__(inner, meta, size, stride):
        return Tuned(inner["a"], inner["b"], size, stride)

    @classmethod
    def __torch_dispatch__(cls, func, types, args, kwargs):
        return cls.tuned(super().__torch_dispatch__(func, types, args, kwargs).a)


@each_backend
def test_what_the_code_of_a_class_reads_is_guarded(backend, monkeypatch):
    reset()
    captured = capture(lambda x: x + 1, backend=backend)

    def answer():
        return captured(Tuned(torch.ones(2), torch.ones(2))).tolist()

    assert answer() == answer() == [5.0, 5.0]
    monkeypatch.setattr(Tuned, "offset", 3.0)
    assert answer() == [7.0, 7.0]
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert answer() == [9.0, 9.0]
    monkeypatch.setattr(Tuned, "tuned", classmethod(lambda cls, tensor: tensor * 0))
    assert answer() == [0.0, 0.0]
    assert counters().captures == 4


def test_error_of_an_operator_reaches_the_handler():
    def program(x):
        try:
            return x.view(5)
        except RuntimeError:
            return x + 1

    same(program, lambda: (two(),), breaks=None, graphs=None)


# Jagged nested tensors -------------------------------------------------------------------------------


def of_rows(x):
    return (
        x * 2,
        x + x,
        F.relu(x),
        -x,
        torch.softmax(x, -1),
        F.layer_norm(x, (3,)),
        F.linear(x, torch.ones(4, 3)),
        x.sin(),
    )


def reduces(x):
    return x.sum(), x.sum(1), x.mean(-1), torch.nested.to_padded_tensor(x, 0.5), (x * 2).sum() + 1


def of_parts(x):
    return x.values() * 2, x.offsets() + 1, x.size(0), x.size(2), x.is_nested, x.dim(), x.layout, x.dtype


def made_again(x):
    y = torch.nested.nested_tensor_from_jagged(x.values() * 2, x.offsets())
    return y, y + x, y.values()


def sizes(x):
    batch, _, width = x.shape
    return x * batch, x.unflatten(-1, [width, 1]).sum(), x.transpose(1, 2).transpose(1, 2) + 1


@each_backend
@pytest.mark.parametrize(
    "program", [of_rows, reduces, of_parts, made_again, sizes], ids=lambda program: program.__name__
)
def test_jagged_tensor_is_part_of_one_graph(program, backend):
    same(program, lambda: (jagged(2, 4),), lambda: (jagged(1, 2, 5),), lambda: (jagged(2, 4),), backend=backend)


@each_backend
def test_gradients_of_a_jagged_tensor(backend):
    def program(x, weight):
        return F.linear(x, weight).relu().sum()

    makes = [
        lambda lengths=lengths: (jagged(*lengths, requires_grad=True), torch.ones(4, 3, requires_grad=True))
        for lengths in ((2, 4), (1, 2, 5))
    ]
    same(program, *makes, backend=backend, backward=True)


@each_backend
def test_module_that_is_given_a_jagged_tensor(backend):
    def make():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2)), jagged()

    same(lambda module, x: module(x), make, backend=backend)


def test_jagged_tensors_with_one_set_of_offsets():
    def make():
        x = jagged()
        return x, torch.nested.nested_tensor_from_jagged(x.values() + 1, x.offsets())

    same(lambda x, y: x + y, make)


def test_jagged_tensors_with_offsets_of_their_own():
    same(lambda x, y: x + y, lambda: (jagged(2, 4), jagged(2, 4)), breaks=None, graphs=None)


def test_rows_of_a_jagged_tensor():
    same(lambda x: [row * 2 for row in x.unbind()], lambda: (jagged(),), breaks=None, graphs=None)


def test_attention_of_jagged_tensors():
    def program(x):
        heads = x.unflatten(-1, [1, 3]).transpose(1, 2)
        return F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(-2)

    same(program, lambda: (jagged(),), breaks=None, graphs=None)


def of_a_list(x, y):
    z = torch.nested.nested_tensor([x, y], layout=torch.jagged)
    return (z * 2).sin().values(), z.offsets(), torch.nested.to_padded_tensor(z + z, 0.0), z.size(0), z.is_nested


def of_values(x, y):
    offsets = torch.tensor([0, len(x), len(x) + len(y)])
    z = torch.nested.nested_tensor_from_jagged(torch.cat([x, y]), offsets)
    return z.values() * 3, F.relu(z).sum(1), F.linear(z, torch.ones(2, x.shape[1])).values(), z.dim()


@each_backend
@pytest.mark.parametrize("program", [of_a_list, of_values], ids=lambda program: program.__name__)
def test_jagged_tensor_made_inside_is_part_of_one_graph(program, backend):
    makes = [
        lambda rows=rows: tuple(torch.full((count, 3), float(count), requires_grad=True) for count in rows)
        for rows in ((2, 4), (3, 4), (5, 2), (2, 4), (1, 6))
    ]
    same(program, *makes, backend=backend)


@each_backend
def test_sums_of_jagged_tensors_made_inside(backend):
    def program(values, offsets, others):
        x = torch.nested.nested_tensor_from_jagged(values, offsets)
        y = torch.nested.nested_tensor_from_jagged(values + 1, offsets)
        z = torch.nested.nested_tensor_from_jagged(values, others)
        try:
            return (x + y).values(), (x * z).values()  # offsets of their own: torch refuses them
        except RuntimeError as error:
            return (x + y).values(), type(error)

    offsets = torch.tensor([0, 2, 5])
    same(program, lambda: (torch.ones(5, 2), offsets, offsets.clone()), backend=backend, breaks=None, graphs=None)
    same(program, lambda: (torch.ones(5, 2), offsets, offsets), backend=backend, breaks=None, graphs=None)


@each_backend
def test_backward_inside_runs_natively(backend):
    def program(x):
        (x * 2).sum().backward()
        return x.grad

    same(program, lambda: (jagged(requires_grad=True),), backend=backend, breaks=None, graphs=None)
