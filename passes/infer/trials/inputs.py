"""Inputs: real CPU tensors, laid out exactly as metas say, as the arguments of a trial.

Their values are random but harmless: floats between 0 and 1, integers that are valid indices of the smallest dimension.
Knows nothing of operators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import torch

from passes.meta import CPU, DTYPE_NAMES, TensorMeta
from passes.operators.outcome import Argument, DictArg, ListArg, SliceArg, leaves
from passes.record.values import Opaque

MOST_BYTES: Final = 64 << 20  # of all tensors of a call
POOL: Final = 1 << 14  # random values that are made once for each dtype
STEP: Final = 97  # distance in the pool between the values of a call's tensors
LOWEST, HIGHEST = 0.05, 0.95  # of random floats: probabilities, and fit for logarithms, roots and divisions
# The values of integers. Zeros and ones mixed are valid indices, ones valid divisors; which suits, the operator knows.
FILLS: Final = ("mixed", "ones", "zeros", "identity", "nothing", "many")
# Fills that show whether an outcome depends on values. In `nothing` all values are zeros, those of floats too.
EXTREMES: Final = ("ones", "nothing", "many")
MANY: Final = 11  # the value of integers in the fill `many`: a large count or length


class NotMaterialised(ValueError):
    """A call whose arguments cannot be made: other devices or layouts, or objects of which only the type is known."""


class TooLarge(NotMaterialised):
    """A call whose tensors would take more than MOST_BYTES."""


def opaque(type_name: str) -> Any:
    """An object of which only the type was recorded: a generator. Raises NotMaterialised for any other type."""
    if type_name != "torch._C.Generator":
        raise NotMaterialised(f"of an argument only the type {type_name} is known")
    return torch.Generator().manual_seed(0)


def materialise(
    named: Mapping[str, Argument],
    shares: Sequence[int],
    generator: torch.Generator,
    fill: str = "mixed",
    as_leaves: bool = True,
) -> dict[str, Any]:
    """The arguments with real tensors in the place of metas; see tensors_for."""
    return in_place_of_metas(named, tensors_for(metas_of(named), shares, generator, fill, as_leaves))


def tensors_for(
    metas: Sequence[TensorMeta],
    shares: Sequence[int],
    generator: torch.Generator,
    fill: str = "mixed",
    as_leaves: bool = True,
) -> list[torch.Tensor]:
    """A tensor for each of `metas`.

    Tensors that share memory (see Call.shares) are views of one, or one tensor where their metas are equal. Equal seeds
    of `generator` and equal fills give equal values. Tensors that require gradients are leaves if `as_leaves`, else the
    results of an operator. Raises NotMaterialised or TooLarge.
    """
    tensors = _make_tensors(metas, shares, generator, fill)
    return tensors if as_leaves else [_computed(tensor) if tensor.requires_grad else tensor for tensor in tensors]


def metas_of(named: Mapping[str, Argument]) -> list[TensorMeta]:
    """The tensors among the arguments, in the order in which they are counted."""
    return [leaf for leaf in leaves(tuple(named.values())) if type(leaf) is TensorMeta]


def in_place_of_metas(named: Mapping[str, Argument], tensors: Sequence[torch.Tensor]) -> dict[str, Any]:
    """The arguments as an operator takes them, with `tensors` where metas were."""
    rest = iter(tensors)
    return {name: _live(value, rest) for name, value in named.items()}


def _live(value: Argument, tensors: Iterator[torch.Tensor]) -> Any:
    kind = type(value)
    if kind is TensorMeta:
        return next(tensors)
    if kind is ListArg:
        return [_live(part, tensors) for part in value]
    if kind is tuple:
        return tuple([_live(part, tensors) for part in value])
    if kind is DictArg:
        return {_live(key, tensors): _live(part, tensors) for key, part in value}
    if kind is SliceArg:
        return slice(*[_live(part, tensors) for part in value])
    return opaque(value.type_name) if kind is Opaque else value


def _make_tensors(
    metas: Sequence[TensorMeta], shares: Sequence[int], generator: torch.Generator, fill: str
) -> list[torch.Tensor]:
    if len(metas) != len(shares):
        raise ValueError(f"{len(metas)} tensors, but `shares` has {len(shares)} entries")
    bytes_of = [
        max(extent(meta), int(meta.storage_offset + meta.element_count)) * meta.dtype.itemsize for meta in metas
    ]
    if sum(bytes_of) > MOST_BYTES:
        raise TooLarge(f"the tensors take {sum(bytes_of):,} bytes, more than {MOST_BYTES:,}")
    seed, highest = generator.initial_seed(), index_bound(metas)
    tensors: list[torch.Tensor] = []
    memories: dict[int, torch.Tensor] = {}
    for index, (meta, owner) in enumerate(zip(metas, shares, strict=True)):
        sharing = [i for i, other in enumerate(shares) if other == owner]
        same = next((i for i in sharing if i < index and metas[i] is meta), None)
        if same is not None:
            tensors.append(tensors[same])
            continue
        if owner not in memories:
            size = max(bytes_of[i] for i in sharing)
            memories[owner] = _memory(meta.dtype, size, fill, highest, seed, STEP * index)
        tensors.append(_laid_out(memories[owner], meta, len(sharing) > 1))
        if fill == "identity":
            _make_identity(tensors[-1])
    return tensors


def extent(meta: TensorMeta) -> int:
    """The elements of the smallest storage that a tensor fits into. Raises NotMaterialised if it has none."""
    if meta.stride is None or meta.device.type != CPU.type:
        raise NotMaterialised(f"a tensor that cannot be laid out: {meta.words}")
    last = 0
    for size, stride in zip(meta.shape, meta.stride, strict=True):
        if size == 0:
            return int(meta.storage_offset)
        last += (size - 1) * stride
    return int(meta.storage_offset + last + 1)


def index_bound(metas: Sequence[TensorMeta]) -> int:
    """The largest integer up to 1 that is an index of every dimension of tensors with floats."""
    return int(all(1 not in meta.shape for meta in metas if meta.dtype.is_floating_point))


@lru_cache(maxsize=256)
def _pool(dtype: torch.dtype, fill: str, highest: int, seed: int) -> torch.Tensor:
    """POOL random values of a dtype. Raises NotMaterialised for a dtype that nothing converts to."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.rand(POOL, generator=generator, dtype=torch.float64)
    if fill == "nothing":
        numbers = torch.zeros_like(numbers)
    elif dtype.is_complex:
        numbers = torch.complex(numbers, torch.rand(POOL, generator=generator, dtype=torch.float64))
    elif dtype.is_floating_point:
        numbers = LOWEST + (HIGHEST - LOWEST) * numbers
    else:
        highest = max(highest, int(dtype is torch.bool))
        constant = {"ones": 1, "zeros": 0, "many": MANY}.get(fill)
        numbers = (numbers * (highest + 1)).floor() if constant is None else torch.full_like(numbers, constant)
    try:
        return numbers.to(dtype)
    except RuntimeError as error:
        raise NotMaterialised(f"no values of type {dtype}: {error}") from error


