"""What is read from tensors is a symbol in a graph: numbers, and sizes that hang on data.

Each program runs on data for which its sizes are 0, 1 and more, those that are one graph with one capture for all.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.check import check
from tests.same import differences
from tracer import capture, counters, reset
from tracer.reasons import GraphBreakError
from tracer.values.shapes import Shapes

BACKENDS = {
    "eager": "eager",
    "aot_eager": "aot_eager",
    "forward": lambda module, inputs: module.forward,
}

DATA = (
    torch.tensor([1.0, -2.0, 3.0, 0.0]),
    torch.tensor([-1.0, -2.0, -3.0, -1.0]),
    torch.tensor([1.0, -2.0, -3.0, -1.0]),
    torch.tensor([1.0, 2.0, 3.0, 4.0]),
)


def count(x):
    return (x > 0).sum()


PROGRAMS = {
    "item": lambda x: x.sum().item(),
    "item of an int": lambda x: (x * 2, count(x).item(), count(x).item() * 2 + 1),
    "item as a factor": lambda x: x * x.max().item() + x.argmax().item(),
    "item of a float in sums": lambda x: (x + (x.sum().item() * 2 - 1), -x.min().item()),
    "item of a truth": lambda x: (x.any().item(), x * 2),
    "float": lambda x: x * float(x.sum()),
    "int": lambda x: x + int(count(x)),
    "float of an int": lambda x: (x * float(count(x)), float(x.long().sum())),
    "int and float of a truth": lambda x: (x + int((x > 0).any()), float((x > 0).all())),
    "bool": lambda x: (x + 1, bool(x.sum() > 0), bool(x[0])),
    "tolist": lambda x: (x * 2, x.tolist(), x.long().tolist()),
    "compared items": lambda x: (x.sum().item() > 0, x * 2, x.max().item() == x[0].item()),
    "items in containers": lambda x: ({"loss": x.sum().item()}, [count(x).item(), x + 1]),
    "mask": lambda x: x[x > 0],
    "mask and sum": lambda x: x[x > 0].sum() + (x > 0).nonzero().shape[0],
    "masked select": lambda x: torch.masked_select(x, x > 0) * 2,
    "nonzero": lambda x: (x > 0).nonzero(),
    "nonzero as tuple": lambda x: torch.nonzero(x > 0, as_tuple=True),
    "where alone": lambda x: x[torch.where(x > 0)],
    "argwhere": lambda x: torch.argwhere(x > 0),
    "unique": lambda x: torch.unique(x),
    "unique with more": lambda x: torch.unique(x, return_inverse=True, return_counts=True),
    "unique consecutive": lambda x: torch.unique_consecutive(x > 0),
    "repeat interleave": lambda x: torch.repeat_interleave(x, (x > 0).long()),
    "shape": lambda x: (x[x > 0].shape[0], x[x > 0].numel(), x[x > 0].size(), len(x[x > 0])),
    "arange": lambda x: torch.arange(count(x).item()),
    "zeros": lambda x: torch.zeros(count(x).item(), 2),
    "ones like": lambda x: torch.ones_like(x[x > 0]) + 1,
    "expand": lambda x: x[:1].expand(count(x).item(), 1),
    "reshape": lambda x: torch.zeros(count(x).item() * 2).reshape(-1, 2),
    "unsqueeze and cat": lambda x: torch.cat([x[x > 0], x[x <= 0]]),
    "matmul": lambda x: torch.stack([x, x], 1)[x > 0] @ torch.ones(2, 3),
    "linear": lambda x: F.linear(torch.stack([x, x], 1)[x > 0], torch.ones(3, 2)),
    "slice": lambda x: x[: count(x).item()],
    "slice by a tensor": lambda x: x[: count(x)],
    "slice from a tensor": lambda x: x[count(x) :],
    "slice written": lambda x: _filled(x.clone()),
    "mask written": lambda x: _masked(x.clone()),
    "split": lambda x: torch.split(x, [2, 2])[0][: count(x[:2])],
    "chain": lambda x: x[x > 0][:2] * 2,
    "two masks": lambda x: torch.outer(x[x > 0], x[x < 0]),
    "softmax": lambda x: F.softmax(torch.stack([x, x], 1)[x > 0], dim=-1),
    "pad": lambda x: F.pad(x[x > 0], (0, 1)),
    "scatter": lambda x: torch.zeros(4).index_add(0, (x > 0).nonzero().squeeze(1), x[x > 0]),
    "checked": lambda x: _checked(x),
    "item at a position": lambda x: (
        x[x.argmax()],
        x[x.argmax().item()],
        x[-x.argmax().item()],
        x[int(x.argmin())] * 2,
    ),
    "item of a table": lambda x: _items_of_table(torch.outer(x, x), x.argmax()),
    "item of a table written": lambda x: _table_written(torch.outer(x, x), x.argmax()),
    "slice by a tensor written": lambda x: _slices_written(x.clone(), x.argmax()),
    "loop over a list": lambda x: [x * number for number in x.tolist()],
}


def _items_of_table(y, i):
    some = torch.arange(2)
    return y[:, i], y[..., i], y[i, i], y[i, None, 1:], y[None, i], y[i.item(), i], y[i, [0, 1]], y[some, i]


def _table_written(y, i):
    y[i] = 0
    y[:, i] += 1
    y[i, i] = 7
    y[i.item(), 0] = y[i, 1]
    y[..., i.item()] *= 2
    return y


def _slices_written(x, i):
    x[i:] = 2.0
    x[:i] *= 3
    x[i : i + 1] = 9
    x[::2][:i] = 5
    return x


def _filled(x):
    x[: count(x)] = 7.0
    return x


def _masked(x):
    x[x > 0] = 7.0
    return x


def _checked(x):
    n = count(x).item()
    torch._check(n >= 0)
    torch._check(n <= 4)
    if n <= 5:
        return torch.zeros(n)
    return None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_data_is_part_of_one_graph(name, backend):
    program = PROGRAMS[name]
    reset()
    captured = capture(program, fullgraph=True, backend=BACKENDS[backend])
    for data in DATA:
        assert not differences(program(data.clone()), captured(data.clone()), str(data), backend == "aot_eager")
    assert (counters().captures, counters().graphs, counters().tracer_bugs) == (1, 1, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_flow_through_sizes_that_hang_on_data(backend):
    def program(x):
        return (x[x > 0] * x.sum().item()).sum() + x[: count(x)].sin().sum()

    captured = capture(program, fullgraph=True, backend=BACKENDS[backend])
    for data in (DATA[0], DATA[2], DATA[3]):
        plain, traced = (data.clone().requires_grad_() for _ in range(2))
        program(plain).backward()
        captured(traced).backward()
        assert torch.equal(plain.grad, traced.grad)


def test_a_branch_on_data_breaks_and_says_what_to_do():
    def program(x):
        return x * 2 if x.sum().item() > 0 else x

    with pytest.raises(GraphBreakError) as caught:
        capture(program, fullgraph=True)(torch.ones(2))
    assert "torch._check" in str(caught.value) or "torch.cond" in str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_check_that_fails_raises_as_the_plain_program_does(backend):
    def program(x):
        n = count(x).item()
        torch._check(n < 4, lambda: f"{n} are too many")
        return torch.zeros(n) + 1

    captured = capture(program, fullgraph=True, backend=BACKENDS[backend])
    assert torch.equal(captured(DATA[0]), program(DATA[0]))
    with pytest.raises(RuntimeError, match="4 are too many"):
        captured(DATA[3])


def test_sizes_that_broadcast_only_by_chance_give_the_plain_result():
    def program(x):
        return x[x > 0] + torch.arange(3.0), (x[x > 0] + torch.arange(3.0)).shape[0]

    captured = capture(program, fullgraph=True)
    one, three = DATA[2], torch.tensor([1.0, 2.0, 3.0, -1.0])
    for data in (three, one):
        assert not differences(program(data), captured(data), str(data))
    with pytest.raises(RuntimeError):
        program(DATA[0])
    with pytest.raises(RuntimeError):
        captured(DATA[0])


def test_an_attribute_is_given_the_number_of_the_call():
    class Meter:
        total = 0.0
        seen = 0

    def program(meter, x):
        meter.total = x.sum().item()
        meter.seen = count(x).item()
        return x + 1

    plain, traced = Meter(), Meter()
    captured = capture(program, fullgraph=True)
    for data in DATA:
        program(plain, data)
        captured(traced, data)
        assert (plain.total, plain.seen) == (traced.total, traced.seen)
        assert type(traced.total) is float
        assert type(traced.seen) is int


def looked_up(x, n):
    return x * 2 if n > 2 else x + 1


def counted(x):
    return count(x).item()


class Counter:
    def __init__(self):
        self.seen = []


WITHOUT_FULLGRAPH = {
    "branch": (lambda x: x * count(x).item() if count(x).item() > 2 else x - 1, 2),
    "branch in a function": (lambda x: _looked_up(x), 2),
    "number read in a function": (lambda x: looked_up(x, counted(x)) + 1, 3),
    "branch on a number read in a function": (lambda x: x * 2 if counted(x) > 2 else x + 1, 2),
    "branch on two numbers": (lambda x: x * 2 if count(x).item() > x.argmax().item() else x - 1, 2),
    "branch on a size": (lambda x: x[x > 0].mean() if x[x > 0].numel() else x.sum(), 2),
    "branch on a list": (lambda x: x + sum(x.tolist()) if x.tolist()[0] > 0 else x * 2, 2),
    "text": (lambda x: (f"{x.sum().item():.2f}", x + 1), 2),
    "key": (lambda x: (dict(enumerate("abcde"))[count(x).item()], x + 1), 2),
    "position": (lambda x: [x, x + 1, x + 2, x + 3, x + 4][count(x).item()] * 2, 2),
    "range": (lambda x: [x + i for i in range(count(x).item())], 2),
    "turns": (lambda x: _shrunk(x), 5),
    "no number needed": (lambda x: (x[x > 0] * x.sum().item(), x.tolist()), 1),
}
"""Programs, and how many graphs each is at most in its first call."""


def _looked_up(x):
    n = count(x).item()
    y = looked_up(x, n)
    return y + 1, x


def _shrunk(x):
    turns = 0
    while x.abs().sum().item() > 1:
        x = x / 2
        turns += 1
    return x, turns


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", WITHOUT_FULLGRAPH)
def test_without_fullgraph_only_what_needs_the_number_is_a_break(name, backend):
    program, graphs = WITHOUT_FULLGRAPH[name]
    reset()
    captured = capture(program, backend=BACKENDS[backend])
    for number, data in enumerate(DATA):
        given = data.clone()
        assert not differences(program(data), captured(given), str(data), backend == "aot_eager")
        assert number or counters().graphs <= graphs
    assert counters().tracer_bugs == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_flow_through_a_break_behind_symbols_for_data(backend):
    def program(x):
        kept = x[x > 0] * x.sum().item()
        return kept.sum() if kept.numel() > 1 else (kept * 3).sum() + x.sum()

    captured = capture(program, backend=BACKENDS[backend])
    for data in DATA:
        plain, traced = (data.clone().requires_grad_() for _ in range(2))
        program(plain).backward()
        captured(traced).backward()
        assert torch.equal(plain.grad, traced.grad)


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_is_changed_around_a_number_that_is_read(backend):
    def program(counter, x):
        counter.seen.append(count(x).item())
        x.mul_(2)
        counter.seen.append(x.sum().item())
        return x[x > 0] if len(counter.seen) < 6 else x + 1

    plain, traced = Counter(), Counter()
    captured = capture(program, backend=BACKENDS[backend])
    for data in DATA:
        one, other = data.clone(), data.clone()
        assert not differences(program(plain, one), captured(traced, other), str(data), backend == "aot_eager")
        assert torch.equal(one, other)
        assert plain.seen == traced.seen
        assert [type(number) for number in plain.seen] == [type(number) for number in traced.seen]


def test_an_error_about_data_reaches_its_handler():
    def program(x):
        n = count(x).item()
        try:
            return (x[: n + 1].reshape(2) * n, n)
        except RuntimeError:
            return x.sum(), -n

    captured = capture(program)
    for data in DATA:
        assert not differences(program(data), captured(data), str(data))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_position_outside_of_the_tensor_raises_as_plain_indexing_does(backend):
    captured = capture(lambda x: x[count(x)] + 1, backend=BACKENDS[backend])
    assert torch.equal(captured(DATA[0]), DATA[0][2] + 1)
    with pytest.raises(IndexError, match="index 4 is out of bounds for dimension 0 with size 4"):
        captured(DATA[3])


def test_a_write_at_a_position_changes_the_input():
    def program(x):
        x[x.argmax()] = 0.0
        return x * 2

    check(program, DATA[0], graphs=1, breaks=[])


def test_floats_are_read_without_an_algebra(monkeypatch):
    def refused(self):
        raise AssertionError("the algebra of sizes was asked for")

    monkeypatch.setattr(Shapes, "opened", refused)
    check(lambda x: (x.sum().item(), (x > 0).any().item(), x.tolist()), DATA[0], graphs=1, breaks=[])


def test_a_compiler_that_refuses_symbols_for_data_is_given_none():
    graphs = []

    def refusing(module, inputs):
        graphs.append(module)
        if any(node.target == "item" for node in module.graph.nodes):
            raise ValueError("no items")
        return module.forward

    def program(x):
        return x * (x + 1).sum().item()

    captured = capture(program, backend=refusing)
    assert torch.equal(program(DATA[0]), captured(DATA[0]))
    assert len(graphs) == 3
    with pytest.raises(ValueError, match="no items"):
        capture(program, backend=refusing, fullgraph=True)(DATA[0])


def test_packed_sequences_break_as_their_sizes_and_dtypes_are_not_foreseen():
    def program(x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        return packed.data.shape, packed.batch_sizes.dtype, packed.data * 2

    x, lengths = torch.randn(3, 5, 4), torch.tensor([5, 3, 2])
    assert not differences(program(x, lengths), capture(program)(x, lengths), "packed")
    with pytest.raises(GraphBreakError, match="data-dependent-operator"):
        capture(program, fullgraph=True)(x, lengths)
