"""torch.distributed: collectives are functions of the graph, what is asked of a process group is a guarded fact.

A collective that writes to a tensor of the program is one that gives a new tensor, which is copied: past autograd,
as the original writes. Work that the program waits for itself, and what has no functional form, runs natively.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.distributed as dist

from passes.targets import collectives
from tracer.guards.source import Source, module
from tracer.interpret.functions import interpret_function
from tracer.interpret.policy import interpret, interpret_modules, lookaside, named_lookaside
from tracer.interpret.tensor_ops import tensor_op
from tracer.interpret.trace import Trace
from tracer.reasons import SKIPPED_FUNCTION
from tracer.values.concrete import concrete
from tracer.values.from_host import from_host
from tracer.values.host import host
from tracer.values.item import Item
from tracer.values.kinds import NotConcrete
from tracer.values.objects import ObjectValue
from tracer.values.protocols.iteration import listed
from tracer.values.tensors import TensorValue

FUNCTIONAL: Final = "torch.distributed._functional_collectives"
C10D: Final = "torch.distributed.distributed_c10d"

DTYPES: Final = frozenset(
    {torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int8, torch.uint8}
)
"""Of tensors that a collective is not refused for, by any backend."""

interpret_modules(FUNCTIONAL)
"""Its functions check their arguments, and call an operator."""


def _default_group() -> Source:
    world = module(C10D).child("dict").child("item", "_world")
    return world.child("dict").child("item", "_default_pg")


def _group(trace: Trace, item: Item) -> Any:
    """The real process group that an argument stands for: that of the program, guarded, or the default one."""
    if item is None:
        return _guarded(trace, dist.distributed_c10d._world.default_pg, _default_group())
    if isinstance(item, ObjectValue) and isinstance(item.object, dist.ProcessGroup) and item.source is not None:
        return _guarded(trace, item.object, item.source)
    if item is dist.GroupMember.NON_GROUP_MEMBER:
        return item
    trace.stop(SKIPPED_FUNCTION, "a collective of a group that is no ProcessGroup")


def _guarded(trace: Trace, group: Any, source: Source) -> Any:
    trace.guard(source, "equal" if group is None else "same object", group)
    return group


# Facts -----------------------------------------------------------------------------------------------


def _fact(function: Callable[..., Any]) -> None:
    """Answer a question about a process group, which is one of the arguments or the default group, by asking it."""

    @lookaside(function)
    def _ask(trace: Trace, *args: Item, **kwargs: Item) -> Item:
        try:
            real_args = [_argument(trace, arg) for arg in args]
            real_kwargs = {name: _argument(trace, arg) for name, arg in kwargs.items()}
        except NotConcrete:
            trace.stop(SKIPPED_FUNCTION, f"torch.distributed.{function.__name__}")
        _group(trace, None)
        return from_host(trace, host(trace, function, *real_args, **real_kwargs))


def _argument(trace: Trace, item: Item) -> Any:
    return _group(trace, item) if isinstance(item, ObjectValue) else concrete(trace, item)


for _function in (
    *(dist.get_rank, dist.get_world_size, dist.get_backend, dist.get_process_group_ranks, dist.is_initialized),
    *(dist.get_group_rank, dist.get_global_rank, dist.is_torchelastic_launched, dist.is_gloo_available),
    *(dist.is_nccl_available, dist.is_mpi_available),
):
    _fact(_function)
for _question in ("rank", "size", "name"):
    _fact(vars(dist.ProcessGroup)[_question].__func__)  # the function of C: what a method of pybind11's is called by


@lookaside(vars(type(dist.GroupMember))["WORLD"].fget)
def _world_group(trace: Trace, owner: Item) -> Item:
    """`dist.group.WORLD`: the default group."""
    return trace.wrap(dist.distributed_c10d._world.default_pg, _default_group())


# Functional collectives ------------------------------------------------------------------------------


@named_lookaside(FUNCTIONAL, "_resolve_group")
def _resolve_group(trace: Trace, group: Item, tag: Item = "") -> Item:
    """The name of a group."""
    return group if type(group) is str else _name(trace, group)


@named_lookaside(FUNCTIONAL, "_group_or_group_name")
def _group_or_group_name(trace: Trace, group: Item) -> Item:
    return group


@named_lookaside(FUNCTIONAL, "_maybe_wrap_tensor")
def _maybe_wrap_tensor(trace: Trace, tensor: Item) -> Item:
    """The tensor once it has arrived: nobody can tell how long it took."""
    return tensor_op(trace, collectives.wait, (tensor,))


@named_lookaside(FUNCTIONAL, "wait_tensor")
def _wait_tensor(trace: Trace, tensor: Item) -> Item:
    """The tensor: what functional collectives give has arrived, and any other is nothing to wait for."""
    return tensor


@named_lookaside("torch.fx.experimental.symbolic_shapes", "has_free_unbacked_symbols")
def _has_free_unbacked_symbols(trace: Trace, value: Item) -> Item:
    """Whether sizes of a tensor hang on data: none does where all are numbers."""
    if not isinstance(value, TensorValue) or value.meta.symbolic:
        trace.stop(SKIPPED_FUNCTION, "has_free_unbacked_symbols of symbols")
    return False


@named_lookaside(C10D, "_get_group_size_by_name")
def _get_group_size_by_name(trace: Trace, name: Item) -> Item:
    return from_host(trace, host(trace, dist.distributed_c10d._get_group_size_by_name, concrete(trace, name)))


# Collectives that write ------------------------------------------------------------------------------


def _name(trace: Trace, item: Item) -> str:
    """The name of a group that this process is a member of, and that gathers no collectives for later."""
    group = _group(trace, item)
    if not isinstance(group, dist.ProcessGroup) or dist.distributed_c10d._world.pg_coalesce_state:
        trace.stop(SKIPPED_FUNCTION, "a collective outside of a process group, or inside _coalescing_manager")
    return str(group.group_name)


def _data(trace: Trace, item: Item) -> TensorValue:
    """A tensor of the program, without history: collectives pass autograd by. Its dtype is one that backends take."""
    if not isinstance(item, TensorValue) or item.meta.dtype not in DTYPES:
        trace.stop(SKIPPED_FUNCTION, "a collective of something besides tensors of the usual dtypes")
    item.touch(trace)
    data = tensor_op(trace, torch.Tensor.detach, (item,)) if item.meta.requires_grad else item
    assert isinstance(data, TensorValue)
    return data


def _operation(trace: Trace, item: Item) -> str:
    """The name of a reduction: a value of torch.distributed.ReduceOp."""
    real: Any = item
    if isinstance(item, ObjectValue):
        trace.guard(item.source, "same object", item.object)
        real = item.object
    for name in ("SUM", "PRODUCT", "MIN", "MAX"):
        if type(real) is type(dist.ReduceOp.SUM) and real == getattr(dist.ReduceOp, name):
            return name.lower()
    trace.stop(SKIPPED_FUNCTION, "a reduction that not every backend has for every dtype")


def _no_work(trace: Trace, async_op: Item) -> None:
    if async_op is not False:
        trace.stop(SKIPPED_FUNCTION, "a collective that returns its work")


def _write(trace: Trace, target: TensorValue, result: Item) -> None:
    """Write what came in the place of what the program gave for it; a break where they differ: backends may refuse."""
    if not isinstance(result, TensorValue) or result.meta.dtype is not target.meta.dtype:
        trace.stop(SKIPPED_FUNCTION, "a collective into a tensor of another dtype")
    if result.meta.shape != target.meta.shape:
        trace.stop(SKIPPED_FUNCTION, "a collective into a tensor of another shape")
    tensor_op(trace, torch.Tensor.copy_, (target, result))


@lookaside(dist.all_reduce)
def _all_reduce(
    trace: Trace, tensor: Item, op: Item = dist.ReduceOp.SUM, group: Item = None, async_op: Item = False
) -> None:
    _no_work(trace, async_op)
    data = _data(trace, tensor)
    _write(trace, data, tensor_op(trace, collectives.all_reduce, (data, _operation(trace, op), _name(trace, group))))


@lookaside(dist.broadcast)
def _broadcast(
    trace: Trace,
    tensor: Item,
    src: Item = None,
    group: Item = None,
    async_op: Item = False,
    group_src: Item = None,
) -> None:
    _no_work(trace, async_op)
    data, name = _data(trace, tensor), _name(trace, group)
    if (src is None) == (group_src is None):
        trace.stop(SKIPPED_FUNCTION, "a broadcast from no rank, or from two")
    rank = group_src
    if rank is None:
        real: Any = concrete(trace, src)
        rank = host(trace, dist.get_group_rank, _group(trace, group), real)
    _write(trace, data, tensor_op(trace, collectives.broadcast, (data, rank, name)))


@lookaside(dist.all_gather)
def _all_gather(trace: Trace, tensor_list: Item, tensor: Item, group: Item = None, async_op: Item = False) -> None:
    _no_work(trace, async_op)
    data, name = _data(trace, tensor), _name(trace, group)
    targets = [_data(trace, target) for target in listed(trace, tensor_list)]
    if len(targets) != _size(name) or any(target.meta.shape != data.meta.shape for target in targets):
        trace.stop(SKIPPED_FUNCTION, "all_gather of tensors of several sizes")
    rows = tensor_op(trace, torch.Tensor.unsqueeze, (data, 0))
    gathered = tensor_op(trace, collectives.all_gather, (rows, len(targets), name))
    assert isinstance(gathered, TensorValue)
    for target, row in zip(targets, gathered.rows(trace), strict=True):
        _write(trace, target, row)


def _size(name: str) -> int:
    return int(dist.distributed_c10d._get_group_size_by_name(dist.distributed_c10d.GroupName(name)))


@lookaside(dist.all_gather_single)
def _all_gather_single(
    trace: Trace, output_tensor: Item, input_tensor: Item, group: Item = None, async_op: Item = False
) -> None:
    """The output has the tensors of all ranks, one after the other."""
    _no_work(trace, async_op)
    data, name, target = _data(trace, input_tensor), _name(trace, group), _data(trace, output_tensor)
    if not data.meta.shape:
        trace.stop(SKIPPED_FUNCTION, "all_gather_single of a tensor without dimensions")
    _write(trace, target, tensor_op(trace, collectives.all_gather, (data, _size(name), name)))


@lookaside(dist.reduce_scatter_single)
def _reduce_scatter_single(
    trace: Trace,
    output: Item,
    input: Item,
    op: Item = dist.ReduceOp.SUM,
    group: Item = None,
    async_op: Item = False,
) -> None:
    """The input has a part for each rank, one after the other."""
    _no_work(trace, async_op)
    data, name, target = _data(trace, input), _name(trace, group), _data(trace, output)
    size = _size(name)
    if not data.meta.shape or data.meta.shape[0] % size:
        trace.stop(SKIPPED_FUNCTION, "reduce_scatter_single of a tensor that has no part for each rank")
    arguments = (data, _operation(trace, op), size, name)
    _write(trace, target, tensor_op(trace, collectives.reduce_scatter, arguments))


@lookaside(dist.all_to_all_single)
def _all_to_all_single(
    trace: Trace,
    output: Item,
    input: Item,
    output_split_sizes: Item = None,
    input_split_sizes: Item = None,
    group: Item = None,
    async_op: Item = False,
) -> None:
    _no_work(trace, async_op)
    data, name, target = _data(trace, input), _name(trace, group), _data(trace, output)
    splits: list[list[Item]] = []
    for sizes, tensor in ((output_split_sizes, target), (input_split_sizes, data)):
        listed_sizes = [] if sizes is None else listed(trace, sizes)
        if not listed_sizes:
            count = _size(name)
            if not tensor.meta.shape or tensor.meta.shape[0] % count:
                trace.stop(SKIPPED_FUNCTION, "all_to_all_single of a tensor that has no part for each rank")
            listed_sizes = [tensor.meta.shape[0] // count] * count
        splits.append(listed_sizes)
    _write(trace, target, tensor_op(trace, collectives.all_to_all, (data, tuple(splits[0]), tuple(splits[1]), name)))


def _deprecated(function: Any) -> None:
    """Interpret a function that warns, and calls another; not the handler around it, which logs errors of C."""
    warns = function.__wrapped__
    interpret(warns, warns.__wrapped__)
    lookaside(function)(lambda trace, *args, **kwargs: interpret_function(trace, warns, args, kwargs))


_deprecated(dist.all_gather_into_tensor)
_deprecated(dist.reduce_scatter_tensor)