def fill_pools(seed: int) -> None:
    """Make the usual values now, so that processes forked from this one have them."""
    for dtype in DTYPE_NAMES:
        for fill in FILLS:
            for highest in (0, 1):
                _memory(dtype, 1, fill, highest, seed, 0)


def _memory(dtype: torch.dtype, size: int, fill: str, highest: int, seed: int, start: int) -> torch.Tensor:
    """A new flat tensor of at least `size` bytes, with the values of the pool from number `start` on."""
    by_fill = fill == "nothing" or not (dtype.is_floating_point or dtype.is_complex)
    pool = _pool(dtype, fill, highest, seed) if by_fill else _pool(dtype, FILLS[0], 0, seed)
    count = -(-size // dtype.itemsize)
    start %= POOL // 2
    if count <= POOL - start:
        return pool[start : start + count].clone()
    return pool.repeat(-(-count // POOL))[:count].clone()


def _laid_out(memory: torch.Tensor, meta: TensorMeta, shared: bool) -> torch.Tensor:
    """A tensor with all facts of `meta` in `memory`; if `shared`, a view, so that all share one version counter."""
    if shared:
        tensor = _strided(_of_dtype(memory, meta.dtype), meta)
    else:
        with torch._C._AutoDispatchBelowADInplaceOrView():  # type: ignore[attr-defined]  # else it would be a view
            tensor = _strided(memory, meta)
    return tensor.requires_grad_() if meta.requires_grad else tensor


def _strided(memory: torch.Tensor, meta: TensorMeta) -> torch.Tensor:
    assert meta.stride is not None  # `extent` raised otherwise
    tensor = memory.as_strided(meta.shape, meta.stride, meta.storage_offset)
    if meta.is_conj:
        tensor = torch._C._VariableFunctions._conj(tensor)  # type: ignore[attr-defined]
    return torch._C._VariableFunctions._neg_view(tensor) if meta.is_neg else tensor  # type: ignore[attr-defined]


def _of_dtype(memory: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The same memory as elements of `dtype`, as many as fit."""
    if memory.dtype is dtype:
        return memory
    in_bytes = memory.view(torch.uint8)
    return in_bytes[: len(in_bytes) // dtype.itemsize * dtype.itemsize].view(dtype)


def _make_identity(tensor: torch.Tensor) -> None:
    """Make matrices of floats nearly the identity, which is invertible and positive-definite."""
    dense = tensor.numel() > 0 and torch.ops.aten.is_non_overlapping_and_dense(tensor)
    inexact = tensor.is_floating_point() or tensor.is_complex()
    if dense and inexact and tensor.dim() >= 2 and tensor.shape[-1] == tensor.shape[-2]:
        with torch.no_grad():
            tensor.fill_(1 / 64)
            tensor.diagonal(dim1=-2, dim2=-1).fill_(1)


class _ThroughAutograd(torch.autograd.Function):
    """The identity, whose result is neither a view nor a leaf."""

    @staticmethod
    def forward(ctx: Any, source: torch.Tensor, holder: list[torch.Tensor]) -> torch.Tensor:
        return holder[0]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0].sum(), None


def _computed(tensor: torch.Tensor) -> torch.Tensor:
    source = torch.ones((), requires_grad=True)
    return _ThroughAutograd.apply(source, [tensor.detach_()])  # type: ignore[no-any-return]
