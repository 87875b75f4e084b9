"""Collectives of torch.distributed, in process groups of one and with the facts of larger ones."""

import pytest
import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from torch.testing._internal.distributed.fake_pg import FakeStore

from tests.check import BACKENDS, check
from tracer import capture

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(autouse=True)
def _group_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def reduced(x):
    y = x * (dist.get_rank() + 1)
    dist.all_reduce(y)
    return y


def reduced_input(x):
    dist.all_reduce(x, op=dist.ReduceOp.MAX)
    return x + 1


def reduced_past_autograd(x):
    w = x * 3
    y = w.sin()
    dist.all_reduce(y, group=dist.group.WORLD)
    return (y * 2).sum()


def sent(x):
    dist.broadcast(x, 0)
    dist.broadcast(x, src=0, group=dist.group.WORLD)
    dist.broadcast(x, group_src=0)
    return x


def gathered(x):
    parts = [torch.empty_like(x)]
    dist.all_gather(parts, x + 1)
    whole = torch.empty(4)
    dist.all_gather_into_tensor(whole, x)
    return parts, whole


def scattered(x):
    part, exchanged = torch.empty(4), torch.empty(4)
    dist.reduce_scatter_tensor(part, x, op=dist.ReduceOp.SUM)
    dist.all_to_all_single(exchanged, x)
    return part, exchanged


def functionally(x):
    world = dist.group.WORLD
    total = functional.all_reduce(x, "sum", world)
    rows = functional.all_gather_single(x.view(2, 2), 1, world)
    part = functional.reduce_scatter_single(x, "sum", 0, world)
    other = functional.all_to_all_single(functional.broadcast(x, 0, world), None, None, world)
    return functional.wait_tensor(total) + part * 2 + other * 3, rows * 2


def facts(x):
    world = dist.group.WORLD
    numbers = (dist.get_rank(), dist.get_world_size(), world.rank(), world.size(), dist.get_group_rank(world, 0))
    return (
        x + dist.get_rank(world),
        numbers,
        dist.get_backend(),
        dist.is_initialized(),
        dist.get_process_group_ranks(world),
    )


PROGRAMS = (reduced, reduced_input, sent, gathered, scattered, functionally, facts)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_is_part_of_one_graph(program, backend):
    check(program, torch.arange(4.0) + 1, fullgraph=True, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_passes_autograd_by(backend):
    check(reduced_past_autograd, torch.ones(4, requires_grad=True), fullgraph=True, backend=backend)


def test_is_captured_again_for_another_group():
    captured = capture(reduced, fullgraph=True)
    assert torch.equal(captured(torch.ones(2)), torch.ones(2))
    dist.destroy_process_group()
    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    assert torch.equal(captured(torch.ones(2)), reduced(torch.ones(2)))
    assert captured(torch.ones(2))[0] >= 2  # rank 1


def rank_if_there_is_a_group(x):
    return x + dist.get_rank() + 1 if dist.is_initialized() else x


def test_guards_that_there_is_a_group():
    captured = capture(rank_if_there_is_a_group, fullgraph=True)
    assert captured(torch.zeros(1)).item() == 1
    dist.destroy_process_group()
    assert captured(torch.zeros(1)).item() == 0


def by_any_operation(x, operation):
    y = x + 1
    dist.all_reduce(y, operation)
    return y


def test_guards_the_operation():
    names = []

    def record(module, inputs):
        names.extend(node.args[1] for node in module.graph.nodes if "all_reduce" in str(node.target))
        return module.forward

    captured = capture(by_any_operation, fullgraph=True, backend=record)
    for operation in (dist.ReduceOp.SUM, dist.ReduceOp.MIN, dist.ReduceOp.SUM):
        assert torch.equal(captured(torch.ones(2), operation), torch.full((2,), 2.0))
    assert names == ["sum", "min"]


def waits_itself(x):
    work = dist.all_reduce(x, async_op=True)
    work.wait()
    return x + 1


def into_another_shape(x):
    whole = torch.empty(1, 4)
    dist.all_gather_into_tensor(whole, x)
    return whole


def with_a_barrier(x):
    y = x + 1
    dist.barrier()
    return y * 2


def test_runs_natively_where_the_program_waits():
    check(waits_itself, torch.ones(4), breaks=["skipped-function", "unsupported-call"])
    check(with_a_barrier, torch.ones(4), graphs=2, breaks=["skipped-function"])


def test_is_refused_by_the_backend_of_the_group():
    with pytest.raises(RuntimeError, match="invalid tensor size"):
        into_another_shape(torch.ones(4))
    with pytest.raises(RuntimeError, match="invalid tensor size"):
        capture(into_another_shape)(torch.ones(4))
