"""Layout classes: the ways in which tensors lie in memory that operators tell apart, as domains of rules name them.

Dimensions of size 1 have no say, nor has anything in an empty tensor: these are contiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from passes.meta import TensorMeta, are_contiguous
from passes.operators.hints import at_hint

OUTERMOST_FIRST: Final = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}  # the order of dimensions, outermost first, by rank
ROW_MAJOR: Final = "contiguous"
# Those of tensors with one dimension of more than one element come last: they say nothing of tensors with two.
CLASSES: Final = (
    ROW_MAJOR,
    "channels-last",
    "permuted",  # dense in another order of dimensions
    "sliced",  # in order, with gaps
    "permuted slice",
    "expanded",  # some elements stand for several
    "overlapping",
    "spaced",
    "repeated",
)


def classes_up_to(rank: int) -> tuple[str, ...]:
    """The classes that tensors of up to so many dimensions can be of."""
    if rank < 2:
        return (ROW_MAJOR, "spaced", "repeated") if rank else (ROW_MAJOR,)
    return CLASSES if rank >= min(OUTERMOST_FIRST) else tuple(name for name in CLASSES if name != "channels-last")


def layout_class(meta: TensorMeta) -> str:
    """The class of a strided tensor's layout, one of CLASSES. Symbols stand at their hints."""
    if meta.contiguous:
        return ROW_MAJOR
    return _class_of(at_hint(meta.shape), at_hint(meta.stride)) if meta.symbolic else _class_of(meta.shape, meta.stride)


@lru_cache(maxsize=1 << 12)
def _class_of(shape: Sequence[Any], strides: Sequence[Any]) -> str:
    if None in shape or None in strides:  # a symbol for data has no value: nothing may be known of it
        return "overlapping"
    if are_contiguous(shape, strides):
        return ROW_MAJOR
    long = [(stride, size) for stride, size in zip(strides, shape, strict=True) if size != 1]
    if len(long) == 1:
        return "spaced" if long[0][0] else "repeated"
    if any(stride == 0 for stride, _ in long):
        return "expanded"
    is_dense, extent, count = True, 1, 1
    for stride, size in sorted(long):
        if stride < extent:
            return "overlapping"
        is_dense = is_dense and stride == count
        extent, count = extent + (size - 1) * stride, count * size
    in_order = long == sorted(long, key=lambda each: -each[0])
    if not is_dense:
        return "sliced" if in_order else "permuted slice"
    order = OUTERMOST_FIRST.get(len(shape), ())
    outermost_first = [strides[dim] for dim in order if shape[dim] != 1]
    is_channels_last = bool(order) and outermost_first == sorted(outermost_first, reverse=True)
    return "channels-last" if is_channels_last else "permuted"
