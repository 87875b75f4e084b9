"""Shapes: reductions, joins, lists of sizes given, and products of matrices.

Dimensions may be negative, and count from the last then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from passes.rules.language import primitive, undefined

Ints = tuple[Any, ...]


def wrapped(dim: Any, rank: int) -> int:
    """A dimension as a number from 0; a tensor without dimensions is taken to have one. A symbol becomes its value."""
    rank = rank or 1
    if isinstance(dim, torch.SymInt):
        dim = int(dim)  # which guards it: an operator's dimensions are no sizes
    if (type(dim) is not int and (not isinstance(dim, int) or isinstance(dim, bool))) or not -rank <= dim < rank:
        undefined("no such dimension")
    return dim % rank


def permutation(dims: Sequence[Any], rank: int) -> list[int]:
    """All dimensions in another order, as numbers from 0."""
    order = [dim if type(dim) is int and 0 <= dim < rank else wrapped(dim, rank) for dim in dims]
    if sorted(order) != list(range(rank)):
        undefined("not a permutation")
    return order


def dims_of(dims: Any, rank: int) -> set[int]:
    """Dimensions from one, several or none."""
    if isinstance(dims, int):
        return {wrapped(dims, rank)}
    if isinstance(dims, list | tuple):
        return {wrapped(dim, rank) for dim in dims}
    undefined("not dimensions")


@primitive("Ints, Dims, Bool -> Ints")
def reduced(shape: Sequence[Any], dims: Any, keepdim: Any) -> Ints:
    """Without `dims`, or with size 1 in their place."""
    gone = dims_of(dims, len(shape))
    if keepdim:
        return tuple(1 if dim in gone else size for dim, size in enumerate(shape))
    return tuple(size for dim, size in enumerate(shape) if dim not in gone)


@primitive("Ints, Dims, Bool -> Ints")
def reduced_or_all(shape: Sequence[Any], dims: Any, keepdim: Any) -> Ints:
    """As `reduced`; no dimensions (None or an empty list) mean all."""
    if dims is None or (isinstance(dims, tuple | list) and not dims):
        return (1,) * len(shape) if keepdim else ()
    return reduced(shape, dims, keepdim)


@primitive("Ints, Int -> Ints")
def without(shape: Sequence[Any], dim: Any) -> Ints:
    """Sizes without those of one dimension, counted from the end if negative."""
    dim = wrapped(dim, len(shape))
    return (*shape[:dim], *shape[dim + 1 :])


@primitive("Ints, Int, Int -> Ints")
def with_size(shape: Sequence[Any], dim: Any, size: Any) -> Ints:
    """With another size at one dimension."""
    if not shape:
        return ()
    dim = wrapped(dim, len(shape))
    return (*shape[:dim], size, *shape[dim + 1 :])


@primitive("Ints, Int, Int -> Ints")
def inserted(shape: Sequence[Any], dim: Any, size: Any) -> Ints:
    """With one more dimension before `dim`."""
    dim = wrapped(dim, len(shape) + 1)
    return (*shape[:dim], size, *shape[dim:])


@primitive("Ints, Int, Ints -> Ints")
def replaced(shape: Sequence[Any], dim: Any, sizes: Sequence[Any]) -> Ints:
    """With the sizes of another shape in the place of one dimension."""
    dim = wrapped(dim, len(shape))
    return (*shape[:dim], *sizes, *shape[dim + 1 :])


@primitive("Ints, IntOrInts -> Ints")
def literal(shape: Sequence[Any], sizes: Any) -> Ints:
    """Sizes as given, for as many elements as `shape` has; one -1 stands for what is left."""
    wanted = [sizes] if isinstance(sizes, int) else list(sizes)
    if wanted.count(-1) != 1:
        if math.prod(wanted) != math.prod(shape):
            undefined("another number of elements")
        return tuple(wanted)
    place = wanted.index(-1)
    wanted[place] = 1
    rest, count = math.prod(wanted), math.prod(shape)
    if rest == 0 or count % rest:
        undefined("the size for -1 does not follow")
    wanted[place] = count // rest
    return tuple(wanted)


@primitive("Ints, Ints -> Ints")
def expanded(shape: Sequence[Any], sizes: Any) -> Ints:
    """Sizes as given, -1 for the size there is."""
    missing = len(sizes) - len(shape)
    if missing < 0:
        undefined("fewer sizes than dimensions")
    result = list(sizes)
    for index, size in enumerate(shape):
        wanted = result[missing + index]
        if wanted == -1:
            result[missing + index] = size
        elif size not in (1, wanted):
            undefined("sizes do not expand")
    if any(size < 0 for size in result):
        undefined("-1 for a new dimension")
    return tuple(result)


@primitive("Ints, Int, Int -> Ints")
def flattened(shape: Sequence[Any], start: Any, end: Any) -> Ints:
    """With the dimensions from `start` to `end`, both included, as one."""
    if not shape:
        return (1,)
    start, end = wrapped(start, len(shape)), wrapped(end, len(shape))
    if start > end:
        undefined("start after end")
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


@primitive("Ints, Int, Ints -> Ints")
def unflattened(shape: Sequence[Any], dim: Any, sizes: Sequence[Any]) -> Ints:
    """Sizes with several in the place of one dimension; one of the new ones may be -1."""
    dim = wrapped(dim, len(shape))
    return (*shape[:dim], *literal((shape[dim],), sizes), *shape[dim + 1 :])


@primitive("Tensors, Int -> Ints")
def joined(tensors: Sequence[Any], dim: Any) -> Ints:
    """Shape of tensors one after the other along a dimension; those of shape (0,) do not count (torch.cat)."""
    if not tensors:
        undefined("nothing to join")
    counted = [tensor.shape for tensor in tensors if tuple(tensor.shape) != (0,)]
    if not counted:
        return (0,)  # whatever the dimension
    first = counted[0]
    dim = wrapped(dim, len(first))
    if not first:
        undefined("no dimension to join along")
    before, after = first[:dim], first[dim + 1 :]
    for shape in counted[1:]:
        if len(shape) != len(first) or shape[:dim] != before or shape[dim + 1 :] != after:
            undefined("sizes differ")
    return (*first[:dim], sum(shape[dim] for shape in counted), *first[dim + 1 :])


@primitive("Tensors, Int -> Ints")
def stacked(tensors: Sequence[Any], dim: Any) -> Ints:
    """Shape of tensors of one shape along a new dimension."""
    if not tensors:
        undefined("nothing to stack")
    shape = tensors[0].shape
    dim = wrapped(dim, len(shape) + 1)
    return (*shape[:dim], len(tensors), *shape[dim:])


@primitive("Tensors -> Tensors")
def at_least_1d(tensors: Sequence[Any]) -> tuple[Any, ...]:
    """Tensors, with one dimension of size 1 for those that have none."""
    return tuple(tensor if tensor.shape else tensor.replace(shape=(1,), stride=(1,)) for tensor in tensors)


def broadcast_shapes(left: Ints, right: Ints) -> Ints:
    """Shape that two shapes broadcast to, aligned at the last dimension."""
    if left == right:
        return left
    if len(left) < len(right):
        left, right = right, left
    missing = len(left) - len(right)
    sizes = list(left)
    for index, size in enumerate(right):
        other = left[missing + index]
        if other == 1:
            sizes[missing + index] = size
        elif not (size == 1 or size == other):
            undefined("sizes do not broadcast")
    return tuple(sizes)


@primitive("Ints, Ints -> Ints")
def product(left: Sequence[Any], right: Sequence[Any]) -> Ints:
    """Shape of torch.matmul."""
    if not left or not right:
        undefined("a tensor without dimensions")
    rows = left[-2:-1] if len(left) > 1 else ()
    columns = right[-1:] if len(right) > 1 else ()
    if left[-1] != (right[-2] if len(right) > 1 else right[0]):
        undefined("inner sizes differ")
    return (*broadcast_shapes(tuple(left[:-2]), tuple(right[:-2])), *rows, *columns)


@primitive("Ints, Ints -> Ints")
def repeated(shape: Sequence[Any], times: Sequence[Any]) -> Ints:
    """Each size as often as `times` says; times for new dimensions come first."""
    missing = len(times) - len(shape)
    if missing < 0:
        shape, times, missing = shape, (1,) * -missing + tuple(times), 0
    return tuple(size * time for size, time in zip((1,) * missing + tuple(shape), times, strict=True))


@primitive("Ints, Ints -> Ints")
def padded(shape: Sequence[Any], padding: Sequence[Any]) -> Ints:
    """With (before, after) added to the last dimension, the one before it, and so on."""
    sizes = list(shape)
    if len(padding) % 2 or len(padding) > 2 * len(sizes):
        undefined("padding does not fit")
    for index in range(len(padding) // 2):
        size = sizes[-1 - index] + padding[2 * index] + padding[2 * index + 1]
        if size < 0:
            undefined("negative size")
        sizes[-1 - index] = size
    return tuple(sizes)


@primitive("Ints, Int -> Ints")
def first(shape: Sequence[Any], count: Any) -> Ints:
    """The first sizes, or all but the last ones."""
    if not -len(shape) <= count <= len(shape):
        undefined("not so many")
    return tuple(shape[:count])


@primitive("Ints, Int -> Ints")
def last(shape: Sequence[Any], count: Any) -> Ints:
    """The last `count` sizes."""
    if not 0 <= count <= len(shape):
        undefined("not so many")
    return tuple(shape[len(shape) - count :])


@primitive("Ints -> Ints")
def singletons(shape: Sequence[Any]) -> Ints:
    """As many sizes 1."""
    return (1,) * len(shape)


@primitive("Ints, Ints -> Ints")
def reordered(shape: Sequence[Any], dims: Sequence[Any]) -> Ints:
    """Sizes in the order of `dims`, a permutation. Undefined for anything else."""
    return tuple([shape[dim] for dim in permutation(dims, len(shape))])


@primitive("Ints -> Int")
def count(shape: Sequence[Any]) -> Any:
    """Number of elements."""
    return math.prod(shape)


@primitive("Ints -> Int")
def rank(shape: Sequence[Any]) -> int:
    """The number of dimensions."""
    return len(shape)


@primitive("Ints, Int -> Int")
def size_at(shape: Sequence[Any], dim: Any) -> Any:
    """The size of one dimension."""
    if not shape:
        undefined("no dimensions")
    return shape[wrapped(dim, len(shape))]


@primitive("Ints, Any -> Bool")
def is_empty_along(shape: Sequence[Any], dims: Any) -> bool:
    """Whether a size is 0 in one of some dimensions; None and an empty list mean all of them."""
    if dims is None or dims == ():
        return 0 in shape
    return any(shape[dim] == 0 for dim in dims_of(dims, len(shape))) if shape else False


@primitive("Ints, Any -> Bool")
def lacks_dims(shape: Sequence[Any], dims: Any) -> bool:
    """Whether one of some dimensions, counted from either end, is none of a tensor's; None is none at all."""
    rank = len(shape) or 1
    return dims is not None and any(not -rank <= dim < rank for dim in ((dims,) if type(dims) is int else dims))


@primitive("Tensors -> Numbers")
def counts(tensors: Sequence[Any]) -> Ints:
    """Number of elements of each tensor."""
    return tuple([math.prod(tensor.shape) for tensor in tensors])


@primitive("Tensors, Int -> Numbers")
def sizes_at(tensors: Sequence[Any], dim: Any) -> Ints:
    """The size of one dimension of each tensor."""
    return tuple([size_at(tensor.shape, dim) for tensor in tensors])


@primitive("Numbers -> Int")
def total(numbers: Sequence[Any]) -> Any:
    """The sum of numbers."""
    return sum(numbers)


@primitive("Numbers -> Int")
def largest(numbers: Sequence[Any]) -> Any:
    """The greatest of numbers."""
    return max(numbers)


@primitive("Int, Number -> Int")
def scaled_size(size: Any, factor: Any) -> Any:
    """A size times a factor, rounded down."""
    return math.floor(size * getattr(factor, "number", factor))


@primitive("Int, Int -> Int")
def smaller(left: Any, right: Any) -> Any:
    """The smaller of two numbers."""
    return left if left < right else right


@primitive("Int, Int -> Int")
def larger(left: Any, right: Any) -> Any:
    """The larger of two numbers."""
    return left if left > right else right


@primitive("Ints, Ints -> Ints")
def batch(left: Sequence[Any], right: Sequence[Any]) -> Ints:
    """What all dimensions but the last two of two shapes broadcast to."""
    if len(left) < 2 or len(right) < 2:
        undefined("no matrices")
    return broadcast_shapes(tuple(left[:-2]), tuple(right[:-2]))


@primitive("Ints, Ints -> Ints")
def together(left: Sequence[Any], right: Sequence[Any]) -> Ints:
    """What two shapes broadcast to."""
    return broadcast_shapes(tuple(left), tuple(right))


@primitive("Number, Number, Number -> Ints")
def steps(start: Any, end: Any, step: Any) -> Ints:
    """Shape of a range from `start` to `end`, which is not in it (torch.arange)."""
    start, end, step = (getattr(number, "number", number) for number in (start, end, step))
    return (_count_of_steps(start, end, step),)


@primitive("Number, Number, Number -> Ints")
def whole_steps(start: Any, end: Any, step: Any) -> Ints:
    """As `steps`, of numbers without their fractions: what a range of integers takes them for."""
    start, end, step = (int(getattr(number, "number", number)) for number in (start, end, step))
    return (_count_of_steps(start, end, step),)


def _count_of_steps(start: Any, end: Any, step: Any) -> Any:
    if not step or (end - start) * step < 0 or not math.isfinite(end - start):
        undefined("no end in this direction")
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        return -((start - end) // step)
    return math.ceil((end - start) / step)


@primitive("Ints, Int, Int, Int -> Ints")
def diagonals(shape: Sequence[Any], offset: Any, dim1: Any, dim2: Any) -> Ints:
    """Shape of torch.diag_embed: the last dimension becomes a diagonal of matrices, at two dimensions of the result."""
    rank = len(shape) + 1
    first, second = wrapped(dim1, rank), wrapped(dim2, rank)
    if not shape or first == second:
        undefined("a vector, and two dimensions, are needed")
    rest = iter(shape[:-1])
    size = shape[-1] + abs(offset)
    return tuple(size if dim in (first, second) else next(rest) for dim in range(rank))
